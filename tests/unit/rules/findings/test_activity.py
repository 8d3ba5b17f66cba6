# SPDX-License-Identifier: AGPL-3.0-or-later
"""Counts of the last minutes."""

from __future__ import annotations

from tests.unit.rules.findings.examples import hour, name, queue
from z4j.rules.findings.activity import Counts


def test_counts_add_up() -> None:
    assert name(Counts(2, 1, 1, 0), minutes=2, earlier=Counts()).last(60) == Counts(4, 2, 2, 0)
    assert Counts(5, 4, 1).bad_share == 0.25
    assert Counts().bad_share == 0


def test_an_hour_with_few_runs_has_no_percentile() -> None:
    assert hour(started=5).percentile(0.5, 10) is None
    assert hour(started=100, ms=100).percentile(0.5, 10) is not None


def test_the_backlog_is_what_the_broker_reports_where_it_does() -> None:
    assert queue(depth=7, queued=20).backlog == 7
    assert queue(depth=None, queued=20).backlog == 20
