# SPDX-License-Identifier: AGPL-3.0-or-later
"""Figures of tasks, with their limits. Counters and exemplars through /metrics: tests.unit.web.pages.monitoring.test_metrics.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.database import SECOND, T, database, life, tell
from z4j.operations.metrics.collector import Scrape
from z4j.operations.metrics.task_metrics import TaskMetrics

pytestmark = pytest.mark.anyio


async def test_a_label_set_keeps_its_series_when_others_come(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        metrics = TaskMetrics(store, 8)
        await tell(store, *(record for n in range(8) for record in life(f"a{n}", T + n * SECOND, name=f"n{n}", queue="q")))
        first = Scrape()
        await metrics.collect(first)
        await tell(store, *(record for n in range(30) for record in life(f"b{n}", T + n * SECOND, name=f"m{n}", queue="q")))
        second = Scrape()
        await metrics.collect(second)
        for labels, count in first.values["z4j_tasks_enqueued_total"].items():
            assert second.values["z4j_tasks_enqueued_total"][labels] >= count
        assert sum(second.values["z4j_tasks_enqueued_total"].values()) == 38
        assert len(second.histograms["z4j_task_runtime_seconds"]) == 3, "a quarter, and the others"
        assert sum(sample.counts[-1] for sample in second.histograms["z4j_task_runtime_seconds"].values()) == 38
        assert metrics.hidden > 0


async def test_a_long_or_secret_task_id_is_no_example_in_clear(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        await tell(store, *life("x" * 200, T, name="n", queue="q"))
        scrape = Scrape()
        await TaskMetrics(store, 8).collect(scrape)
        [sample] = scrape.histograms["z4j_task_runtime_seconds"].values()
        assert sample.exemplars == {}
