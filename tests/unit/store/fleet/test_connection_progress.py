# SPDX-License-Identifier: AGPL-3.0-or-later
from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.database import SECOND, T, database, life, origin
from tests.unit.store.fleet.test_agents import say_hello
from z4j.agents.ingest import ingest_batch
from z4j.store.access import tokens
from z4j.store.fleet import agents, connection_progress
from z4j.store.fleet.connection_progress import Reported
from z4j.wire.frames import Discovery, TaskItem
from z4j_agent import wire

pytestmark = pytest.mark.anyio


async def test_what_came_of_a_connection_string(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        id = await store.write(
            lambda db: tokens.add_token(db, kind="agent", hash=b"h", label="shop", hint="z4a_", app_id=1, role=None, at=T, by="ada")
        )
        string = await connection_progress.find_string(store, id)
        assert string is not None
        assert (string.app, string.created_at, string.used_at) == ("shop", T, None)
        assert await connection_progress.read_reported(store, 1, "celery", T) == Reported(0, None, "", "")

        await say_hello(store, "b1", T)
        found = Discovery("celery", [TaskItem("shop.ship"), TaskItem("shop.mail")], [])
        await store.write(lambda db: agents.record_discovery(db, 1, "b1", found, T + 1))
        records = b"".join(map(wire.encode_record, [origin(), *life("a", T + SECOND)]))
        await ingest_batch(store, 1, records, at=T + 60 * SECOND)
        reported = await connection_progress.read_reported(store, 1, "celery", T)
        assert (reported.registered, reported.first_task_at is not None) == (2, True)
        assert (await connection_progress.read_reported(store, 1, "rq", T)).registered == 0
        assert (await connection_progress.read_reported(store, 2, "celery", T)).first_task_at is None

        await store.write(lambda db: tokens.revoke_token(db, id, T + 2) and None)
        assert await connection_progress.find_string(store, id) is None
        assert await connection_progress.find_string(store, 99) is None
