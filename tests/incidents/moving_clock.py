# SPDX-License-Identifier: AGPL-3.0-or-later
"""The clock of a server process and of its test, which the test can put forward: the difference from the machine's lies in a file that both
have mapped into memory. It goes on as the machine's does, so a minute can pass in a second, and never goes back."""

from __future__ import annotations

import mmap
import struct
import time
from pathlib import Path

_OFFSET = struct.Struct("<q")
VARIABLE = "Z4J_TEST_CLOCK_FILE"


class MovingClock:
    """`path` is created by the first one."""

    def __init__(self, path: Path) -> None:
        if not path.exists():
            path.write_bytes(_OFFSET.pack(0))
        with path.open("r+b") as file:
            self._memory = mmap.mmap(file.fileno(), _OFFSET.size)

    @property
    def offset_us(self) -> int:
        """How far it is ahead of the machine's, negative: behind."""
        return int(_OFFSET.unpack(self._memory)[0])

    def now(self) -> int:
        """Microseconds UTC."""
        return self.now_ns() // 1_000

    def now_ns(self) -> int:
        return time.time_ns() + self.offset_us * 1_000

    def ticks_s(self) -> float:
        """Seconds for timers."""
        return time.monotonic() + self.offset_us / 1_000_000

    def move_to(self, at: int) -> None:
        """It is this moment, microseconds UTC."""
        _OFFSET.pack_into(self._memory, 0, at - time.time_ns() // 1_000)
