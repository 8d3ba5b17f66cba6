# SPDX-License-Identifier: AGPL-3.0-or-later
"""A queue that is in two brokers: what is shown of it, and which broker is asked."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.database import T, life, origin, task
from tests.support.site import Site, site
from tests.support.stack import wait_for
from z4j import clock
from z4j.agents.connections import AgentLink, Need
from z4j.agents.ingest import ingest_batch
from z4j.store.fleet import agents
from z4j.store.operations import plans
from z4j.web.auth import authentication
from z4j.web.pages.settings.connection_strings import connect_app, make_api_token
from z4j.wire.frames import Discovery, Hello, QueueItem, TaskItem
from z4j_agent import wire

A, B = "redis://a:6379/0", "redis://b:6379/0"
PLACE = {"app": "shop", "environment": "production", "engine": "celery", "queue": "work"}
ABLE = ("retry_task", "cancel_task", "run_task", "peek_queue", "purge_queue")


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A process that has two brokers, each with the queue `work`, and one that has the first alone."""
    monkeypatch.setattr(authentication, "FLOOR_S", 0.0)
    with site(tmp_path) as made:
        store, at = made.server.store, clock.now()
        made.call(connect_app, store, "shop", "h", "test")
        records = [origin(), *life("failed", T, "failed"), task("enqueued", "waits", T)]
        records += [task("payload", id, T, 2, "[1]", False, [None, "AHt9"], "plain", B) for id in ("failed", "waits")]
        made.call(ingest_batch, store, 1, b"".join(map(wire.encode_record, records)), at=T)
        found = Discovery("celery", [TaskItem("shop.ship", "()")], [QueueItem("work", 3, broker=A), QueueItem("work", 5, broker=B)])
        site_of: Any = made
        site_of.frames = {}
        for boot, brokers in (("one", {A: ""}), ("both", {A: "", B: ""})):
            hello = Hello(1, "0.1.0", boot, boot, "h", 7, "worker", "production", {"celery": "5.7"}, [], "all", [], True, at, boot)
            made.call(store.write, lambda db, hello=hello: agents.record_hello(db, 1, hello, at, 0))
            frames: list[Any] = []
            site_of.frames[boot] = frames
            link = AgentLink(
                1, boot, boot, "worker", boot, "all", frozenset(), "", True, frames.append, lambda code, why: None,
                {("celery", action): "any" for action in ABLE}, "production", {"celery": frozenset({"work"})}, brokers={"celery": brokers},
            )  # fmt: skip
            made.server.hub.connect(link)
        made.call(store.write, lambda db: agents.record_discovery(db, 1, "both", found, at))
        site_of.token = made.call(make_api_token, store, "operator", "operator", 1, "test")[1]
        site_of.viewer = made.call(make_api_token, store, "admin", "admin", 1, "test")[1]
        yield made


def ask(shop: Any, method: str, path: str, body: Any = None) -> Any:
    headers = {"Authorization": f"Bearer {shop.viewer if 'purge' in str(body) else shop.token}"}
    return shop.client.request(method, f"/api/v1{path}", json=body, headers=headers)


def sent(shop: Any) -> list[tuple[str, str, str]]:
    return [(boot, frame["action"], frame["params"].get("broker", "")) for boot, frames in shop.frames.items() for frame in frames]


def task_row(shop: Any, task_id: str) -> int:
    return int(ask(shop, "GET", f"/tasks?task_id={task_id}").json()["tasks"][0]["id"])


def test_both_are_listed_with_their_broker(shop: Any) -> None:
    rows = ask(shop, "GET", "/queues").json()["queues"]
    found = [(row["name"], row["broker"], row["depth"], row["is_in_several_brokers"]) for row in rows]
    assert found == [("work", A, 3, True), ("work", B, 5, True)]


def test_a_queue_is_looked_into_in_the_broker_that_is_named(shop: Any) -> None:
    answer = ask(shop, "POST", "/queues/actions", PLACE | {"action": "peek_queue"})
    assert answer.status_code == 400
    assert B in answer.json()["detail"]
    assert ask(shop, "POST", "/queues/actions", PLACE | {"action": "peek_queue", "broker": "redis://c:6379/0"}).status_code == 400
    assert sent(shop) == []
    assert ask(shop, "POST", "/queues/actions", PLACE | {"action": "peek_queue", "broker": B}).status_code == 202
    assert sent(shop) == [("both", "peek_queue", B)]


@pytest.mark.parametrize(("task_id", "action", "broker"), [("waits", "cancel_task", B), ("failed", "retry_task", "")])
def test_an_action_on_a_task_goes_to_an_agent_with_its_broker(shop: Any, task_id: str, action: str, broker: str) -> None:
    assert ask(shop, "POST", f"/tasks/{task_row(shop, task_id)}/actions", {"action": action}).status_code == 202
    assert sent(shop) == [("both", action, broker)], "a kept message names its broker itself"


