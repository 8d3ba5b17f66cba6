# SPDX-License-Identifier: AGPL-3.0-or-later
"""Charts from sums: what is not known is missing, what is known adds up, and links lead to the tasks of a slot."""

from __future__ import annotations

import pytest

from z4j.rules.history.ranges import HEAT, SPANS, Window, window
from z4j.rules.rollups import HOUR_US, MINUTE_US, bucket_of
from z4j.store.rollups.rollups import Histograms, QueueReport, Sums, WorkerSums
from z4j.store.rollups.series_history import History
from z4j.web.frame.times import when
from z4j.web.pages import history_charts as charts
from z4j.web.pages.tasks.filters import Filters

NOW = 500_000 * HOUR_US + 30_000_000
ROWS = Filters(name="shop.ship", app="shop")


def made(found: Window, counted_from: int | None = 0) -> History:
    slot = found.slots[-2]
    sums = Sums(enqueued=9, started=6, succeeded=3, failed=1, lost=1)
    ran = {bucket_of(1_000): 90, bucket_of(2_000_000): 10}
    return History(found, {slot: sums}, {slot: Histograms(ran, {bucket_of(50_000): 5})}, {}, counted_from, 0, 1.0)


def test_rates_are_per_minute_and_missing_before_anything_was_counted() -> None:
    found = window(SPANS["90m"], NOW)
    chart = charts.rates(made(found, found.slots[-4]), ROWS, "Rates", charts.COLUMNS_OF_NAME)
    assert [series.name for series in chart.series] == ["started", "ended", "failed", "retried"]
    assert [series.values[-2] for series in chart.series] == [6, 5, 2, 0]
    assert ["state=" in series.href for series in chart.series] == [False, False, True, False]
    assert chart.series[0].values[-5:] == (None, 0, 0, 6, 0)
    assert all(value is None for value in charts.rates(made(found, None), ROWS, "x", charts.COLUMNS_OF_QUEUE).series[0].values)


@pytest.mark.parametrize("key", SPANS)
def test_a_link_of_a_slot_has_its_times(key: str) -> None:
    found = window(SPANS[key], NOW)
    links = charts.slot_links(found, ROWS)
    assert len(links) == len(found.slots)
    assert links[0].startswith("/tasks?name=shop.ship&app=shop&since=")
    since, until = (part.partition("=")[2] for part in links[0].split("&")[-2:])
    assert (when(since, NOW), when(until, NOW)) == (found.since, found.since + found.slot_us)
    assert charts.slot_links(found, Filters())[0].startswith("/tasks?since=")


def test_percentiles_are_those_of_the_slot() -> None:
    chart = charts.percentiles(made(window(SPANS["90m"], NOW)), "ran", ROWS)
    p50, p95, p99 = (series.values for series in chart.series)
    assert p50[-2] == pytest.approx(1_000, rel=0.1)
    assert p95[-2] == p99[-2] == pytest.approx(2_000_000, rel=0.1)
    assert p50[-1] is None
    assert charts.shares_of({}) == (("p50", None), ("p95", None), ("p99", None))


def test_a_histogram_holds_every_task_without_a_hole() -> None:
    histogram = charts.distribution(made(window(SPANS["90m"], NOW)), "ran", ROWS)
    assert sum(bucket.count for bucket in histogram.buckets) == 100
    assert len(histogram.buckets) <= charts.MOST_BARS
    assert "q=ran:%3E%3D" in histogram.buckets[0].href
    assert charts.distribution(made(window(SPANS["90m"], NOW)), "waited", ROWS).buckets[0].count == 5
    empty = History(window(SPANS["90m"], NOW), {}, {}, {}, None, 0, 1.0)
    assert charts.distribution(empty, "ran", ROWS).buckets == ()


def test_a_heat_map_has_a_column_per_two_hours_and_few_rows() -> None:
    found = window(HEAT, NOW)
    slot = found.slots[3]
    wide = {bucket_of(10**power): power for power in range(1, 11)}
    heat = charts.heat(found, {slot: wide}, ROWS)
    assert len(heat.times) == 84
    assert len(heat.rows) <= charts.HEAT_ROWS
    assert heat.counts[4] == [None] * len(heat.rows)
    assert sum(count or 0 for count in heat.counts[3]) >= sum(range(2, 11))
    assert [bool(link) for link in heat.links[3]] == [bool(count) for count in heat.counts[3]]
    assert charts.heat(found, {}, ROWS).counts[0] == [None]


def test_a_slot_without_a_report_is_a_gap_and_what_no_broker_reports_has_no_line() -> None:
    found = window(SPANS["7d"], NOW)
    slots = {found.since: QueueReport(3, 3, 3, 700, None, 2)}
    chart = charts.depths(found, slots, ROWS, ())
    assert [(series.name, series.values[0], series.values[1]) for series in chart.series] == [("in broker", 3, None), ("dead", 2, None)]
    assert charts.oldest(found, slots, ROWS, ()).series[0].values[0] == 700


def test_a_worker_is_busy_for_the_share_of_what_it_can_run() -> None:
    found = window(SPANS["90m"], NOW)
    slot = found.slots[-2]
    sums = {slot: WorkerSums(4, 1, 60_000_000)}
    ended, busy = charts.worker_charts(found, sums, ROWS, 2, ())
    assert [series.values[-2] for series in ended.series] == [4, 1]
    assert busy.series[0].values[-2] == 50
    assert charts.worker_charts(found, {slot: WorkerSums(1, 0, 10 * MINUTE_US)}, ROWS, None, ())[1].series[0].values[-2] == 100
