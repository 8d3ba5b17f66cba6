# SPDX-License-Identifier: AGPL-3.0-or-later
"""Changes to targets: by administrators alone, each with its audit row, and never with a secret in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.endpoints import endpoint
from tests.unit.operations.forwarding.test_service import World, world
from z4j import clock
from z4j.exceptions import BadInput, NotAllowed, NotFound, WrongState
from z4j.operations.forwarding.actions import ForwardingActions
from z4j.rules.forwarding.target import TargetRequest
from z4j.store.access.audit import list_audit
from z4j.store.forwarding import targets
from z4j.web.auth.authentication import Identity

pytestmark = pytest.mark.anyio
ADA, VERA = Identity("ada", "admin", "session", "10.0.0.1"), Identity("vera", "operator", "session")


def actions_of(on: World) -> ForwardingActions:
    return ForwardingActions(on.store, on.forwarder.live, on.log, on.forwarder)


async def test_a_change_is_recorded_without_secrets(tmp_path: Path) -> None:
    async with world(tmp_path) as on:
        made = actions_of(on)
        id = await made.put_target(ADA, None, TargetRequest("hook", "webhook", "https://h.example/canary-1", "canary-2"))
        await made.put_target(ADA, id, TargetRequest("hook", "webhook", actions=("sign_in",)))
        address = await targets.read_address(on.store, id)
        assert address is not None
        assert (address.url, address.key) == ("https://h.example/canary-1", "canary-2"), "empty fields stay"
        await made.set_enabled(ADA, id, is_enabled=False)
        await made.delete_target(ADA, id)
        rows = await list_audit(on.store)
        assert [(row.action, row.outcome) for row in rows] == [("change_forwarding", "done")] * 4
        assert "canary" not in str(rows)
        assert "https://h.example/…" in rows[-1].detail


async def test_who_may_not(tmp_path: Path) -> None:
    async with world(tmp_path) as on:
        made = actions_of(on)
        for change in (
            made.put_target(VERA, None, TargetRequest("x", "json", "file:a")), made.set_enabled(VERA, 1, is_enabled=True),
            made.delete_target(VERA, 1), made.test_target(VERA, 1),
        ):  # fmt: skip
            with pytest.raises(NotAllowed):
                await change
        assert {row.outcome for row in await list_audit(on.store)} == {"refused"}
        for missing in (
            made.put_target(ADA, 9, TargetRequest("x", "json", "file:a")),
            made.delete_target(ADA, 9),
            made.test_target(ADA, 9),
        ):
            with pytest.raises(NotFound):
                await missing
        with pytest.raises(NotFound):
            await made.set_enabled(ADA, 9, is_enabled=True)


async def test_two_targets_of_one_name(tmp_path: Path) -> None:
    async with world(tmp_path) as on:
        made = actions_of(on)
        await made.put_target(ADA, None, TargetRequest("x", "json", "file:a"))
        with pytest.raises(BadInput, match="already exists"):
            await made.put_target(ADA, None, TargetRequest("x", "json", "file:b"))


async def test_a_test_tells_what_happened(tmp_path: Path) -> None:
    async with world(tmp_path) as on:
        made = actions_of(on)
        with endpoint() as hook:
            id = await made.put_target(ADA, None, TargetRequest("hook", "webhook", hook.url))
            hook.statuses += [500]
            assert "500" in await made.test_target(ADA, id)
            assert await made.test_target(ADA, id) == ""
            assert [body["stream"] for body in hook.bodies] == ["test", "test"]
        assert len(await list_audit(on.store)) == 3


async def test_an_imported_webhook_needs_its_address_first(tmp_path: Path) -> None:
    async with world(tmp_path) as on:
        id = await on.store.write(
            lambda db: targets.put_target(
                db, None, TargetRequest("hook", "webhook"), shown="", from_beginning=False, is_enabled=False, actor="import", at=clock.now()
            )
        )
        assert id is not None
        with pytest.raises(WrongState, match="without its address"):
            await actions_of(on).set_enabled(ADA, id, is_enabled=True)


async def test_a_new_target_gets_what_comes_from_now_on(tmp_path: Path) -> None:
    async with world(tmp_path) as on:
        await on.act("a", "b")
        await actions_of(on).put_target(ADA, None, TargetRequest("x", "json", "file:a"))
        assert (await on.target()).audit_after == 2
