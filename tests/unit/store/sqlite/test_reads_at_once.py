# SPDX-License-Identifier: AGPL-3.0-or-later
"""`Store.at_once`: many reads in one thread, over one state of the database."""

from __future__ import annotations

import asyncio
import contextvars
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.database import database
from z4j.exceptions import BadInput, StoreError
from z4j.store.sqlite.db import Store

pytestmark = pytest.mark.anyio
KEYS = "SELECT key FROM setting ORDER BY key"
ZONE: contextvars.ContextVar[str] = contextvars.ContextVar("zone", default="UTC")


def put(path: Path, key: str) -> None:
    """Another connection commits meanwhile."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("INSERT INTO setting (key, value) VALUES (?, '')", (key,))


async def keys(store: Store) -> list[str]:
    return [row[0] for row in await store.fetch_all(KEYS)]


async def test_all_reads_see_one_state(tmp_path: Path) -> None:
    async with database(tmp_path) as store:

        async def twice() -> tuple[list[str], list[str], int]:
            before = await keys(store)
            put(store.path, "later")
            return before, await keys(store), await store.read(lambda db: db.execute("SELECT count(*) FROM setting").fetchone()[0])

        before, after, count = await store.at_once(twice)
        assert before == after
        assert count == len(before)
        assert await keys(store) == sorted([*before, "later"])


async def test_reads_run_beside_the_event_loop_in_the_context_of_the_caller(tmp_path: Path) -> None:
    async with database(tmp_path) as store:

        async def where() -> tuple[int, str]:
            await keys(store)
            return threading.get_ident(), await store.at_once(zone)

        async def zone() -> str:
            return ZONE.get()

        ZONE.set("Asia/Kathmandu")
        thread, seen = await store.at_once(where)
        assert thread != threading.get_ident()
        assert seen == "Asia/Kathmandu"


async def test_what_fails_is_raised_and_leaves_the_reader_usable(tmp_path: Path) -> None:
    async with database(tmp_path) as store:

        async def refuse() -> None:
            await keys(store)
            raise BadInput("no")

        async def wrong() -> None:
            await store.fetch_all("SELECT nothing FROM nowhere")

        async def wait() -> None:
            await asyncio.sleep(0)

        async def write() -> None:
            await store.fetch_all("DELETE FROM setting")

        before = await keys(store)
        for _ in range(4):  # more often than there are readers
            with pytest.raises(BadInput):
                await store.at_once(refuse)
            with pytest.raises(StoreError):
                await store.at_once(wrong)
            with pytest.raises(StoreError):
                await store.at_once(write)
            with pytest.raises(RuntimeError, match="something else than a read"):
                await store.at_once(wait)
        assert await keys(store) == before
