# SPDX-License-Identifier: AGPL-3.0-or-later
"""The only reader of time in the server, so that tests and the soak can move it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

DAY_US: Final = 24 * 3_600_000_000

_source: Callable[[], int] = time.time_ns
_ticks: Callable[[], int] = time.monotonic_ns
_highest = 0


def now() -> int:
    """Microseconds UTC."""
    global _highest
    at = _source() // 1000
    _highest = max(_highest, at)
    return at


def behind() -> int:
    """Returns by how much the clock is behind the latest time that this process has read, in microseconds: more than 0 after it was set
    back. Other processes of this machine may have reported such times."""
    return max(_highest - now(), 0)


def use(source: Callable[[], int] = time.time_ns, ticks: Callable[[], int] = time.monotonic_ns) -> None:
    """Replaces the source of time (nanoseconds UTC) and of ticks (nanoseconds); without an argument, restores the clocks of the machine."""
    global _source, _ticks, _highest
    _source, _ticks, _highest = source, ticks, 0


def ticks() -> int:
    """Microseconds of a clock that is never set; only differences mean something."""
    return _ticks() // 1000
