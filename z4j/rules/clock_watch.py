# SPDX-License-Identifier: AGPL-3.0-or-later
"""Finds steps of the wall clock, and decides which time retention measures ages with. Pure; times are microseconds.

A step that is right (a machine without a battery that has just asked a time server) cannot be distinguished from one that is wrong. What is
deleted does not come back, so retention follows a step of more than a day only after the server has run with it for three days.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from z4j.rules.backups import DAY_US

STEP_US: Final = 2_000_000
"""Less is the work of a time daemon, or a process that had to wait."""
FOLLOWED_US: Final = DAY_US
"""A gap that retention follows at once: a server that was stopped overnight is no step."""
WAIT_US: Final = 3 * DAY_US
"""Running time after which a longer gap is followed: a weekend in which the clock can be corrected."""


@dataclass(frozen=True, slots=True)
class Step:
    """The wall clock was set, or the machine was suspended. `at` is the time after it, `by_us` is negative if it went back."""

    at: int
    by_us: int


@dataclass(frozen=True, slots=True)
class TrustedTime:
    """The time that retention measures ages with. `waited_us` of running time have passed since the wall clock is more than
    `FOLLOWED_US` ahead of it, 0 while it is not."""

    at: int
    waited_us: int = 0


def step_of(wall: int, ticks: int, last_wall: int, last_ticks: int) -> Step | None:
    """Returns the step between two readings of both clocks, or None. `ticks` is a clock that is never set."""
    by_us = (wall - last_wall) - (ticks - last_ticks)
    return Step(wall, by_us) if abs(by_us) >= STEP_US else None


def trust(known: TrustedTime | None, wall: int, elapsed_us: int) -> TrustedTime:
    """Returns the time to trust at `wall`, `elapsed_us` of running time after `known` (None: the first reading of all)."""
    if known is None or wall <= known.at + elapsed_us + FOLLOWED_US:
        return TrustedTime(wall)
    waited_us = known.waited_us + elapsed_us
    return TrustedTime(wall) if waited_us >= WAIT_US else TrustedTime(known.at + elapsed_us, waited_us)
