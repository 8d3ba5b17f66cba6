# SPDX-License-Identifier: AGPL-3.0-or-later
"""Charts over time are drawn in the reader's zone."""

from __future__ import annotations

from z4j.formats import DAY, HOUR
from z4j.rules.charts.model import HeatMap, Series, TimeChart
from z4j.web.frame.charts.filters import bar_view, heat_view, line_view
from z4j.web.frame.times import reading_in

START = 1_795_046_400_000_000
"""2026-11-19 00:00 UTC."""


def chart(step: int, zone: str = "") -> TimeChart:
    times = tuple(START + number * step for number in range(6))
    return TimeChart("Finished", times, (Series("finished", "succeeded", (1.0,) * 6),), step=step, zone=zone)


def test_labels_and_texts_are_local() -> None:
    assert [tick.label for tick in line_view(chart(HOUR)).frame.ticks][:2] == ["19 Nov", "01:00"]
    with reading_in("Asia/Kathmandu"):
        view = line_view(chart(HOUR))
        assert [tick.label for tick in view.frame.ticks][:2] == ["06:00", "07:00"]
        assert view.slots[0].text.startswith("05:45: ")
        assert view.table.rows[1][0] == "06:45"
        assert view.summary.startswith("Finished, 19 Nov 05:45 to 19 Nov 11:45 Asia/Kathmandu.")
        assert bar_view(chart(HOUR)).slots[0].text.startswith("05:45: ")
        heat = HeatMap("Runtimes", tuple(START + number * HOUR for number in range(3)), (1.0, 10.0), ((1, 2),) * 3)
        assert heat_view(heat).table.rows[0][0] == "05:45"
        assert line_view(chart(HOUR, "Europe/Berlin")).slots[0].text.startswith("01:00: "), "the page has chosen"


def test_a_day_of_utc_that_begins_within_a_day_shows_its_hour() -> None:
    assert bar_view(chart(DAY)).table.rows[0][0] == "19 Nov"
    with reading_in("America/New_York"):
        assert bar_view(chart(DAY)).table.rows[0][0] == "18 Nov 19:00"
