# SPDX-License-Identifier: AGPL-3.0-or-later
"""Template filters of templates/macros/charts.html."""

from __future__ import annotations

from typing import Any, Final

from z4j.rules.charts.sparklines import draw_sparkline
from z4j.web.frame.charts.histogram_views import heat_view, histogram_view
from z4j.web.frame.charts.time_views import bar_view, line_view

FILTERS: Final[dict[str, Any]] = {
    "line_view": line_view,
    "bar_view": bar_view,
    "histogram_view": histogram_view,
    "heat_view": heat_view,
    "spark_view": draw_sparkline,
}
