# SPDX-License-Identifier: AGPL-3.0-or-later
"""The settings of a demo."""

from __future__ import annotations

from pathlib import Path

from z4j.demo.run import demo_settings
from z4j.settings import Settings


def test_a_demo_keeps_its_month_and_makes_no_backups() -> None:
    made = demo_settings(Settings(data=Path("demo"), days_kept=1, backups_daily=3), 7_701)
    assert (made.data, made.port, made.has_backups) == (Path("demo"), 7_701, False)
