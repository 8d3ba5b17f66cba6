# SPDX-License-Identifier: AGPL-3.0-or-later
"""`python -m tests.incidents.server` is `z4j` with a clock that a test can put forward (`MovingClock`): its times of day, its ticks, and
the timers of its event loop. A duty that runs every ten seconds runs when ten seconds of that clock are over."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from tests.incidents.moving_clock import VARIABLE, MovingClock
from z4j import clock
from z4j.cli import main


def move_with(moving: MovingClock) -> None:
    """For the rest of this process."""
    clock.use(moving.now_ns)
    clock.ticks = lambda: int(moving.ticks_s() * 1_000_000)
    asyncio.BaseEventLoop.time = lambda self: moving.ticks_s()  # type: ignore[method-assign]


if __name__ == "__main__":
    move_with(MovingClock(Path(os.environ[VARIABLE])))
    raise SystemExit(main())
