# SPDX-License-Identifier: AGPL-3.0-or-later
"""Charts as HTML: links, texts, summary and table; safe, small, and nothing that a browser would have to compute."""

from __future__ import annotations

import gzip
import re
from collections.abc import Sequence
from xml.etree import ElementTree

import pytest

from z4j.rules.charts.model import MINUTE, Mark, Series, TimeChart
from z4j.web.frame.charts.time_views import legend, line_view, summary
from z4j.web.frame.render import GZIP_LEVEL, environment
from z4j.web.pages.chart_gallery import make_samples

NOW = 1_790_000_000_000_000
EVIL = "<script>alert('x')</script>\"&"


def html(call: str, **values: object) -> str:
    text: str = environment().from_string("{% import 'macros/charts.html' as charts %}{{ " + call + " }}").render(**values)
    return text


def minutes(count: int) -> Sequence[int]:
    return [NOW // MINUTE * MINUTE + i * MINUTE for i in range(count)]


def two_series(count: int, **more: object) -> TimeChart:
    return TimeChart(
        "Finished and failed", minutes(count),
        [Series("finished", "succeeded", [float(i) for i in range(count)], "/tasks?x=1"), Series("failed", "failed", [0.0] * count)],
        links=[f"/tasks?since={at}" for at in minutes(count)], **more,  # type: ignore[arg-type]
    )  # fmt: skip


@pytest.mark.parametrize("kind", ["lines", "bars"])
def test_every_slot_is_a_link_with_its_values(kind: str) -> None:
    page = html(f"charts.{kind}(chart)", chart=two_series(3))
    links = re.findall(r'<a href="(/tasks\?since=\d+)"><title>([^<]+)</title>', page)
    assert [text for _, text in links] == ["14:13: finished 0, failed 0", "14:14: finished 1, failed 0", "14:15: finished 2, failed 0"]
    assert [int(href.rpartition("=")[2]) for href, _ in links] == minutes(3)


def test_a_layer_with_links_of_its_own_leads_to_its_own_rows() -> None:
    chart = TimeChart("x", minutes(1), [Series("failed", "failed", [3], links=["/tasks?state=failed"])], links=["/tasks"])
    page = html("charts.bars(chart)", chart=chart)
    assert '<a href="/tasks?state=failed"><title>14:13: failed 3</title><path class="s-failed"' in page
    assert '<a href="/tasks"><title>' in page


def test_a_slot_without_data_is_no_link_and_says_so() -> None:
    chart = TimeChart("x", minutes(2), [Series("failed", "failed", [1, None])], links=["/a", "/b"])
    for kind in ("lines", "bars"):
        page = html(f"charts.{kind}(chart)", chart=chart)
        assert '"/b"' not in page
        assert "14:14: no data" in page
        assert 'class="gap"' in page


def test_a_screen_reader_gets_the_chart_in_sentences_and_anybody_its_numbers() -> None:
    chart = two_series(3, marks=[Mark(NOW, "release a1b2c3", "/changes")], unit="per minute", zone="Europe/Berlin")
    page = html("charts.lines(chart)", chart=chart)
    sentences = (
        "Finished and failed, 21 Sep 16:13 to 21 Sep 16:16 Europe/Berlin. finished: 0 per minute to 2 per minute, last 2 per minute. "
        "failed: 0 per minute to 0 per minute, last 0 per minute. 1 mark: release a1b2c3."
    )
    assert f'role="img" aria-label="{sentences}"' in page
    assert '<tr><th scope="row">16:15</th><td>2</td><td>0</td></tr>' in page
    assert summary(TimeChart("x", [], [])) == "x. No data."
    assert summary(TimeChart("x", [NOW], [Series("a", "failed", [None])])).endswith("a: no data.")


def test_many_points_can_be_skipped_by_keyboard() -> None:
    page = html("charts.lines(chart, '-2')", chart=two_series(20))
    assert '<a class="past" href="#chart-finished-and-failed-2">' in page
    assert 'id="chart-finished-and-failed-2"' in page
    assert 'class="past"' not in html("charts.lines(chart)", chart=two_series(3))


def test_lines_of_one_color_differ_in_their_dashes() -> None:
    items = legend([Series(name, "running", []) for name in ("p50", "p95", "p99")] + [Series("failed", "failed", [])])
    assert [item.dash for item in items] == ["", "dash", "dotted", ""]
    page = html(
        "charts.lines(chart)", chart=TimeChart("x", minutes(2), [Series(name, "running", [1, 2]) for name in ("p50", "p95", "p99")])
    )
    assert page.count('class="line s-running dash"') == 1
    assert page.count('class="line dotted"') == 1, "the legend shows the dash too"


def test_marks_are_links_with_their_time() -> None:
    page = html("charts.bars(chart)", chart=two_series(3, marks=[Mark(minutes(3)[1], "paused", "/changes?x=1", "action")]))
    assert '<a href="/changes?x=1"><title>21 Sep 14:14: paused</title><line class="mark action" x1="33.3' in page


def test_a_name_cannot_leave_its_place() -> None:
    chart = TimeChart(EVIL, minutes(2), [Series(EVIL, EVIL, [1, 2], EVIL)], EVIL, [Mark(NOW, EVIL, EVIL)], [EVIL, EVIL], zone="UTC")
    for kind in ("lines", "bars"):
        page = html(f"charts.{kind}(chart)", chart=chart)
        assert "<script" not in page
        ElementTree.fromstring(page)
    assert "<script" not in html("charts.spark([1], evil, evil, evil)", evil=EVIL)


@pytest.mark.parametrize("number", range(7))
def test_samples_are_well_formed_and_draw_no_nonsense(number: int) -> None:
    samples = make_samples(NOW)
    for kind, charts in (("lines", samples.lines), ("bars", samples.bars)):
        if number < len(charts):
            page = html(f"charts.{kind}(chart)", chart=charts[number])
            ElementTree.fromstring(page)
            assert not re.search(r'(?:="|[ MhvL])-?(?:nan|inf)', page)
            assert "style=" not in page


def test_an_empty_chart_says_so() -> None:
    page = html("charts.bars(chart)", chart=TimeChart("Waiting", minutes(2), [Series("a", "failed", [None, None])]))
    assert "No data in this range." in page
    assert "<svg" not in page


@pytest.mark.parametrize("kind", ["lines", "bars"])
def test_a_typical_chart_is_small(kind: str) -> None:
    """At most 6 KB of compressed HTML with 90 points."""
    chart = make_samples(NOW).lines[0]
    assert len(chart.times) == 90
    size = len(gzip.compress(html(f"charts.{kind}(chart)", chart=chart).encode(), GZIP_LEVEL))
    assert size <= 6_000


def test_days_have_no_clock() -> None:
    day = 86_400_000_000
    view = line_view(TimeChart("x", [NOW // day * day, NOW // day * day + day], [Series("a", "failed", [1, 2])]))
    assert [row[0] for row in view.table.rows] == ["21 Sep", "22 Sep"]
