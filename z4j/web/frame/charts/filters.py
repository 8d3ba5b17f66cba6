# SPDX-License-Identifier: AGPL-3.0-or-later
"""Template filters of templates/macros/charts.html. Charts over time are drawn in the reader's time zone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from z4j.rules.charts.model import HeatMap, TimeChart
from z4j.rules.charts.sparklines import draw_sparkline
from z4j.web.frame.charts import markup, time_views
from z4j.web.frame.charts.histogram_views import HeatView, histogram_view
from z4j.web.frame.charts.histogram_views import heat_view as heat_map_view
from z4j.web.frame.charts.time_views import TimeView
from z4j.web.frame.times import reader_zone


def line_view(chart: TimeChart) -> TimeView:
    """Returns a line chart with its texts, in the reader's zone unless the page chose another."""
    return time_views.line_view(replace(chart, zone=chart.zone or reader_zone()))


def bar_view(chart: TimeChart) -> TimeView:
    """Returns stacked bars with their texts, in the reader's zone unless the page chose another."""
    return time_views.bar_view(replace(chart, zone=chart.zone or reader_zone()))


def heat_view(heat: HeatMap) -> HeatView:
    """Returns a heat map with its texts, in the reader's zone unless the page chose another."""
    return heat_map_view(replace(heat, zone=heat.zone or reader_zone()))


FILTERS: Final[dict[str, Any]] = {
    "line_view": line_view,
    "bar_view": bar_view,
    "histogram_view": histogram_view,
    "heat_view": heat_view,
    "spark_view": draw_sparkline,
    "slots": markup.slots,
    "histogram_bars": markup.histogram_bars,
    "heat_cells": markup.heat_cells,
    "table_rows": markup.rows,
}
