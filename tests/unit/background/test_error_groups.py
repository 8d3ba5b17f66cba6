# SPDX-License-Identifier: AGPL-3.0-or-later
"""The duty that looks after error groups: what was stored before them, limits of ignoring, what is too old."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.support.contents import errors_as_counted, errors_as_kept
from tests.support.database import SECOND, T, database, life, origin, tell
from z4j.background.error_groups import HOURS_KEPT_US, UNUSED_US, ErrorGroups
from z4j.store.errors import error_actions, error_groups
from z4j.store.errors.error_groups import ErrorFilter
from z4j.store.sqlite.db import Connection, Store

pytestmark = pytest.mark.anyio
TABLES = ("error_group", "error_fingerprint", "error_task", "error_place", "error_hour")


def forget_all(db: Connection) -> None:
    """The database as an earlier release leaves it, after the migration."""
    for table in TABLES:
        db.execute(f"DELETE FROM {table}")
    db.execute("INSERT INTO error_backlog SELECT 1, max(id) + 1 FROM task")
    db.forget()


async def counted(store: Store) -> bool:
    return await store.write(lambda db: bool(errors_as_kept(db)) and errors_as_kept(db) == errors_as_counted(db))


async def test_what_was_stored_before_is_grouped_in_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(error_actions, "BACKLOG", 3)
    async with database(tmp_path) as store:
        changed: list[Iterable[str]] = []
        duty = ErrorGroups(store, changed.append, 365)
        for n in range(8):
            await tell(store, origin(), *life(f"t{n}", T + n * SECOND, "failed" if n % 2 else "succeeded"))
        before = await store.write(errors_as_kept)
        await store.write(forget_all)
        assert await error_groups.read_backlog(store) is not None
        await tell(store, *life("new", T, "failed"))  # meanwhile
        await duty.round(T)
        assert await error_groups.read_backlog(store) is None
        assert await error_groups.grouped_since(store) is None
        assert await counted(store)
        after = await store.write(errors_as_kept)
        assert [counts for (table, _), counts in after.items() if table == "group"] == [
            (counts[0] + 1, counts[1] + 1, *counts[2:]) for (table, _), counts in before.items() if table == "group"
        ]  # fmt: skip
        assert changed == [("errors",)]
        assert await duty.round(T + 1) == 0
        assert len(changed) == 1


async def test_ignoring_ends_and_what_is_old_goes(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        duty = ErrorGroups(store, lambda topics: None, 365)
        await tell(store, origin(), *life("a", T, "failed"))
        await duty.round(T)
        [group] = (await error_groups.list_groups(store, ErrorFilter(), None, 9))[0]
        await store.write(lambda db: error_actions.set_state(db, group.id, "ignored", actor="ann", at=T, until=T + 50))
        await duty.round(T + 49)
        assert (await error_groups.list_groups(store, ErrorFilter(states=("ignored",)), None, 9))[0]
        await duty.round(T + 50)
        assert (await error_groups.list_groups(store, ErrorFilter(states=("unresolved",)), None, 9))[0]
        assert await duty.clean(T + HOURS_KEPT_US + 2 * 3_600_000_000) == 0  # its task is stored
        assert await store.fetch_all("SELECT count(*) FROM error_hour") == [(0,)]
        await store.write(lambda db: db.execute("UPDATE error_group SET stored = 0").rowcount)
        assert await duty.clean(T + UNUSED_US) == 0
        assert await duty.clean(T + UNUSED_US + 10 * SECOND) == 1
