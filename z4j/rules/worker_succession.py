# SPDX-License-Identifier: AGPL-3.0-or-later
"""Whose place a worker has taken. Some engines name their workers after the process, so that one which is started again has a new name;
its seat is what stays the same: the worker's number, queue and host."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class WorkerSession:
    """A worker's process in its seat. Times are microseconds UTC. `seat` is None where the name says it all."""

    seat: Hashable | None
    began_at: int
    gone_at: int | None


def replaced(sessions: Sequence[WorkerSession]) -> set[int]:
    """Positions of those that are gone and whose seat was taken after that.

    Each newcomer takes the place of one, that which went last: where two had the same seat and one came back, one is missing.
    """
    replaced_positions: set[int] = set()
    empty: dict[Hashable, list[tuple[int, int]]] = {}
    for position in sorted(range(len(sessions)), key=lambda position: sessions[position].began_at):
        session = sessions[position]
        if session.seat is None:
            continue
        left = empty.setdefault(session.seat, [])
        before = [(gone_at, other) for gone_at, other in left if gone_at <= session.began_at]
        if before:
            left.remove(last := max(before))
            replaced_positions.add(last[1])
        if session.gone_at is not None:
            left.append((session.gone_at, position))
    return replaced_positions
