# SPDX-License-Identifier: AGPL-3.0-or-later
"""The sample charts cover the hard cases, and both themes show each of them."""

from __future__ import annotations

from tests.unit.web.pages.conftest import Shop
from z4j.web.pages.chart_gallery import HEBREW, make_samples


def test_samples_are_empty_single_typical_with_gaps_and_large() -> None:
    samples = make_samples(1_790_000_000_000_000)
    for charts in (samples.lines, samples.bars):
        lengths = {len(chart.times) for chart in charts}
        assert {0, 1} <= lengths
        assert max(lengths) >= 60
        assert any(value is None for chart in charts for one in chart.series for value in one.values)
    assert any(one.name == HEBREW for chart in samples.lines for one in chart.series)
    assert any(value and value > 1e15 for chart in samples.lines for one in chart.series for value in one.values)


def test_every_chart_is_shown_in_both_themes(shop: Shop) -> None:
    page = shop.get("/patterns").text
    samples = make_samples(1_790_000_000_000_000)
    shown = [chart.title for chart in (*samples.lines, *samples.bars)]
    shown += [histogram.title for histogram in samples.histograms] + [heat.title for heat in samples.heats]
    assert [page.count(f"<h2>{title}</h2>") for title in shown] == [2] * len(shown)
    assert page.count('<figure class="chart') == 2 * len(shown)
