# SPDX-License-Identifier: AGPL-3.0-or-later
"""Connection strings and API tokens: whose key goes into which, and what is refused."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.support.database import database
from z4j import clock
from z4j.agents.tokens import find_token
from z4j.exceptions import BadInput, NotFound
from z4j.store.access import tokens, users
from z4j.store.fleet import apps
from z4j.store.sqlite.db import Store
from z4j.web.pages.settings.connection_strings import DAY_US, connect_app, key_id, make_api_token

pytestmark = pytest.mark.anyio
KEY = base64.urlsafe_b64encode(b"k" * 32).decode().rstrip("=")


def parts(url: str) -> tuple[str, str]:
    """(token, seal key) of a connection string."""
    token, _, key = (urlsplit(url).username or "").partition(".")
    return token, key


async def app_names(store: Store) -> list[str]:
    return sorted(row.name for row in await apps.list_apps(store))


async def test_the_first_string_of_an_app_has_its_key_and_later_ones_have_none(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        first, second = [await connect_app(store, "mail", "h:1", "ada") for _ in range(2)]
        assert (first.has_seal_key, second.has_seal_key) == (True, False)
        token, key = parts(first.url)
        assert len(base64.urlsafe_b64decode(key + "=")) == 32
        assert parts(second.url)[1] == ""
        assert token != parts(second.url)[0]
        for url in (first.url, second.url):
            assert urlsplit(url).netloc.endswith("@h:1")
            found = await find_token(store, parts(url)[0])
            assert found is not None
            assert (found.app, found.seal_key_id) == ("mail", key_id(key))


async def test_the_key_of_an_app_is_taken_over_from_an_earlier_string(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        first = await connect_app(store, "mail", "h", "ada")
        again = await connect_app(store, "mail", "h", "ada", seal_from=f"  {first.url} ")
        assert parts(again.url)[1] == parts(first.url)[1]
        moved = await connect_app(store, "news", "h", "ada", seal_from=f"z4j+ws://z4a_x.{KEY}@h")
        assert parts(moved.url)[1] == KEY


@pytest.mark.parametrize("given", ["z4j+ws://z4a_x@h", f"z4j+ws://z4a_x.{KEY}@h", "z4j+ws://z4a_x.short@h", "nonsense", f"z4a_x.{KEY}"])
async def test_a_string_without_the_apps_own_key_is_refused_and_makes_no_token(tmp_path: Path, given: str) -> None:
    async with database(tmp_path) as store:
        await connect_app(store, "mail", "h", "ada")
        before = len(await tokens.list_tokens(store))
        with pytest.raises(BadInput):
            await connect_app(store, "mail", "h", "ada", seal_from=given)
        assert len(await tokens.list_tokens(store)) == before


@pytest.mark.parametrize("name", ["", " ", "x" * 61, "two\nlines"])
async def test_an_app_needs_a_name(tmp_path: Path, name: str) -> None:
    async with database(tmp_path) as store:
        with pytest.raises(BadInput):
            await connect_app(store, name, "h", "ada")
        assert await app_names(store) == ["shop"]


def test_a_key_is_named_by_its_digest_and_a_damaged_one_is_refused() -> None:
    assert key_id(KEY) == hashlib.sha256(b"k" * 32).hexdigest()[:8]
    for damaged in ("", KEY[:-1], KEY + "AAAA", "ключ", "!" * 43):
        with pytest.raises(BadInput):
            key_id(damaged)


async def test_an_api_token_ends_on_its_day_and_never_may_more_than_its_owner(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        await store.write(lambda db: users.add_user(db, "vera", "x", "viewer", 1))
        for role, days, owner, error in (
            ("king", 1, "", BadInput), ("viewer", 0, "", BadInput), ("viewer", 3_651, "", BadInput), ("viewer", 1, "nobody", NotFound),
            ("operator", 1, "vera", BadInput),
        ):  # fmt: skip
            with pytest.raises(error):
                await make_api_token(store, "script", role, days, "ada", owner)
        assert await tokens.list_tokens(store) == []
        before = clock.now()
        id, token = await make_api_token(store, "script", "viewer", 9, "ada", "vera")
        [row] = await tokens.list_tokens(store)
        assert row.expires_at is not None
        assert (row.id, token.startswith(row.hint)) == (id, True)
        assert before + 9 * DAY_US <= row.expires_at <= clock.now() + 9 * DAY_US
        await make_api_token(store, "endless", "viewer", None, "ada")
        assert {of.expires_at is None for of in await tokens.list_tokens(store)} == {True, False}
