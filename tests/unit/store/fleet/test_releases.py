# SPDX-License-Identifier: AGPL-3.0-or-later
"""When releases were first seen, and when the processes of a worker began."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.database import SECOND, T, database, origin, tell
from z4j.store.fleet import releases
from z4j.store.fleet.releases import ReleaseSight
from z4j.store.names import names
from z4j.store.sqlite.migrate import migrate, migrations

pytestmark = pytest.mark.anyio


async def test_the_earliest_process_of_a_release_is_its_first_sight(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        await tell(store, origin("a", T + 9 * SECOND), origin("b", T), origin("c", T + 5 * SECOND, release="2.0"))
        await tell(store, origin("d", T + 20 * SECOND), origin("e", T + 30 * SECOND, release=""))
        first, second = ReleaseSight("shop", "production", "1.0", T), ReleaseSight("shop", "production", "2.0", T + 5 * SECOND)
        assert await releases.list_sights(store, T, T + 60 * SECOND) == [second, first]
        assert await releases.list_sights(store, T + 1, T + 60 * SECOND, app="shop", environment="production") == [second]
        assert await releases.list_sights(store, T, T + 5 * SECOND) == [first]
        assert await releases.list_sights(store, T, T + 60 * SECOND, environment="staging") == []
        ids = await names.find(store, {"release": "2.0"})
        assert await releases.first_sights(store, ids.values()) == {"2.0": T + 5 * SECOND}


async def test_an_upgrade_knows_the_releases_of_processes_that_are_there(tmp_path: Path) -> None:
    path = tmp_path / "old.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as db:  # as it was before
        for number, text in migrations():
            if number <= 34:
                db.executescript(text)
        db.execute("PRAGMA user_version = 34")
        db.execute("INSERT INTO app (id, name, created_at) VALUES (1, 'shop', 0)")
        db.executemany(
            "INSERT INTO boot (app_id, boot, at, environment_id, release_id) VALUES (1, ?, ?, 3, ?)",
            [("a", 50, 4), ("b", 20, 4), ("c", 0, 4), ("d", 10, 0), ("e", 70, 5)],
        )
    migrate(path)
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("SELECT * FROM release_sight ORDER BY first_at").fetchall() == [(1, 3, 4, 20), (1, 3, 5, 70)]


async def test_starts_of_a_worker_are_those_of_its_environment(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        await tell(store, origin("a", T), origin("b", T + 9 * SECOND, release="2.0", pid=8), origin("c", T, environment="staging"))
        worker = (await names.find(store, {"worker": "w1"}))["worker"]
        found = await releases.list_starts(store, 1, "production", worker, T, T + 60 * SECOND)
        assert [(start.at, start.pid, start.release) for start in found] == [(T + 9 * SECOND, 8, "2.0"), (T, 7, "1.0")]
        assert await releases.list_starts(store, 1, "production", worker, T + 1, T + 2) == []
