# SPDX-License-Identifier: AGPL-3.0-or-later
"""The bars of failures per hour, as numbers for a server-made SVG. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from z4j.store.errors.error_groups import Hour
from z4j.web.frame.formats import iso, number, plural

HEIGHT: Final = 20
STEP: Final = 4
"""Width of a bar with the gap beside it."""


@dataclass(frozen=True, slots=True)
class Bar:
    """An hour. `y` and `height` are of failed tasks, `cured_height` of failed attempts on top of them."""

    x: int
    y: int
    height: int
    cured_y: int
    cured_height: int
    title: str
    at: int
    failed: int
    attempts: int


@dataclass(frozen=True, slots=True)
class Curve:
    """The hours of a group, the present one last; `label` says the same in words."""

    bars: tuple[Bar, ...]
    width: int
    label: str
    most: int


def curve(hours: Sequence[Hour]) -> Curve:
    """Returns the curve of some hours. An hour with failures has a bar of at least one unit."""
    most = max((hour.failed + hour.retried + hour.cured for hour in hours), default=0)
    bars = []
    for place, hour in enumerate(hours):
        attempts = hour.retried + hour.cured
        tall, rest = _scaled(hour.failed, most), _scaled(attempts, most)
        rest = min(rest, HEIGHT - tall)
        title = f"{iso(hour.at)[:13].replace('T', ' ')} h: {plural(hour.failed, 'failed task')}, {plural(attempts, 'failed attempt')}"
        bars.append(Bar(place * STEP, HEIGHT - tall, tall, HEIGHT - tall - rest, rest, title, hour.at, hour.failed, attempts))
    failed = sum(hour.failed for hour in hours)
    label = f"{number(failed)} failed in {plural(len(hours), 'hour')}, at most {number(most)} failures in one"
    return Curve(tuple(bars), len(hours) * STEP, label, most)


def _scaled(value: int, most: int) -> int:
    return max(round(value * HEIGHT / most), 1) if value > 0 else 0
