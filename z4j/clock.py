# SPDX-License-Identifier: AGPL-3.0-or-later
"""The only reader of time in the server, so that tests and the soak can move it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

DAY_US: Final = 24 * 3_600_000_000

_source: Callable[[], int] = time.time_ns


def now() -> int:
    """Microseconds UTC."""
    return _source() // 1000


def use(source: Callable[[], int] = time.time_ns) -> None:
    """Replaces the source of time (nanoseconds UTC); without an argument, restores the clock of the machine."""
    global _source
    _source = source


def ticks() -> int:
    """Microseconds of a clock that never jumps; only differences mean something."""
    return time.monotonic_ns() // 1000
