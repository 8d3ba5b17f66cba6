# SPDX-License-Identifier: AGPL-3.0-or-later
"""Cursors move with what arrived: a failed batch, a partly delivered one, a filter, a refusal, and a target that was changed meanwhile."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.database import database
from tests.support.endpoints import Endpoint, endpoint
from tests.support.syslog import tcp_receiver
from z4j import clock
from z4j.live import Live
from z4j.operations.forwarding.service import BATCH, Forwarder
from z4j.rules.forwarding.target import TargetRequest
from z4j.rules.forwarding.target_retry import REFUSALS
from z4j.store.access.audit import AuditLog
from z4j.store.forwarding import alert_events, deliveries, targets
from z4j.store.forwarding.targets import Target
from z4j.store.sqlite.db import Store

pytestmark = pytest.mark.anyio


class World:
    """A database with an audit log, and what forwards it."""

    def __init__(self, store: Store, folder: Path) -> None:
        self.store = store
        self.log = AuditLog(folder)
        self.forwarder = Forwarder(store, Live(), lambda: "https://z4j.example", folder / "forwarded")

    async def act(self, *actions: str) -> None:
        for action in actions:
            await self.log.record(self.store, at=clock.now(), actor="ada", role="admin", action=action, target="x")

    async def add(self, kind: Any, url: str, **more: Any) -> int:
        request = TargetRequest(f"{kind} {url}"[:60], kind, url, "key", **more)
        id = await self.store.write(
            lambda db: targets.put_target(db, None, request, shown=url, from_beginning=True, is_enabled=True, actor="ada", at=clock.now())
        )
        assert id is not None
        return id

    async def round(self, times: int = 1) -> None:
        for _ in range(times):
            await self.store.write(lambda db: db.execute("UPDATE forward_target SET next_at = 0").rowcount)
            await self.forwarder.round(clock.now())
            await self.forwarder.settle()

    async def target(self) -> Target:
        [found] = await targets.list_targets(self.store)
        return found


@asynccontextmanager
async def world(folder: Path) -> AsyncIterator[World]:
    async with database(folder) as store:
        made = World(store, folder)
        try:
            yield made
        finally:
            await made.forwarder.close()


@pytest.fixture
def hook() -> Iterator[Endpoint]:
    with endpoint() as made:
        yield made


async def test_rows_go_in_order_in_batches(tmp_path: Path) -> None:
    async with world(tmp_path) as on:
        await on.act(*["sign_in"] * (BATCH + 5))
        await on.add("json", "file:audit")
        await on.round()
        lines = [json.loads(line) for line in (tmp_path / "forwarded/audit.jsonl").read_text().splitlines()]
        assert [line["seq"] for line in lines] == list(range(1, BATCH + 6))
        target = await on.target()
        assert (target.audit_after, target.sent, target.failing_since, target.error) == (BATCH + 5, BATCH + 5, None, "")
        await on.round()
        assert (await on.target()).sent == BATCH + 5, "nothing is sent twice without need"


async def test_a_filter_moves_the_cursor_over_what_it_leaves_out(tmp_path: Path) -> None:
    async with world(tmp_path) as on:
        await on.act("sign_in", "delete_task", "sign_in", "delete_token", "sign_in")
        await on.add("json", "file:audit", actions=("delete_*",))
        await on.round()
        assert len((tmp_path / "forwarded/audit.jsonl").read_text().splitlines()) == 2
        assert (await on.target()).audit_after == 5


async def test_a_webhook_that_fails_gets_the_row_again(tmp_path: Path, hook: Endpoint) -> None:
    async with world(tmp_path) as on:
        await on.act("a", "b", "c")
        await on.add("webhook", hook.url)
        hook.statuses += [200, 503]
        await on.round()
        target = await on.target()
        assert (target.audit_after, target.attempts) == (1, 1)
        assert "503" in target.error
        assert target.next_at > clock.now()
        await on.round()
        assert [body["seq"] for body in hook.bodies] == [1, 2, 2, 3]
        listed = {each.seq: (each.outcome, each.attempts) for each in await deliveries.list_deliveries(on.store)}
        assert listed == {1: ("delivered", 1), 2: ("delivered", 2), 3: ("delivered", 1)}


async def test_a_row_that_is_refused_does_not_stop_the_others(tmp_path: Path, hook: Endpoint) -> None:
    async with world(tmp_path) as on:
        await on.act("a", "b")
        await on.add("webhook", hook.url)
        hook.statuses += [400] * REFUSALS
        await on.round(REFUSALS)
        assert (await on.target()).audit_after == 1
        await on.round()
        assert [body["seq"] for body in hook.bodies] == [1] * REFUSALS + [2]
        listed = {each.seq: (each.outcome, each.attempts) for each in await deliveries.list_deliveries(on.store)}
        assert listed == {1: ("refused", REFUSALS), 2: ("delivered", 1)}


async def test_an_unauthorised_webhook_is_never_given_up(tmp_path: Path, hook: Endpoint) -> None:
    async with world(tmp_path) as on:
        await on.act("a")
        await on.add("webhook", hook.url)
        hook.statuses += [401] * (REFUSALS + 3)
        await on.round(REFUSALS + 3)
        assert (await on.target()).audit_after == 0
        await on.round()
        assert (await on.target()).audit_after == 1


async def test_an_address_that_changes_while_a_batch_is_sent_gets_it_again(tmp_path: Path) -> None:
    async with world(tmp_path) as on:
        await on.act("a")
        await on.add("json", "file:audit")
        before = await on.target()
        await on.store.write(lambda db: targets.set_enabled(db, before.id, is_enabled=True, actor="ada", at=before.changed_at + 1))
        await on.store.write(lambda db: targets.move_cursor(db, before, audit=1, alerts=0, sent=1, at=clock.now()))
        assert (await on.target()).audit_after == 0


async def test_alerts_are_their_own_stream(tmp_path: Path) -> None:
    async with world(tmp_path) as on:
        with tcp_receiver() as receiver:
            body = {"rule": "all", "severity": "critical", "title": "t", "findings": []}
            for kind in ("fired", "resolved"):
                await on.store.write(lambda db, kind=kind: alert_events.add_event(db, 7, kind, body, clock.now()))  # type: ignore[misc]
            await on.act("a")
            await on.add("syslog", f"tcp://127.0.0.1:{receiver.port}", has_audit=False, has_alerts=True)
            await on.round()
            assert [(each.body["kind"], each.body["alert"], each.severity) for each in receiver.messages] == [
                ("fired", 7, 2), ("resolved", 7, 5),
            ]  # fmt: skip
            assert ((await on.target()).audit_after, (await on.target()).alert_after) == (0, 2)


async def test_a_webhook_gets_the_audit_log_and_alerts_each_at_least_once(tmp_path: Path, hook: Endpoint) -> None:
    async with world(tmp_path) as on:
        for kind in ("fired", "resolved"):
            await on.store.write(lambda db, kind=kind: alert_events.add_event(db, 7, kind, {"rule": "all"}, clock.now()))  # type: ignore[misc]
        await on.act("a", "b")
        await on.add("webhook", hook.url, has_alerts=True)
        hook.statuses[:] = [200, 200, 200, 500]  # the second event is not accepted at first
        await on.round(2)
        heard = [(body["stream"], body["seq"], body.get("kind", body.get("action"))) for body in hook.bodies]
        assert heard == [("audit", 1, "a"), ("audit", 2, "b"), ("alerts", 1, "fired"), ("alerts", 2, "resolved"), ("alerts", 2, "resolved")]
        assert hook.bodies[3]["id"] == hook.bodies[4]["id"], "a copy has the same id"
        listed = await deliveries.list_deliveries(on.store)
        assert ("alerts", 2, 2, "delivered") in [(each.stream, each.seq, each.attempts, each.outcome) for each in listed]
        assert ((await on.target()).audit_after, (await on.target()).alert_after) == (2, 2)


async def test_a_target_whose_address_cannot_be_decrypted_says_so(tmp_path: Path) -> None:
    async with world(tmp_path) as on:
        await on.act("a")
        await on.add("json", "file:audit")
        await on.store.write(lambda db: db.execute("UPDATE forward_target SET sealed = 'AAAA'").rowcount)
        await on.round()
        assert "could not be decrypted" in (await on.target()).error


async def test_old_deliveries_and_events_are_deleted_but_numbers_never_begin_again(tmp_path: Path) -> None:
    async with world(tmp_path) as on:
        for at in (1, 2, 3):
            await on.store.write(lambda db, at=at: alert_events.add_event(db, 7, "fired", {}, at))  # type: ignore[misc]
        await on.forwarder.delete_old(clock.now())
        assert [each.id for each in await alert_events.list_events_after(on.store, 0, 10)] == [3]
