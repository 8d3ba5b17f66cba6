# SPDX-License-Identifier: AGPL-3.0-or-later
"""Groups without tasks and old hours are deleted; what people said about a group keeps it longer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.database import T, database, origin, task, tell
from z4j.clock import DAY_US
from z4j.rules.errors.splits import MESSAGE, Split
from z4j.store.errors import error_actions, error_changes, error_groups, error_retention, error_splits
from z4j.store.errors.error_changes import HOUR_US
from z4j.store.errors.error_groups import ErrorFilter
from z4j.store.errors.error_retention import Unused
from z4j.store.sqlite.db import Store
from z4j.store.tasks import bulk_deletion

pytestmark = pytest.mark.anyio
ALL = ("unresolved", "ignored", "resolved", "regressed")


def failed(id: str, error: str, at: int = T, message: str = "no") -> list[Any]:
    return task("failed", id, at, at, at, 9, "", error, message, "")


async def ids(store: Store) -> list[int]:
    return sorted(group.id for group in (await error_groups.list_groups(store, ErrorFilter(states=ALL), None, 100))[0])


async def delete_tasks(store: Store) -> None:
    rows = [row[0] for row in await store.fetch_all("SELECT id FROM task")]
    await store.write(lambda db: bulk_deletion.delete_tasks(db, rows))


async def delete(store: Store, which: Unused) -> int:
    listed = await error_retention.list_unused(store, which)
    return await store.write(lambda db: error_retention.delete_groups(db, listed, which))


async def test_a_group_without_tasks_goes_unless_somebody_wrote_about_it(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        await tell(store, origin(), *(failed(name, f"{name}Error") for name in ("Plain", "Noted", "Given", "Link", "Ignored")))
        plain, noted, given, link, ignored = await ids(store)
        await store.write(lambda db: error_actions.set_note(db, noted, "known", ""))
        await store.write(lambda db: error_actions.set_note(db, link, "", "https://wiki.example/"))
        await store.write(lambda db: error_actions.set_assigned(db, given, "ann"))
        await store.write(lambda db: error_actions.set_state(db, ignored, "ignored", actor="ann", at=T))
        which = Unused(T + 1, T)
        assert await error_retention.list_unused(store, which) == []
        await delete_tasks(store)
        assert await error_retention.list_unused(store, Unused(T, T)) == []
        assert await error_retention.list_unused(store, which) == [plain]
        assert await error_retention.list_unused(store, Unused(T + 1, T, app_id=2)) == []
        assert await error_retention.list_unused(store, Unused(T + 1, T, app_id=1)) == [plain]
        assert await store.write(lambda db: error_retention.delete_groups(db, [plain, noted], Unused(T, T))) == 0
        assert await delete(store, which) == 1
        assert await ids(store) == [noted, given, link, ignored]
        assert await store.fetch_all("SELECT count(*) FROM error_hour") == [(4,)]
        await tell(store, failed("new", "PlainError", T + 5))
        assert len(await ids(store)) == 5
        assert await delete(store, Unused(T + 9, T + 1)) == 4, "in the end they go as well"
        assert len(await ids(store)) == 1


async def test_what_was_merged_or_split_stays_as_long_as_a_note_and_goes_whole(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        await tell(store, origin(), *(failed(name, f"{name}Error") for name in ("One", "Two", "Three")))
        await tell(store, failed("eu", "StockError", T, "not in 'eu'"), failed("us", "StockError", T, "not in 'us'"))
        one, two, three, stock = await ids(store)
        await store.write(lambda db: error_actions.merge(db, one, two))
        await store.write(lambda db: error_actions.merge(db, two, three))
        part = await store.write(lambda db: error_splits.split_off(db, stock, Split(MESSAGE, "*'us'")))
        await store.write(lambda db: error_changes.add_action(db, one, "ann", "note", "", T))
        await delete_tasks(store)
        assert await error_retention.list_unused(store, Unused(T + 1, T)) == []
        assert await error_retention.list_unused(store, Unused(T + 1, T + 1)) == [three, stock, part]
        assert await delete(store, Unused(T + 1, T + 1)) == 3
        for table in ("error_group", "error_fingerprint", "error_place", "error_hour", "error_action", "error_split"):
            assert await store.fetch_all(f"SELECT count(*) FROM {table}") == [(0,)], table
        await tell(store, failed("us2", "StockError", T, "not in 'us'"))
        assert len(await ids(store)) == 1


async def test_old_hours_go_also_of_one_app(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        await store.write(lambda db: db.execute("INSERT INTO app (name, created_at) VALUES ('other', 0)").rowcount)
        for app in (1, 2):
            await tell(store, origin(), *(failed(f"t{n}", "OneError", T - n * HOUR_US) for n in range(4)), app_id=app)
        assert await store.write(lambda db: error_retention.delete_hours(db, T - HOUR_US, 1, app_id=2)) == (True, 2)
        assert await store.fetch_all("SELECT count(*) FROM error_hour") == [(6,)]
        assert await store.write(lambda db: error_retention.delete_hours(db, T, 1)) == (True, 4)
        assert await store.write(lambda db: error_retention.delete_hours(db, T + DAY_US, 0)) == (True, 2)


async def test_the_history_of_a_group_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(error_changes, "ACTIONS", 3)
    async with database(tmp_path) as store:
        await tell(store, origin(), failed("a", "OneError"), failed("b", "TwoError"))
        for n in range(5):
            for group in (1, 2):
                await store.write(lambda db, group=group, n=n: error_changes.add_action(db, group, "ann", f"{n}", "", T + n))  # type: ignore[misc]
        assert [action.action for action in await error_groups.list_actions(store, 1)] == ["4", "3", "2"]
        assert await store.fetch_all("SELECT count(*) FROM error_action") == [(6,)]
