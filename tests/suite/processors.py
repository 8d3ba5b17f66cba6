# SPDX-License-Identifier: AGPL-3.0-or-later
"""How many test processes run at a time: another one begins while a processor has nothing to do.

Some suites wait for workers and browsers most of the time, others compute all of it. A fixed number is too low for the first, or delays
each test of the second until it runs into its time limit.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

FEWEST: Final = 3
"""So many run on a machine that is busy with something else, too."""
MOST: Final = 12
"""Each takes up to 300 MB with its servers and workers."""
LOOK_S: Final = 2.0
"""A process that has just begun still imports: what it takes is seen after this time."""
IDLE: Final = 0.2
"""The share of all processors that another process finds free."""


class Ticks(NamedTuple):
    """Clock ticks of all processors since the machine started."""

    all: int
    idle: int


def read_ticks(stat: Path = Path("/proc/stat")) -> Ticks:
    """Reads the first line of the file: user, nice, system, idle, waiting for a disk, and others (proc(5))."""
    numbers = [int(word) for word in stat.read_text().split("\n", 1)[0].split()[1:9]]
    return Ticks(sum(numbers), numbers[3] + numbers[4])


class Processors:
    """Decides whether another process may begin. The processors are measured for LOOK_S, and again after each start of a process."""

    def __init__(self, read: Callable[[], Ticks] = read_ticks, now: Callable[[], float] = time.monotonic) -> None:
        self._read = read
        self._now = now
        self.begin()

    def begin(self) -> None:
        self._since, self._before = self._now(), self._read()

    def has_room(self, running: int) -> bool:
        """Whether another one may begin beside so many."""
        if running < FEWEST:
            return True
        if running >= MOST or self._now() < self._since + LOOK_S:
            return False
        ticks, before = self._read(), self._before
        self.begin()
        return ticks.idle - before.idle >= IDLE * max(ticks.all - before.all, 1)
