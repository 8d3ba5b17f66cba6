# SPDX-License-Identifier: AGPL-3.0-or-later
"""The app a token belongs to, and every reason for which it belongs to none."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.database import database
from z4j import clock
from z4j.agents.tokens import AgentToken, find_token
from z4j.store.access import tokens
from z4j.store.fleet import apps
from z4j.store.sqlite.db import Store

pytestmark = pytest.mark.anyio
TOKEN = "z4a_" + "k" * 43


def hashed(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


@asynccontextmanager
async def with_token(folder: Path, token: str = TOKEN, **facts: Any) -> AsyncIterator[Store]:
    """A database with one token of the app shop."""
    known: dict[str, Any] = {"kind": "agent", "label": "h", "hint": "z4a_k", "app_id": 1, "role": None, "at": 1, "by": "ada"}
    async with database(folder) as store:
        await store.write(lambda db: tokens.add_token(db, hash=hashed(token), **(known | facts)))
        yield store


async def test_a_token_leads_to_its_app(tmp_path: Path) -> None:
    async with with_token(tmp_path) as store:
        found = await find_token(store, TOKEN)
        assert isinstance(found, AgentToken)
        assert (found.token_id, found.app_id, found.app, found.seal_key_id) == (1, 1, "shop", "")


@pytest.mark.parametrize("token", ["", "z4a_", TOKEN[:-1], TOKEN + " ", TOKEN.upper(), "ключ", "' OR 1=1 --"])
async def test_what_is_no_token_leads_nowhere(tmp_path: Path, token: str) -> None:
    async with with_token(tmp_path) as store:
        assert await find_token(store, token) is None


async def test_a_text_that_is_too_long_is_not_looked_up(tmp_path: Path) -> None:
    """Not even where its hash is known: the header of a stranger is not hashed at any length."""
    for length, is_found in ((200, True), (201, False)):
        token = "x" * length
        (tmp_path / str(length)).mkdir()
        async with with_token(tmp_path / str(length), token) as store:
            assert (await find_token(store, token) is not None) == is_found


async def test_a_token_that_was_revoked_or_whose_app_is_disabled_leads_nowhere(tmp_path: Path) -> None:
    async with with_token(tmp_path) as store:
        await store.write(lambda db: apps.set_disabled(db, 1, clock.now()))
        assert await find_token(store, TOKEN) is None
        await store.write(lambda db: apps.set_disabled(db, 1, None))
        assert await find_token(store, TOKEN) is not None
        await store.write(lambda db: tokens.revoke_token(db, 1, clock.now()))
        assert await find_token(store, TOKEN) is None


async def test_a_token_ends_at_its_time(tmp_path: Path) -> None:
    ends = 1_795_000_000_000_000
    try:
        async with with_token(tmp_path) as store:
            await store.write(lambda db: db.execute("UPDATE token SET expires_at = ?", (ends,)).rowcount)
            clock.use(lambda: (ends - 1) * 1_000)
            assert await find_token(store, TOKEN) is not None
            clock.use(lambda: (ends + 1) * 1_000)
            assert await find_token(store, TOKEN) is None
    finally:
        clock.use()


async def test_a_token_of_the_api_is_not_an_agents(tmp_path: Path) -> None:
    async with with_token(tmp_path, kind="api", app_id=None, role="admin") as store:
        assert await find_token(store, TOKEN) is None
