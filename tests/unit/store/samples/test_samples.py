# SPDX-License-Identifier: AGPL-3.0-or-later
"""The newest tasks of a name and of a queue."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.database import SECOND, T, database, life, origin, task, tell
from z4j.rules.history.callers import Caller
from z4j.rules.rollups import MINUTE_US
from z4j.store.rollups import series_history
from z4j.store.samples import name_sample, queue_sample

pytestmark = pytest.mark.anyio


async def test_the_slowest_tasks_and_the_workers_of_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with database(tmp_path) as store:
        slow = task("succeeded", "slow", T + 9 * SECOND, T, T + SECOND, 8_000_000, "ok")
        await tell(store, origin(), *life("one", T - SECOND), slow, task("enqueued", "waits", T + SECOND))
        place = await series_history.find_place(store, "name", "shop.ship", "", "", "")
        assert place is not None
        sample = await name_sample.sample_of_name(store, place, T - 5 * SECOND)
        assert [(each.task_id, each.runtime_us, each.worker, each.state) for each in sample.slowest] == [
            ("slow", 8_000_000, "w1", "succeeded"), ("one", 900_000, "w1", "succeeded"),
        ]  # fmt: skip
        assert (sample.read, sample.is_cut, sample.workers) == (3, False, (("w1", 2),))
        monkeypatch.setattr(name_sample, "READ", 1)
        assert (await name_sample.sample_of_name(store, place, 0)).is_cut
        assert (await name_sample.sample_of_name(store, place, T + 60 * SECOND)).read == 0


async def test_callers_and_names_of_a_queue(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        root = task("enqueued", "root", T, name="shop.root", queue="other")
        await tell(
            store, origin(), root,
            *[task("enqueued", f"r{number}", T, None, {"route": "POST /orders", "code": "shop/views.py:31"}) for number in range(3)],
            task("enqueued", "c", T, None, {"code": "shop/cron.py:8"}),
            task("enqueued", "p", T, None, {"parent_id": "root"}, name="shop.mail"),
            task("enqueued", "n", T),
        )  # fmt: skip
        place = await series_history.find_place(store, "queue", "work", "shop", "production", "celery")
        assert place is not None
        callers = await queue_sample.callers_before(store, place, T + SECOND, 0)
        assert callers.read == 6
        assert callers.tasks == {
            Caller("route", "POST /orders"): 3, Caller("code", "shop/cron.py:8"): 1, Caller("parent", "shop.root"): 1, Caller("", ""): 1,
        }  # fmt: skip
        assert (await queue_sample.callers_before(store, place, T, 0)).read == 0
        assert (await queue_sample.callers_before(store, place, T + SECOND, T + 1)).read == 0
        now, before = await queue_sample.entered_by_name(store, place, T + MINUTE_US)
        assert now == {"shop.ship": 5, "shop.mail": 1}
        assert before is None  # nothing was counted then
        later, week_ago = await queue_sample.entered_by_name(store, place, T + queue_sample.WEEK_US)
        assert (later, week_ago) == ({}, now)
