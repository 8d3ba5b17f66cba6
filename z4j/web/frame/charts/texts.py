# SPDX-License-Identifier: AGPL-3.0-or-later
"""Texts that all charts have: values with their unit, labels of the value axis, the id of the element."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from z4j.rules.charts.model import BYTES, DURATION
from z4j.rules.charts.scales import Scale
from z4j.web.frame.formats import NONE, THIN, duration, number, size

_STEPS: Final = ((1_000_000_000_000, "T"), (1_000_000_000, "bn"), (1_000_000, "M"), (1_000, "k"))


@dataclass(frozen=True, slots=True)
class AxisLabel:
    """A label of the value axis."""

    y: float
    text: str


@dataclass(frozen=True, slots=True)
class Table:
    """The numbers of a chart: one row per time or bucket."""

    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def value_text(value: float | None, unit: str) -> str:
    """12,418 tasks, 4.8 s, 3.2 MB; a dash for None."""
    if value is None:
        return NONE
    if unit == DURATION:
        return duration(round(value))
    if unit == BYTES:
        return size(round(value))
    return f"{number(value)}{THIN}%" if unit == "%" else f"{number(value)} {unit}".rstrip()


def brief(unit: str) -> str:
    """A word is not repeated in every point."""
    return unit if unit in (DURATION, BYTES, "%") else ""


def axis_text(value: float, unit: str) -> str:
    """The shortest text of a round value: 0, 0.5, 8,000, 20k, 1.5M, 30 s, 5 m."""
    if not value:
        return "0"
    if unit == DURATION:
        return re.sub(rf"(?<=\d)\.0(?={THIN})|{THIN}00?{THIN}[smh]$", "", duration(round(value)))
    if unit == BYTES:
        return size(round(value)).replace(".0", "")
    least, letter = next(((least, letter) for least, letter in _STEPS if value >= max(least, 10_000)), (1, ""))
    text = f"{value / least:,.10g}{letter}"
    return f"{text}{THIN}%" if unit == "%" else text


def axis_labels(scale: Scale, unit: str) -> tuple[AxisLabel, ...]:
    """Returns the labels of a value axis."""
    return tuple(AxisLabel(scale.y(value), axis_text(value, unit)) for value in scale.ticks)


def slug(title: str) -> str:
    """Returns the id of a chart's element for its title."""
    return "chart-" + re.sub(r"\W+", "-", title.lower()).strip("-")
