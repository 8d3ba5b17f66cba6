# SPDX-License-Identifier: AGPL-3.0-or-later
"""The only reader of time in the server, so that tests and the soak can move it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

DAY_US: Final = 24 * 3_600_000_000
SHORTEST_PAUSE_S: Final = 0.25
"""Of a clock that is faster than the machine's."""

_source: Callable[[], int] = time.time_ns
_ticks: Callable[[], int] = time.monotonic_ns
_pace = 1.0
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


def use(source: Callable[[], int] = time.time_ns, ticks: Callable[[], int] = time.monotonic_ns, pace: float = 1.0) -> None:
    """Replaces the source of time (nanoseconds UTC) and of ticks (nanoseconds); without an argument, restores the clocks of the machine.
    `pace` is how many times as fast as the machine's they are, for `pause_s`."""
    global _source, _ticks, _pace, _highest
    _source, _ticks, _pace, _highest = source, ticks, pace, 0


def pause_s(seconds: float) -> float:
    """Returns for how many seconds of the machine to wait for `seconds` of this clock."""
    return seconds if _pace == 1.0 else max(seconds / _pace, SHORTEST_PAUSE_S)


def ticks() -> int:
    """Microseconds of a clock that is never set; only differences mean something."""
    return _ticks() // 1000
