# SPDX-License-Identifier: AGPL-3.0-or-later
"""`python -m tests.support.fast_server FILE PACE serve …`: the command line of z4j with a clock that a test moves on while it runs.

FILE holds nanoseconds (a signed 64-bit number) that are added to the time and the ticks of the machine; both move alike, as on a machine
on which this time has passed. PACE is how many times as fast as the machine's the clock is on average: intervals of duties are so much
shorter.
"""

from __future__ import annotations

import mmap
import struct
import sys
import time
from pathlib import Path


class FastClock:
    """The side of the test."""

    def __init__(self, file: Path) -> None:
        self.file, self.added = file, 0
        file.write_bytes(bytes(8))

    def move(self, seconds: int) -> None:
        """Lets so many seconds pass."""
        self.added += seconds * 1_000_000_000
        with self.file.open("r+b") as file:  # in place: the server has mapped it
            file.write(struct.pack("<q", self.added))

    def now(self) -> int:
        """Microseconds UTC, as the server reads them."""
        return (time.time_ns() + self.added) // 1000


def main() -> int:
    """Runs the command line."""
    file, pace, *words = sys.argv[1:]
    with Path(file).open("rb") as opened:
        added = mmap.mmap(opened.fileno(), 8, access=mmap.ACCESS_READ)

    def read() -> int:
        return int(struct.unpack_from("<q", added)[0])

    from z4j import clock
    from z4j.cli import main as run

    clock.use(lambda: time.time_ns() + read(), lambda: time.monotonic_ns() + read(), float(pace))
    return run(words)


if __name__ == "__main__":
    raise SystemExit(main())
