# SPDX-License-Identifier: AGPL-3.0-or-later
"""Moves the wall clock of processes while they run: a preloaded library (`moving_clock.c`) adds seconds to it. Needs a C compiler."""

from __future__ import annotations

import subprocess
from pathlib import Path

SOURCE = Path(__file__).with_suffix(".c")


class MovingClock:
    """One for each test. Start processes with `environment`, then `move` as often as needed."""

    def __init__(self, folder: Path) -> None:
        self._library, self._file = folder / "moving_clock.so", folder / "moving_clock"
        subprocess.run(["cc", "-shared", "-fPIC", "-O2", "-o", self._library, SOURCE, "-ldl"], check=True)
        self.moved_s = 0
        self._file.write_bytes(bytes(8))

    @property
    def environment(self) -> dict[str, str]:
        return {"LD_PRELOAD": str(self._library), "MOVING_CLOCK": str(self._file)}

    def move(self, seconds: int) -> None:
        """Sets the clock of all processes forward, or back where `seconds` is negative."""
        self.moved_s += seconds
        with self._file.open("r+b") as file:  # in place: processes have mapped it
            file.write(self.moved_s.to_bytes(8, "little", signed=True))
