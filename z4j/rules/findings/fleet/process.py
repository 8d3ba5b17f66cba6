# SPDX-License-Identifier: AGPL-3.0-or-later
"""A process of an application, and the choice of the current process of each worker."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from z4j.rules.findings.finding import Scope
from z4j.rules.worker_succession import WorkerSession, replaced

SECOND_US: Final = 1_000_000
MINUTE_US: Final = 60 * SECOND_US


@dataclass(frozen=True, slots=True)
class Process:
    """A process that connected within the last day. Times are microseconds UTC, of the server's clock."""

    scope: Scope
    """App and environment; a process may have several engines."""
    boot: str
    host: str
    role: str
    worker: str
    seat: str
    """Identifies a worker across restarts; "" if its name does."""
    release: str
    engines: Mapping[str, str]
    """engine → its version."""
    pool: str
    queues: tuple[str, ...]
    began_at: int
    """When it first connected."""
    seen_at: int
    """When it was last seen, or when the server started, if later."""
    left_at: int | None
    """When its connection ended; None while it is connected."""
    is_orderly: bool
    """It reported its shutdown."""
    skew_us: int = 0
    """The server's clock minus that of the process."""
    spool_bytes: int = 0
    last_running: int = 0
    """Of a silent process: tasks that were running there when it was last seen."""
    options: Mapping[str, str] = field(default_factory=dict)
    """Reported options that should be equal on all workers of a queue: prefetch, serializer, …"""

    @property
    def is_connected(self) -> bool:
        """Whether it is connected."""
        return self.left_at is None


def present(processes: Iterable[Process]) -> list[Process]:
    """Returns one process of each worker: the newest connected one, otherwise the newest. Workers whose slot was taken are omitted."""
    newest: dict[tuple[Scope, str], Process] = {}
    for process in processes:
        key = process.scope, process.worker
        if process.role == "worker" and (key not in newest or _rank(process) > _rank(newest[key])):
            newest[key] = process
    workers = list(newest.values())
    gone = replaced(
        [WorkerSession((*each.scope, each.seat) if each.seat else None, each.began_at, _gone_at(each)) for each in workers]
    )  # fmt: skip
    return [process for position, process in enumerate(workers) if position not in gone]


def _rank(process: Process) -> tuple[bool, int, str]:
    return process.is_connected, process.began_at, process.boot


def _gone_at(process: Process) -> int | None:
    """When the process ended: for a silent process, earlier than its disconnection was noticed."""
    return None if process.left_at is None else min(process.left_at, process.seen_at + 10 * SECOND_US)
