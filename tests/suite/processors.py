# SPDX-License-Identifier: AGPL-3.0-or-later
"""How many test processes run at a time: another one begins while a processor has nothing to do.

Some suites wait for workers and browsers most of the time, others compute all of it. A fixed number is too low for the first, or delays
each test of the second until it runs into its time limit.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

FEWEST: Final = 3
"""So many run on a machine that is busy with something else, too."""
MOST: Final = 14
"""Each takes up to 300 MB with its servers and workers."""
LOOK_S: Final = 2.0
"""A process that has just begun still imports: what it takes is seen after this time."""
IDLE: Final = 0.1
"""The share of all processors that another process finds free."""
SCHED_IDLE: Final = 5
"""Of sched(7): processes of this policy run where nothing else does, so what they take is free."""


class Ticks(NamedTuple):
    """Clock ticks of all processors since the machine started."""

    all: int
    idle: int


def read_ticks(proc: Path = Path("/proc")) -> Ticks:
    """Reads the first line of `stat`: user, nice, system, idle, waiting for a disk, and others (proc(5))."""
    numbers = [int(word) for word in (proc / "stat").read_text().split("\n", 1)[0].split()[1:9]]
    return Ticks(sum(numbers), numbers[3] + numbers[4])


def read_yielding(proc: Path = Path("/proc")) -> dict[int, int]:
    """Ticks of each process of the idle policy that runs, by its ID. Nothing where this process is one of them itself."""
    found = dict[int, int]()
    if os.sched_getscheduler(0) == SCHED_IDLE:
        return found
    for path in proc.glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it has ended
            fields = path.read_text().rpartition(")")[2].split()
            if int(fields[38]) == SCHED_IDLE:
                found[int(path.parent.name)] = int(fields[11]) + int(fields[12])
    return found


class Processors:
    """Decides whether another process may begin. The processors are measured for LOOK_S, and again after each start of a process."""

    def __init__(
        self,
        read: Callable[[], Ticks] = read_ticks,
        now: Callable[[], float] = time.monotonic,
        yielding: Callable[[], dict[int, int]] = read_yielding,
    ) -> None:
        self._read = read
        self._now = now
        self._read_yielding = yielding
        self.begin()

    def begin(self) -> None:
        self._since, self._before, self._yielding = self._now(), self._read(), self._read_yielding()

    def has_room(self, running: int) -> bool:
        """Whether another one may begin beside so many."""
        if running < FEWEST:
            return True
        if running >= MOST or self._now() < self._since + LOOK_S:
            return False
        before, yielding = self._before, self._yielding
        self.begin()
        free = self._before.idle - before.idle + sum(ticks - yielding[pid] for pid, ticks in self._yielding.items() if pid in yielding)
        return free >= IDLE * max(self._before.all - before.all, 1)
