# SPDX-License-Identifier: AGPL-3.0-or-later
"""Scheduled tasks whose time has come."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.database import SECOND, T, database, origin, task, tell
from tests.unit.background.workers import Heard, states
from z4j.background.due_tasks import DueTasks
from z4j.background.duties import BackgroundDuties
from z4j.store.tasks.tasks import get_task

pytestmark = pytest.mark.anyio


async def test_a_scheduled_task_becomes_queued_when_its_eta_passes(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        heard = Heard()
        house = BackgroundDuties(store, heard)
        await tell(store, origin(), task("enqueued", "a", T, T + 9 * SECOND), task("received", "a", T + SECOND, T + 9 * SECOND))
        assert await house.due_tasks.make_due(T + 9 * SECOND - 1) == 0
        assert await states(store) == {"a": "scheduled"}
        assert await house.due_tasks.make_due(T + 9 * SECOND) == 1
        assert await states(store) == {"a": "queued"}
        assert "tasks" in heard
        assert await house.due_tasks.make_due(T + 99 * SECOND) == 0
        detail = await get_task(store, 1)
        assert detail is not None
        assert (detail.row.worker, detail.row.eta_at) == ("w1", T + 9 * SECOND)


async def test_of_many_scheduled_tasks_only_those_that_are_due_change(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        heard = Heard()
        duty = DueTasks(store, heard)
        assert await duty.make_due(T) == 0
        assert heard == []
        await tell(store, origin(), *(task("enqueued", f"t{n}", T, T + n * SECOND) for n in range(1, 5)))
        await tell(store, task("cancelled", "t1", T + 1, None, None, "revoked"))
        assert await duty.make_due(T + 3 * SECOND) == 2
        assert await states(store) == {"t1": "cancelled", "t2": "queued", "t3": "queued", "t4": "scheduled"}
