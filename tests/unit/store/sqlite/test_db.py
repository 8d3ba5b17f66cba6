# SPDX-License-Identifier: AGPL-3.0-or-later
from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
import stat
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.database import T, create_database, database, life, tell
from z4j.exceptions import StoreError, StoreFull
from z4j.store.names import names
from z4j.store.sqlite import db as store_db
from z4j.store.sqlite import migrate
from z4j.store.sqlite.db import Connection, Store
from z4j.store.sqlite.writer import LOG_PAGES
from z4j.store.tasks import task_ids
from z4j.store.tasks.tasks import TaskFilter, list_tasks

pytestmark = pytest.mark.anyio


def put(key: str, value: str = "v") -> Callable[[Connection], int]:
    return lambda db: db.execute("INSERT INTO setting (key, value) VALUES (?, ?)", (key, value)).rowcount


async def keys(store: Store) -> list[str]:
    return [row[0] for row in await store.fetch_all("SELECT key FROM setting ORDER BY key")]


async def test_a_write_is_readable_when_it_returns(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        assert await store.write(put("a"), durable=True) == 1
        assert await store.write(put("b")) == 1
        assert await keys(store) == ["a", "b"]
        assert await store.fetch_one("SELECT 1 WHERE 0") is None


async def test_one_that_fails_undoes_only_itself(tmp_path: Path) -> None:
    def half(db: Connection) -> None:
        put("half")(db)
        names.intern(db, "name", "half")
        raise ValueError("halfway")

    async with database(tmp_path) as store:
        results = await asyncio.gather(*(store.write(fn) for fn in (put("a"), half, put("b"))), return_exceptions=True)
        assert results[0] == results[2] == 1
        assert isinstance(results[1], ValueError)
        assert await keys(store) == ["a", "b"]
        await store.write(lambda db: names.intern(db, "name", "other"))
        assert await names.find(store, {"name": "half"}) == {}


async def test_many_writers_at_once(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        await asyncio.gather(*(store.write(put(f"{number:03}"), durable=number % 7 == 0) for number in range(300)))
        assert await keys(store) == [f"{number:03}" for number in range(300)]


async def test_a_failed_commit_is_told_to_every_caller(tmp_path: Path) -> None:
    def orphan(db: Connection) -> None:
        db.execute("PRAGMA defer_foreign_keys = 1")
        db.execute("INSERT INTO fault (app_id, key, at, place, error, events) VALUES (99, 'k', 1, '', '', 1)")

    async with database(tmp_path) as store:
        with pytest.raises(StoreError, match="rolled back"):
            await store.write(orphan)
        await store.write(put("after"))
        assert await keys(store) == ["after"]


async def test_a_full_disk_is_told_in_our_words_and_harms_nobody_else(tmp_path: Path) -> None:
    def fill(db: Connection) -> None:
        db.execute(f"PRAGMA max_page_count = {db.execute('PRAGMA page_count').fetchone()[0] + 2}")
        put("large", "x" * 100_000)(db)

    async with database(tmp_path) as store:
        results = await asyncio.gather(*(store.write(fn) for fn in (put("a"), fill)), return_exceptions=True)
        assert isinstance(results[1], StoreError)
        assert "full" in str(results[1])
        await store.write(lambda db: db.execute("PRAGMA max_page_count = 1000000").fetchone())
        await store.write(put("b"))
        assert "large" not in await keys(store)
        assert "b" in await keys(store)
        with sqlite3.connect(store.path) as db:
            assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        db.close()


async def test_readers_cannot_write(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        with pytest.raises(StoreError, match="readonly"):
            await store.fetch_all("INSERT INTO setting (key, value) VALUES ('a', 'b')")
        assert await keys(store) == []


async def test_closing_finishes_what_was_handed_in(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        writes = [asyncio.ensure_future(store.write(put(str(number)))) for number in range(20)]
        await asyncio.sleep(0)
        await store.close()
        assert await asyncio.gather(*writes) == [1] * 20
        with pytest.raises(StoreError, match="closed"):
            await store.write(put("late"))
    with sqlite3.connect(tmp_path / "z4j.db") as db:
        assert db.execute("SELECT count(*) FROM setting").fetchone() == (20,)
    db.close()


async def test_a_caller_that_goes_away_does_not_undo_its_write(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        writing = asyncio.ensure_future(store.write(put("a")))
        await asyncio.sleep(0)
        writing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await writing
        await store.write(put("b"))
        assert await keys(store) == ["a", "b"]


async def test_a_store_needs_the_schema_of_this_release(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="schema 0"):
        await Store(tmp_path / "none.db").start()


async def test_a_copy_while_in_use(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        await tell(store, *life("a", T))
        await store.backup(tmp_path / "copy.db")
        assert stat.S_IMODE(os.stat(tmp_path / "copy.db").st_mode) == 0o600
        with pytest.raises(StoreError, match="exists"):
            await store.backup(tmp_path / "copy.db")
        with pytest.raises(StoreError, match="not changed"):
            await store.backup(tmp_path / "no" / "copy.db")
        await store.checkpoint()
    copy = Store(tmp_path / "copy.db")
    await copy.start()
    assert len((await list_tasks(copy, TaskFilter())).rows) == 1
    await copy.close()


async def test_a_long_log_is_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with database(tmp_path) as store:
        await tell(store, *life("a", T))
        wal = tmp_path / "z4j.db-wal"
        await store.checkpoint()
        assert wal.stat().st_size
        monkeypatch.setattr(store_db, "WAL_LONG", 0)
        await store.checkpoint()
        assert not wal.stat().st_size


async def test_the_log_restarts_while_others_write_without_a_pause(tmp_path: Path) -> None:
    """A checkpoint beside the writer never catches up with it: the writer copies the rest itself, between two commits."""
    async with database(tmp_path) as store:
        await store.write(lambda db: db.execute("CREATE TABLE filler (id INTEGER PRIMARY KEY, data BLOB)").rowcount)
        written = 0

        def write(db: Connection) -> None:
            nonlocal written
            db.execute("REPLACE INTO filler VALUES (abs(random() % 500), randomblob(50000))")
            written += 50_000

        writers = asyncio.gather(*(store.write_steps([write] * 2_000) for _ in range(2)))
        while not writers.done():
            await asyncio.sleep(0.05)
            await store.checkpoint()
        await writers
        longest = (tmp_path / "z4j.db-wal").stat().st_size  # it is never cut here: the longest it has been
    copied_by_a_commit = LOG_PAGES * 4_096
    assert written > 2 * copied_by_a_commit
    assert longest < 0.8 * copied_by_a_commit


# -- migrations --------------------------------------------------------------------------------------------------------
def test_migrating_twice_does_nothing_the_second_time(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "z4j.db"
    assert migrate.migrate(path) == len(migrate.migrations())
    assert migrate.migrate(path) == 0
    assert migrate.version(path) == migrate.newest()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    migrate.check(path)


def test_the_database_of_the_tests_is_what_a_migration_creates(tmp_path: Path) -> None:
    create_database(tmp_path / "copied" / "z4j.db")
    migrate.migrate(tmp_path / "z4j.db")
    copied = tmp_path / "copied" / "z4j.db"
    assert copied.read_bytes() == (tmp_path / "z4j.db").read_bytes()
    assert stat.S_IMODE(copied.stat().st_mode) == 0o600


def test_a_newer_schema_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "z4j.db"
    migrate.migrate(path)
    db = sqlite3.connect(path)
    db.execute("PRAGMA user_version = 99")
    db.close()
    for step in (migrate.migrate, migrate.check):
        with pytest.raises(StoreError, match="newer release"):
            step(path)


def test_another_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "letter.txt"
    path.write_text("dear database, " * 100)
    with pytest.raises(StoreError, match="not a z4j database"):
        migrate.migrate(path)
    assert path.read_text().startswith("dear")


def test_a_copy_is_made_before_a_database_is_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "z4j.db"
    migrate.migrate(path)
    known, old = migrate.migrations(), migrate.newest()
    new = old + 1
    monkeypatch.setattr(migrate, "migrations", lambda: [*known, (new, "CREATE TABLE more (id INTEGER) STRICT;")])
    assert migrate.migrate(path) == 1
    copies = list(tmp_path.glob(f"z4j.db.before-{new}-*"))
    assert [migrate.version(copy) for copy in copies] == [old]
    assert migrate.version(path) == new
    monkeypatch.setattr(migrate, "migrations", lambda: [*known, (new, ""), (new + 1, "CREATE TABLE a (x); CREATE TABLE more (id);")])
    with pytest.raises(StoreError, match="rolled back"):
        migrate.migrate(path)
    assert migrate.version(path) == new
    db = sqlite3.connect(path)
    assert db.execute("SELECT count(*) FROM sqlite_master WHERE name = 'a'").fetchone() == (0,)
    db.close()


# -- task ids ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("2f5a8f0e-8a4f-4c8e-9a35-3f4fd7b1c001", 16),
        ("2F5A8F0E-8A4F-4C8E-9A35-3F4FD7B1C001", 37),
        ("00000000-0000-0000-0000-000000000000", 16),
        ("2f5a8f0e8a4f4c8e9a353f4fd7b1c001", 33),
        ("2f5a8f0e-8a4f4c8e-9a35-3f4fd7b1-c001", 37),
        ("zf5a8f0e-8a4f-4c8e-9a35-3f4fd7b1c001", 37),
        ("fifteen letters", 17),
        ("sixteen letters!", 17),
        ("é" * 10, 21),
        ("a", 2),
    ],
)
def test_a_task_id_comes_back_as_it_went(text: str, length: int) -> None:
    raw = task_ids.encode(text)
    assert len(raw) == length
    assert task_ids.decode(raw) == text


def test_numbering_schedules_keeps_them_and_their_fires(tmp_path: Path) -> None:
    path = tmp_path / "z4j.db"
    with closing(sqlite3.connect(path)) as db:
        for number, text in migrate.migrations()[:5]:
            db.executescript(f"{text}\nPRAGMA user_version = {number};")
        db.execute("INSERT INTO app (name, created_at) VALUES ('shop', 0)")
        db.execute(
            "INSERT INTO schedule (id, app_id, environment, scheduler, key, engine, name, kind, expression, timezone,"
            " task_name, seen_at, next_at) VALUES (7, 1, '', 'z4j', 'k', 'rq', 'nightly', 'cron', '0 2 * * *', 'UTC', 'report', 1, 99)"
        )
        db.execute("INSERT INTO fire (schedule_id, due_at, outcome) VALUES (7, 5, 'sent')")
        db.commit()
    migrate.migrate(path)
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("SELECT id, name, next_at FROM schedule").fetchall() == [(7, "nightly", 99)]
        assert db.execute("SELECT schedule_id, due_at FROM fire").fetchall() == [(7, 5)]
        assert db.execute("PRAGMA foreign_key_check").fetchall() == []
        db.execute("PRAGMA foreign_keys = 1")
        db.execute("DELETE FROM schedule")
        assert db.execute("SELECT count(*) FROM fire").fetchone() == (0,)
        assert db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'schedule'").fetchone() == (7,)


# -- a group that cannot be committed as a whole -------------------------------------------------------------------------
async def test_a_write_too_large_for_the_disk_takes_none_of_its_neighbours_along(tmp_path: Path) -> None:
    """SQLite gives up the whole transaction; the others of the group are committed all the same."""

    def too_large(db: Connection) -> None:
        db.execute(f"PRAGMA max_page_count = {db.execute('PRAGMA page_count').fetchone()[0] + 20}")
        try:
            put("large", "x" * 10_000_000)(db)
        finally:
            if db.in_transaction:
                db.execute("ROLLBACK")  # as SQLite does where it cannot undo a statement alone

    async with database(tmp_path) as store:
        writes = [put("a"), too_large, *(put(f"n{number}") for number in range(20))]
        results = await asyncio.gather(*(store.write(fn) for fn in writes), return_exceptions=True)
        assert isinstance(results[1], StoreFull), results[1]
        assert [result for number, result in enumerate(results) if number != 1] == [1] * 21
        assert len(await keys(store)) == 21


async def test_steps_that_were_undone_with_their_group_are_run_once_more_and_no_more(tmp_path: Path) -> None:
    def gone(db: Connection) -> None:
        db.execute("ROLLBACK")
        raise sqlite3.OperationalError("disk I/O error")

    async with database(tmp_path) as store:
        steps = [put(f"s{number}") for number in range(5)]
        first, second, third = await asyncio.gather(
            store.write_steps(steps), store.write(gone), store.write(put("z")), return_exceptions=True
        )
        assert first == [1] * 5
        assert isinstance(second, StoreError)
        assert third == 1
        assert await keys(store) == ["s0", "s1", "s2", "s3", "s4", "z"]


async def test_steps_without_savepoints_fail_alone_too(tmp_path: Path) -> None:
    def fail(db: Connection) -> int:
        put("half")(db)
        raise ValueError("this step")

    async with database(tmp_path) as store:
        good, bad, other = await asyncio.gather(
            store.write_steps([put(f"a{number}") for number in range(3)], lane=1, may_fail=False),
            store.write_steps([put("b0"), put("b1"), fail, put("b3")], lane=1, may_fail=False),
            store.write(put("z")),
            return_exceptions=True,
        )
        assert (good, other) == ([1] * 3, 1)
        assert isinstance(bad, ValueError)
        assert await keys(store) == ["a0", "a1", "a2", "b0", "b1", "z"]


async def test_what_is_added_up_until_the_commit_is_without_what_failed(tmp_path: Path) -> None:
    class Late:
        def __init__(self, *words: str) -> None:
            self.words = list(words)

        def merge(self, later: Late) -> None:
            self.words += later.words

        def write(self, db: Connection) -> None:
            put("+".join(self.words))(db)

    def step(word: str, *, fails: bool = False) -> Callable[[Connection], None]:
        def add(db: Connection) -> None:
            db.add_late(Late(word))
            with contextlib.suppress(ValueError), db.part():
                db.add_late(Late("lost"))
                raise ValueError
            if fails:
                raise ValueError("this step")

        return add

    async with database(tmp_path) as store:
        steps = [store.write(step("a"), lane=1), store.write(step("b", fails=True), lane=1), store.write(step("c"), lane=1)]
        await asyncio.gather(*steps, return_exceptions=True)
        written = await keys(store)
        assert sorted("+".join(written).split("+")) == ["a", "c"], written


async def test_a_connection_that_is_of_no_use_is_opened_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def close(db: Connection) -> None:
        db.close()

    async with database(tmp_path) as store:
        for _ in range(3):
            with pytest.raises(StoreError):
                await store.write(close)
        assert await store.write(put("after")) == 1
    assert caplog.text.count("writes to the database failed") == 1, "logged once a minute and cause"


ADD_TO_COUNTER = "INSERT INTO counter VALUES (1, ?, 0, 0, 0, 0, ?) ON CONFLICT DO UPDATE SET tasks = tasks + excluded.tasks"


async def test_sums_of_a_group_are_written_once_and_without_what_failed(tmp_path: Path) -> None:
    written: list[int] = []

    def added(tasks: int, *, fails: bool = False) -> Callable[[Connection], None]:
        def step(db: Connection) -> None:
            db.add_sums(ADD_TO_COUNTER, {(7,): (tasks,)})
            with contextlib.suppress(ValueError), db.part():
                db.add_sums(ADD_TO_COUNTER, {(7,): (1_000,)})
                raise ValueError("this part")
            with db.part():
                db.add_sums(ADD_TO_COUNTER, {(8,): (tasks,)})
            if fails:
                raise ValueError("this step")

        return step

    def look(db: Connection) -> None:
        written.append(db.execute("SELECT coalesce(sum(tasks), 0) FROM counter WHERE environment_id = 7").fetchone()[0])

    async with database(tmp_path) as store:
        steps = [added(5), added(100, fails=True), added(-2), look]
        await asyncio.gather(*(store.write(step, lane=1) for step in steps), return_exceptions=True)
        await store.write(look)
        assert await store.fetch_all("SELECT environment_id, tasks FROM counter") == [(7, 3), (8, 3)]
        assert written[-1] == 3
        # The server's own steps see those of the same group.
        await store.write_steps([added(4), look])
        assert written[-1] == 7
