# SPDX-License-Identifier: AGPL-3.0-or-later
"""Histograms and heat maps as HTML: links, texts, summary and table."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest

from z4j.formats import THIN
from z4j.rules.charts.model import MINUTE, Bucket, HeatMap, Histogram, ValueMark
from z4j.web.frame.charts.histogram_views import heat_view, histogram_view
from z4j.web.frame.render import environment
from z4j.web.pages.chart_gallery import make_samples

NOW = 1_790_000_000_000_000
EVIL = "<script>alert('x')</script>\"&"
MS = f"{THIN}ms"


def html(call: str, value: object) -> str:
    text: str = environment().from_string("{% import 'macros/charts.html' as charts %}{{ charts." + call + "(value) }}").render(value=value)
    return text


def test_every_bar_is_a_link_to_its_tasks() -> None:
    page = html(
        "histogram", Histogram("Ran", [Bucket(1_000, 2_000, 3, "/a"), Bucket(2_000, 4_000, 0, "/b"), Bucket(4_000, 8_000, 1, "/c")])
    )
    links = re.findall(r'<a href="(/\w)"><title>([^<]+)</title>', page)
    assert links == [("/a", f"1{MS} – 2{MS}: 3 tasks"), ("/c", f"4{MS} – 8{MS}: 1 task")]
    assert f'<tr><th scope="row">2{MS} – 4{MS}</th><td>0</td></tr>' in page


def test_percentiles_are_lines_with_their_value() -> None:
    view = histogram_view(Histogram("Ran", [Bucket(1_000, 2_000, 3)], marks=[ValueMark(1_500, "p95"), ValueMark(9_000, "p99")]))
    assert [(mark.label, mark.text) for mark in view.marks] == [("p95", f"p95 1.5{MS}")]
    assert view.summary == f"Ran: 3 tasks, most from 1{MS} – 2{MS}; p95 1.5{MS}; p99 9{MS}."


def test_every_cell_is_a_link_and_the_greatest_come_first_in_the_table() -> None:
    heat = HeatMap("Ran by hour", [NOW, NOW + 60 * MINUTE], [1_000, 2_000], [[2, None], [0, 1]], [["/a", "/b"], ["/c", "/d"]])
    page = html("heat", heat)
    assert re.findall(r'<a href="(/\w)"><title>[^<]+: (\d tasks?)</title>', page) == [("/a", "2 tasks"), ("/d", "1 task")]
    view = heat_view(heat)
    assert [row[2] for row in view.table.rows] == ["2", "1"]
    assert view.cells[1].text.endswith(f"from 2{MS}: 1 task"), "the last row has no upper end"
    assert "most at 14:13:20" in view.summary


@pytest.mark.parametrize("kind", ["histograms", "heats"])
def test_samples_are_well_formed(kind: str) -> None:
    for sample in getattr(make_samples(NOW), kind):
        page = html(kind.removesuffix("s"), sample)
        ElementTree.fromstring(page)
        assert not re.search(r'(?:="|[ MhvL])-?(?:nan|inf)', page)
        assert ("No data in this range." in page) is sample.title.startswith("Empty")


def test_a_name_cannot_leave_its_place() -> None:
    for kind, value in (
        ("histogram", Histogram(EVIL, [Bucket(1, 2, 1, EVIL)], EVIL, EVIL, EVIL, [ValueMark(1.5, EVIL)])),
        ("heat", HeatMap(EVIL, [NOW], [1], [[1]], [[EVIL]], EVIL, EVIL, EVIL)),
    ):
        page = html(kind, value)
        assert "<script" not in page
        ElementTree.fromstring(page)
