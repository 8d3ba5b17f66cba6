# SPDX-License-Identifier: AGPL-3.0-or-later
"""Decides which worker is the successor of which. Some engines name a worker after its process, so a restarted worker has a new name; its
slot (the worker's number, queue and host) stays the same."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class WorkerSession:
    """A worker's process in its slot. Times are microseconds UTC. `slot` is None where the worker's name already identifies it."""

    slot: Hashable | None
    began_at: int
    gone_at: int | None


def replaced(sessions: Sequence[WorkerSession]) -> set[int]:
    """Returns the positions of the sessions that ended and whose slot was taken by another session afterwards.

    Each new session replaces one: the one that ended last. Where two sessions had the same slot and one came back, one is still missing.
    """
    replaced_positions: set[int] = set()
    empty: dict[Hashable, list[tuple[int, int]]] = {}
    for position in sorted(range(len(sessions)), key=lambda position: sessions[position].began_at):
        session = sessions[position]
        if session.slot is None:
            continue
        left = empty.setdefault(session.slot, [])
        before = [(gone_at, other) for gone_at, other in left if gone_at <= session.began_at]
        if before:
            left.remove(last := max(before))
            replaced_positions.add(last[1])
        if session.gone_at is not None:
            left.append((session.gone_at, position))
    return replaced_positions
