# SPDX-License-Identifier: AGPL-3.0-or-later
"""A change and its audit row are one: neither without the other, and a refusal has a row of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.database import T, database
from tests.unit.operations.alerts.examples import OLGA, VERA
from z4j.exceptions import NotAllowed
from z4j.operations.audited_change import change, check_role
from z4j.store.access.audit import AuditLog
from z4j.store.sqlite.db import Connection, Store

pytestmark = pytest.mark.anyio


async def rows(store: Store) -> list[tuple[str, str, str]]:
    return [(row[0], row[1], row[2]) for row in await store.fetch_all("SELECT target, outcome, detail FROM audit ORDER BY seq")]


async def test_a_change_has_its_row_and_nothing_has_none(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        log = AuditLog(tmp_path)
        await log.start(store, T)

        def add(db: Connection) -> int | None:
            return db.execute("INSERT INTO app (name, created_at) VALUES ('blog', 0)").lastrowid

        def nothing(db: Connection) -> int | None:
            return None

        def fail(db: Connection) -> int | None:
            db.execute("INSERT INTO app (name, created_at) VALUES ('other', 0)")
            raise ValueError("it does not work")

        made = await change(store, log, OLGA, "mark_release", lambda id: f"app {id}", lambda id: {"made": id}, add)
        assert made == 2
        assert await change(store, log, OLGA, "mark_release", lambda id: f"app {id}", {}, nothing) is None
        with pytest.raises(ValueError, match="does not work"):
            await change(store, log, OLGA, "mark_release", lambda id: f"app {id}", {}, fail)
        assert await store.fetch_all("SELECT name FROM app WHERE name = 'other'") == []
        assert await rows(store) == [("app 2", "done", '{"made": 2}')]
        await log.close(store, T)


async def test_a_refusal_says_whom_to_ask_and_has_a_row(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        log = AuditLog(tmp_path)
        await log.start(store, T)
        await check_role(store, log, OLGA, "mark_release", "app 1")
        for action, whom in (("mark_release", "an operator"), ("change_alert_rule", "an administrator")):
            with pytest.raises(NotAllowed, match="No changes were made") as refused:
                await check_role(store, log, VERA, action, "app 1")
            assert refused.value.hint.startswith(f"Ask {whom}")
        assert [row[1] for row in await rows(store)] == ["refused", "refused"]
        await log.close(store, T)
