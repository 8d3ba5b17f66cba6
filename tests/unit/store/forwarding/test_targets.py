# SPDX-License-Identifier: AGPL-3.0-or-later
"""Targets: sealed at rest, with cursors that never go back."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.support.database import database
from z4j.rules.forwarding.target import TargetRequest
from z4j.store.forwarding import targets
from z4j.store.forwarding.targets import Ends
from z4j.store.sqlite.db import Store

pytestmark = pytest.mark.anyio
WANTED = TargetRequest("hook", "webhook", "https://hooks.example/canary-url", "canary-key", "", actions=("sign_in",))


async def put(store: Store, request: TargetRequest, id: int | None = None, **more: Any) -> int | None:
    options = {"shown": "https://hooks.example/…", "from_beginning": False, "is_enabled": True, "actor": "ada", "at": 5} | more
    return await store.write(lambda db: targets.put_target(db, id, request, **options))  # type: ignore[arg-type]


async def test_secrets_are_sealed(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        id = await put(store, WANTED)
        assert id is not None
        assert await targets.read_address(store, id) == ("webhook", WANTED.url, WANTED.key, "")
        rows = await store.fetch_all("SELECT * FROM forward_target")
        assert "canary" not in str(rows)
        assert await targets.read_address(store, 99) is None


async def test_names_are_unique_and_changes_keep_the_cursor(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        id = await put(store, WANTED)
        assert await put(store, WANTED) is None
        assert await put(store, WANTED, 99) is None
        [target] = await targets.list_targets(store)
        await store.write(lambda db: targets.move_cursor(db, target, audit=7, alerts=0, sent=3, at=9))
        await store.write(lambda db: targets.move_cursor(db, target, audit=5, alerts=0, sent=0, at=10))
        assert await put(store, replace(WANTED, name="other"), id, at=6) == id
        [target] = await targets.list_targets(store)
        assert (target.name, target.audit_after, target.sent, target.sent_at) == ("other", 7, 3, 9)
        assert await store.write(lambda db: targets.delete_target(db, target.id))
        assert not await store.write(lambda db: targets.delete_target(db, target.id))


async def test_what_waits(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        for seq in (1, 2, 3):
            await store.write(
                lambda db, seq=seq: (
                    db.execute(  # type: ignore[misc]
                        "INSERT INTO audit (seq, at, actor, role, action, target, outcome, detail, address, key_id, mac) "
                        "VALUES (?, ?, '', '', '', '', '', '{}', '', '', x'00')",
                        (seq, seq * 100),
                    ).rowcount
                )
            )
        await put(store, WANTED, from_beginning=True)
        [target] = await targets.list_targets(store)
        assert await targets.read_ends(store) == Ends(3, 0)
        assert await targets.read_waiting(store, target, Ends(3, 0)) == (3, 0, 100)
        [state] = await targets.list_states(store)
        assert (state.waiting, state.oldest_at) == (3, 100)
        await store.write(lambda db: targets.move_cursor(db, target, audit=3, alerts=0, sent=3, at=9))
        [target] = await targets.list_targets(store)
        assert await targets.read_waiting(store, target, Ends(3, 0)) == (0, 0, None)
        await put(store, replace(WANTED, name="later"))
        assert {each.name: each.audit_after for each in await targets.list_targets(store)} == {"hook": 3, "later": 3}
        await store.write(lambda db: targets.set_enabled(db, target.id, is_enabled=False, actor="ada", at=11))
        assert [each.name for each in await targets.list_states(store)] == ["later"]
