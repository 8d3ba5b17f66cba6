# SPDX-License-Identifier: AGPL-3.0-or-later
"""Texts that all charts have: values with their unit, labels of the value axis, the id of the element."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from z4j.formats import DAY, HOUR, NONE, THIN, duration, number, size
from z4j.rules.charts.model import BYTES, DURATION
from z4j.rules.charts.scales import Scale
from z4j.rules.charts.time_axis import moment_text

MANY: Final = 12
"""With more links in a chart, a link before them leads past them."""
_STEPS: Final = ((1_000_000_000_000, "T"), (1_000_000_000, "bn"), (1_000_000, "M"), (1_000, "k"))


@dataclass(frozen=True, slots=True)
class AxisLabel:
    """A label of the value axis."""

    y: float
    text: str


@dataclass(frozen=True, slots=True)
class MarkLine:
    """A mark; `label` is empty where there is no room for it, `text` is complete."""

    x: float
    y: int
    anchor: str
    label: str
    text: str
    href: str
    kind: str


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
        return span_text(value)
    if unit == BYTES:
        return size(round(value))
    return f"{number(value)}{THIN}%" if unit == "%" else f"{number(value)} {unit}".rstrip()


def value_texts(values: Sequence[float | None], unit: str) -> list[str]:
    """Returns the same of many values of one unit, in their order."""
    if not unit:
        return [number(value) for value in values]  # None has the same dash
    return [value_text(value, unit) for value in values]


def span_text(us: float) -> str:
    """A duration with two digits below ten seconds, so that neighboring buckets differ: 1.4 ms, 130 ms, 2 s, 1 m 02 s."""
    if us >= 9_950_000:
        return duration(round(us))
    value, unit = (us / 1_000_000, "s") if us >= 995_000 else (us / 1_000, "ms")
    text = f"{value:.2g}" if value < 99.5 else f"{round(value, -1):g}"
    return f"{text}{THIN}{unit}"


def brief(unit: str) -> str:
    """A word is not repeated in every point."""
    return unit if unit in (DURATION, BYTES, "%") else ""


def axis_text(value: float, unit: str) -> str:
    """The shortest text of a round value: 0, 0.5, 8,000, 20k, 1.5M, 30 s, 5 m."""
    if not value:
        return "0"
    if unit == DURATION:
        return re.sub(rf"{THIN}00?{THIN}[smh]$", "", span_text(value))
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


def label_y(row: int) -> int:
    """Returns the baseline of the label of a mark, in pixels; a mark without a label begins at that of the first row."""
    return 11 + 13 * max(row, 0)


def slot_times(times: Sequence[int], since: int, until: int, slot: int, zone: str) -> list[str]:
    """Returns one text per slot: with the day where the chart is longer than 20 hours, without the clock where all slots begin at the
    beginning of a day in the zone. Days are counted in UTC, so elsewhere their slots begin within a day."""
    if slot >= DAY:
        texts = [moment_text(at, zone, with_day=True) for at in times]
        is_day = all(text.endswith(" 00:00") for text in texts)
        return [text.rpartition(" ")[0] for text in texts] if is_day else texts
    return [moment_text(at, zone, with_day=until - since > 20 * HOUR) for at in times]
