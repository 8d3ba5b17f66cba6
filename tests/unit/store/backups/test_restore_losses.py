# SPDX-License-Identifier: AGPL-3.0-or-later
"""What a restore would lose, and that nothing which was executed after the backup is executed again."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.support.database import T, life, tell
from tests.support.scheduling import House, house
from z4j.rules.forwarding.target import TargetRequest
from z4j.store.access.audit import AuditLog
from z4j.store.backups import prepared_restore, restore_losses
from z4j.store.backups.restore_losses import Silenced, find_changes, read_decided, settle, silence
from z4j.store.forwarding import targets
from z4j.store.sqlite.db import Store
from z4j.store.sqlite.verified_copy import copy_database

pytestmark = pytest.mark.anyio


def connect(path: Path) -> closing[sqlite3.Connection]:
    return closing(sqlite3.connect(path, isolation_level=None))


def rows(path: Path, sql: str) -> list[tuple[Any, ...]]:
    with connect(path) as db:
        return db.execute(sql).fetchall()


async def restore(store: Store, folder: Path, copy: Path, at: int) -> None:
    """What `z4j restore` does, after the server has stopped."""
    prepared = prepared_restore.prepare(copy, store.path, migrates=True)
    prepared.apply(AuditLog(folder), at, "root", "restore")


@pytest.mark.parametrize("catch_up", ["skip", "once", "all"])
async def test_a_due_time_that_was_decided_after_the_backup_is_not_decided_again(tmp_path: Path, catch_up: str) -> None:
    async with house(tmp_path) as made:
        made.agent()
        id = await made.make(catch_up=catch_up)
        copy_database(made.store.path, tmp_path / "backup.db")
        for _ in range(3):
            await made.go(60)
        assert len(made.sent) == 3
        await made.answer(made.sent[0])
        await made.store.close()
        await restore(made.store, tmp_path, tmp_path / "backup.db", made.at + 9)
        store = Store(tmp_path / "z4j.db")
        await store.start()
        try:
            again = House(store, tmp_path)
            again.at = made.at
            again.agent("b2", spool="s2")
            assert await again.outcomes(id) == [(60, "sent"), (120, "unknown"), (180, "unknown")]
            await again.go(30)
            assert again.sent == []
            await again.go(30)
            assert len(again.sent) == 1
        finally:
            await store.close()


async def test_commands_end_plans_pause_and_sessions_are_gone(tmp_path: Path) -> None:
    async with house(tmp_path) as made:
        path = made.store.path
        await made.store.write(_open_work)
        copy_database(path, tmp_path / "backup.db")
        with connect(tmp_path / "backup.db") as db:
            settle(db, None, T + 5)
    copy = tmp_path / "backup.db"
    assert rows(copy, "SELECT id, status, ended_at, sealed FROM command ORDER BY id") == [
        ("a", "unknown", T + 5, ""), ("b", "done", 4, ""),
    ]  # fmt: skip
    assert json.loads(rows(copy, "SELECT detail FROM command WHERE id = 'a'")[0][0]) == {"error": restore_losses.WHY}
    assert rows(copy, "SELECT status, note FROM plan ORDER BY id") == [("paused", restore_losses.PAUSED), ("frozen", "")]
    assert rows(copy, "SELECT count(*) FROM login_link") == [(0,)]


def _open_work(db: Any) -> None:
    command = "INSERT INTO command (id, app_id, engine, action, params, status, asked_by, created_at, expires_at, ended_at, sealed)"
    db.execute(f"{command} VALUES ('a', 1, 'celery', 'run_task', '{{}}', 'sent', 'ada', 1, 9, NULL, 'x'), ('b', 1, 'celery', 'x', '{{}}', "
               "'done', 'ada', 1, 9, 4, '')")  # fmt: skip
    plan = "INSERT INTO plan (key, action, params, source, author, reason, status, created_at)"
    for key, status in (("k1", "running"), ("k2", "frozen")):
        db.execute(f"{plan} VALUES ('{key}', 'retry_task', '{{}}', '', 'ada', '', '{status}', 1)")
    db.execute("INSERT INTO login_link VALUES (x'01', 'setup', NULL, 9, NULL)")


async def test_nobody_is_notified_twice(tmp_path: Path) -> None:
    async with house(tmp_path) as made:
        store = made.store

        def work(db: Any) -> None:
            columns = "name, kind, shown, sealed, is_enabled, is_weekly, weekly_at, changed_by, changed_at"
            for name in ("hook", "off"):
                values = (name, name == "hook")
                db.execute(f"INSERT INTO alert_channel ({columns}) VALUES (?, 'webhook', 'x', '', ?, 0, 1, 'ada', 1)", values)
            columns = "id, channel_id, kind, body, created_at, due_at, next_at"
            for id in ("delivered", "waiting"):
                db.execute(f"INSERT INTO alert_message ({columns}) VALUES (?, 1, 'fired', '{{}}', 1, 1, 1)", (id,))
            request = TargetRequest("siem", "json", "file:a")
            targets.put_target(db, None, request, shown="x", from_beginning=True, is_enabled=True, actor="ada", at=1)

        await store.write(work)
        for name in ("same", "unreadable", "elsewhere"):
            copy_database(store.path, tmp_path / f"{name}.db")
        await store.write(
            lambda db: db.execute("UPDATE alert_message SET next_at = NULL, outcome = 'delivered' WHERE id = 'delivered'").rowcount
        )
        with connect(store.path) as replaced:
            decided = read_decided(replaced)
        for name, known, expected in (
            ("same", decided, Silenced(1)), ("unreadable", None, Silenced()), ("elsewhere", None, Silenced(2, ("hook",), ("siem",))),
        ):  # fmt: skip
            with connect(tmp_path / f"{name}.db") as db:
                assert silence(db, known, T, is_elsewhere=name == "elsewhere") == expected, name
    outcome = "SELECT outcome FROM alert_message ORDER BY id"
    assert rows(tmp_path / "same.db", outcome) == [("withdrawn",), ("",)], "an undelivered message is still sent"
    assert rows(tmp_path / "elsewhere.db", outcome) == [("withdrawn",), ("withdrawn",)]
    for table in ("alert_channel", "forward_target"):
        assert rows(tmp_path / "same.db", f"SELECT max(is_enabled) FROM {table}") == [(1,)]
        assert rows(tmp_path / "elsewhere.db", f"SELECT max(is_enabled) FROM {table}") == [(0,)]


async def test_the_preview_counts_what_is_new_and_names_what_becomes_active_again(tmp_path: Path) -> None:
    async with house(tmp_path) as made:
        store = made.store
        await tell(store, *life("old", T))
        user = "INSERT INTO user (name, password_hash, role, created_at) VALUES"
        token = "INSERT INTO token (kind, secret_hash, label, hint, created_at, created_by) VALUES ('api',"
        await store.write(lambda db: (db.execute(f"{user} ('ada', '', 'admin', 1)"), db.execute(f"{token} x'01', 'ci', 'z4', 1, '')")))
        copy_database(store.path, tmp_path / "backup.db")
        await tell(store, *life("new", T), *life("newer", T))
        await made.make(name="late")
        await store.write(lambda db: db.execute(f"{user} ('bea', '', 'viewer', 1)"))
        await store.write(lambda db: db.execute("UPDATE user SET disabled_at = 5 WHERE name = 'ada'"))
        await store.write(lambda db: (db.execute(f"{token} x'02', 'cd', 'z5', 1, '')"), db.execute("UPDATE token SET revoked_at = 5")))
        with connect(store.path) as replaced, connect(tmp_path / "backup.db") as restored:
            found = find_changes(replaced, restored)
            decided = read_decided(replaced)
            settle(restored, decided, T)
            assert restored.execute("SELECT value FROM setting WHERE key = 'newest_task'").fetchone() == (str(decided.newest_task),)
    assert found.tasks == 2
    assert found.created == {"users": ["bea"], "tokens": ["cd (z5…)"], "apps": [], "schedules": ["late"]}
    assert found.active_again == {"users": ["ada"], "tokens": ["ci (z4…)"], "apps": [], "schedules": []}
    assert decided.newest_task == 3
