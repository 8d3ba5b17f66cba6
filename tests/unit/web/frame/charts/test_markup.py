# SPDX-License-Identifier: AGPL-3.0-or-later
"""The parts of charts that are written without a template: escaped like its output, and the same for any text."""

from __future__ import annotations

import re
from xml.etree import ElementTree

from markupsafe import escape

from z4j.rules.charts.model import Bucket, HeatMap, Histogram, Series, TimeChart
from z4j.web.frame.charts import markup
from z4j.web.frame.charts.histogram_views import heat_view, histogram_view
from z4j.web.frame.charts.texts import Table
from z4j.web.frame.charts.time_views import bar_view, line_view
from z4j.web.frame.templating.escaping import all_escaped

EVIL = "<b a='\">&\x00</b>"
MINUTE = 60_000_000


def test_texts_with_the_separator_are_escaped_one_by_one() -> None:
    for texts in ([], ["a"], ["a", "<", ""], [EVIL, "&", "\x00"], ["\x00"]):
        assert all_escaped(texts) == [str(escape(text)) for text in texts]


def chart(**more: object) -> TimeChart:
    return TimeChart(
        "x", [MINUTE * number for number in range(3)],
        [Series("a", "running", [1, None, 3]), Series(EVIL, "failed", [2, None, 0], links=[EVIL, "", ""])], **more,  # type: ignore[arg-type]
    )  # fmt: skip


def test_a_slot_contains_its_bars_and_those_with_links_of_their_own_follow() -> None:
    html = str(markup.slots(bar_view(chart(links=["/a?b=1&c=2", "/none", "/c"], zone="UTC"))))
    safe = str(escape(EVIL))
    assert html.startswith(f'<a href="/a?b=1&amp;c=2"><title>00:00: a 1, {safe} 2</title><path class="hit"')
    assert f'<a href="{safe}"><title>00:00: {safe} 2</title><path class="s-failed"' in html
    assert '<g><title>00:01: no data</title><path class="hit"' in html, "a slot without data is no link"
    assert "/none" not in html
    assert re.findall(r"<(\w+)", html).count("a") == 3
    ElementTree.fromstring(f"<svg>{html}</svg>".replace("\x00", ""))


def test_lines_have_slots_without_bars() -> None:
    html = str(markup.slots(line_view(chart(zone="UTC"))))
    assert html.count('class="hit"') == html.count("<path") == 3


def test_a_histogram_and_a_heat_map_link_what_they_count() -> None:
    counted = Histogram("x", [Bucket(1_000, 2_000, 5, "/a&b"), Bucket(2_000, 4_000, 0, "/none")])
    html = str(markup.histogram_bars(histogram_view(counted), 120, EVIL))
    assert '<a href="/a&amp;b"><title>' in html
    assert f'<path class="{escape(EVIL)}"' in html
    assert "/none" not in html
    heat = HeatMap("x", [0, MINUTE], [1_000, 2_000], [[0, 7], [None, None]], [["", "/a&b"], ["", ""]], zone="UTC")
    html = str(markup.heat_cells(heat_view(heat)))
    assert html.startswith('<a href="/a&amp;b"><title>00:00, from 2')
    assert html.count("<path") == 1


def test_a_table_has_one_heading_per_row() -> None:
    assert str(markup.rows(Table(("time", EVIL), (("00:00", "<1>"), (EVIL, "2"))))) == (
        f'<tr><th scope="row">00:00</th><td>&lt;1&gt;</td></tr><tr><th scope="row">{escape(EVIL)}</th><td>2</td></tr>'
    )
    assert str(markup.rows(Table(("time",), (("00:00",),)))) == '<tr><th scope="row">00:00</th></tr>'
