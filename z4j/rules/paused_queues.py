# SPDX-License-Identifier: AGPL-3.0-or-later
"""Decides which pause applies to which queue. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol, TypeVar


class Hold(Protocol):
    """A pause, see `store.fleet.paused_queues.PausedQueueRow`."""

    @property
    def engine(self) -> str:
        """The engine of the queue."""

    @property
    def queue(self) -> str:
        """The name of the queue."""

    @property
    def ended_at(self) -> int | None:
        """When it was resumed (microseconds UTC); None while it is paused."""


T = TypeVar("T", bound=Hold)


def is_paused(held: str, broker: str) -> bool:
    """Whether a pause in the broker `held` is one of the queue in `broker`; "" is a broker that is unknown, and matches any."""
    return not held or not broker or held == broker


def newest(holds: Iterable[tuple[str, T]]) -> dict[tuple[str, str, str], T]:
    """Returns (engine, queue, broker) → the pause that applies, of pauses and the brokers each is of: one in force, else the last that
    ended."""
    newest_holds: dict[tuple[str, str, str], T] = {}
    for broker, hold in holds:
        key = hold.engine, hold.queue, broker
        before = newest_holds.get(key)
        if before is None or (before.ended_at is not None and (hold.ended_at is None or hold.ended_at >= before.ended_at)):
            newest_holds[key] = hold
    return newest_holds