def reconnect(shop: Any) -> list[tuple[str, str, str]]:
    """What is sent to each process when it reconnects. Both have one spool folder."""
    for boot, frames in shop.frames.items():
        frames.clear()
        link = next(link for link in shop.server.hub.all() if link.boot == boot)
        link.spool = "both"
        shop.call(shop.server.outbox.agent_connected, link)
    return sent(shop)


def test_a_cancellation_is_sent_again_only_to_agents_of_its_broker(shop: Any) -> None:
    """A process that has another broker may know another task by the same id."""
    assert ask(shop, "POST", f"/tasks/{task_row(shop, 'waits')}/actions", {"action": "cancel_task"}).status_code == 202
    assert reconnect(shop) == [("both", "cancel_task", B)]
    [id] = [frame["id"] for frame in shop.frames["both"]]
    shop.call(ingest_batch, shop.server.store, 1, wire.encode_record(["command", id, T, "done", {}]), at=T)
    assert reconnect(shop) == [("both", "cancel_task", B)], "sent to every worker that starts while the task waits"


def test_cancellations_of_a_plan_are_sent_again_only_to_agents_of_their_broker(shop: Any) -> None:
    plan = ask(shop, "POST", "/plans", {"action": "cancel_task", "filter": {"state": "queued"}}).json()["plan"]
    answer = ask(shop, "POST", f"/plans/{plan['id']}/execute", {"digest": plan["digest"], "pace": "all"})
    assert answer.status_code == 202, answer.text
    wait_for(lambda: sent(shop), what="the plan begins")
    assert sent(shop) == reconnect(shop) == [("both", "cancel_task", B)]
    [id] = [frame["id"] for frame in shop.frames["both"]]
    shop.call(ingest_batch, shop.server.store, 1, wire.encode_record(["command", id, T, "done", {}]), at=T)
    assert reconnect(shop) == [("both", "cancel_task", B)]


def test_an_agent_that_connects_is_compared_with_each_broker_once(shop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """There may be twenty thousand cancellations, and each look goes through every agent of the app."""
    plan = ask(shop, "POST", "/plans", {"action": "cancel_task", "filter": {"state": "queued"}}).json()["plan"]
    assert ask(shop, "POST", f"/plans/{plan['id']}/execute", {"digest": plan["digest"], "pace": "all"}).status_code == 202
    wait_for(lambda: sent(shop), what="the plan begins")
    [id] = [frame["id"] for frame in shop.frames["both"]]
    shop.call(ingest_batch, shop.server.store, 1, wire.encode_record(["command", id, T, "done", {}]), at=T)
    found = shop.call(plans.list_cancelled, shop.server.store, 1, 0)

    async def many(*_: Any) -> list[Any]:
        return [(f"{number:016x}.1", *found[0][1:]) for number in range(500)]

    asked: list[str] = []
    may_use = shop.server.hub.may_use_broker

    def look(link: AgentLink, need: Need) -> bool:
        asked.append(need.broker)
        return bool(may_use(link, need))

    monkeypatch.setattr(plans, "list_cancelled", many)
    monkeypatch.setattr(shop.server.hub, "may_use_broker", look)
    assert reconnect(shop) == [("both", "cancel_task", B)] * 500
    assert asked.count(B) == 2, "once for each of the two processes"


def test_a_task_is_run_in_the_broker_that_is_named(shop: Any) -> None:
    body = {"app": "shop", "engine": "celery", "environment": "production", "name": "shop.ship", "queue": "work", "broker": B}
    assert ask(shop, "POST", "/tasks", body).status_code == 202
    assert sent(shop) == [("both", "run_task", B)]


def test_the_page_tells_them_apart_and_counts_the_tasks_once(shop: Any) -> None:
    shop.add_user()
    shop.sign_in()
    page = shop.client.get("/queues").text
    assert page.count(f'title="{A}"') == page.count(f'title="{B}"') == 1
    assert "1 waiting" in page
    href = f"/queues/work?app=shop&environment=production&engine=celery&broker={B}"
    shown = shop.client.get(href).text
    assert f'name="broker" value="{B}"' in shown
    assert '<dd class="">5</dd>' in shown
    assert "default broker of the task" in shop.client.get("/tasks/run?app=shop&engine=celery&name=shop.ship").text


def test_a_queue_that_is_in_one_broker_alone_shows_none(shop: Site, tmp_path: Path) -> None:
    found = Discovery("celery", [], [QueueItem("alone", 1, broker=A)])
    shop.call(shop.server.store.write, lambda db: agents.record_discovery(db, 1, "both", found, clock.now()))
    row = next(row for row in ask(shop, "GET", "/queues").json()["queues"] if row["name"] == "alone")
    assert (row["broker"], row["is_in_several_brokers"]) == (A, False)
