# SPDX-License-Identifier: AGPL-3.0-or-later
"""Template filters of templates/macros/charts.html."""

from __future__ import annotations

from typing import Any, Final

from z4j.rules.charts.sparklines import draw_sparkline
from z4j.web.frame.charts import time_views

FILTERS: Final[dict[str, Any]] = {"line_view": time_views.line_view, "bar_view": time_views.bar_view, "spark_view": draw_sparkline}
