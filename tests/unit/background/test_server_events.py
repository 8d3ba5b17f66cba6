# SPDX-License-Identifier: AGPL-3.0-or-later
"""Events that the server adds: each to its task, with what is known of it, and no app waits for another."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.database import SECOND, T, database, origin, task, tell
from tests.unit.background.workers import Heard, states
from z4j.agents.ingest import ingest_facts
from z4j.background import server_events
from z4j.background.server_events import add_events
from z4j.exceptions import StoreError
from z4j.store.sqlite.db import Store
from z4j.store.tasks.stale_tasks import StaleTask
from z4j.store.tasks.tasks import get_task

pytestmark = pytest.mark.anyio


async def start(store: Store) -> list[StaleTask]:
    """One running task of each of two apps."""
    await store.write(lambda db: db.execute("INSERT INTO app (name, created_at) VALUES ('other', 0)").rowcount)
    for app_id, id in ((1, "mine"), (2, "theirs")):
        await tell(store, origin(f"b{app_id}"), task("started", id, T, run=f"b{app_id}.7"), app_id=app_id)
    rows = await store.fetch_all("SELECT id, app_id FROM task ORDER BY app_id")
    return [StaleTask(app_id, "celery", "mine" if app_id == 1 else "theirs", 0, T, f"b{app_id}.7", "w1", row=id) for id, app_id in rows]


async def test_an_event_follows_the_last_one_and_says_what_is_known(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        held, heard = await start(store), Heard()
        [mine] = [of for of in held if of.app_id == 1]
        assert await add_events(store, heard, "lost", [mine], 5, {mine: "<b>gone</b>"}) == 1
        assert await states(store) == {"mine": "lost", "theirs": "running"}
        detail = await get_task(store, mine.row)
        assert detail is not None
        assert (detail.row.ended_at, detail.row.reason, detail.row.error) == (T + 5, "worker_gone", "<b>gone</b>")
        assert set(heard) == {"tasks", "queues", "strip", "errors"}


async def test_without_tasks_nothing_is_written_or_announced(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        heard = Heard()
        assert await add_events(store, heard, "due", []) == 0
        assert heard == []


async def test_the_tasks_of_one_app_do_not_wait_for_those_of_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with database(tmp_path) as store:
        held, heard = await start(store), Heard()
        real = ingest_facts

        async def fail(store: Store, app_id: int, facts: Any) -> Any:
            if app_id == 1:
                raise StoreError("the disk is full")
            return await real(store, app_id, facts)

        monkeypatch.setattr(server_events, "ingest_facts", fail)
        with pytest.raises(StoreError, match="disk is full"):
            await add_events(store, heard, "lost", sorted(held, key=lambda of: of.app_id), SECOND)
        assert await states(store) == {"mine": "running", "theirs": "lost"}
        assert "tasks" in heard
