# SPDX-License-Identifier: AGPL-3.0-or-later
"""The API over real HTTP in process; the document is checked against what is really answered."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.database import T, life, origin, task
from tests.support.site import Site, site
from tests.unit.operations.test_plans import ACTIONS
from z4j import clock
from z4j.agents.connections import AgentLink
from z4j.agents.ingest import ingest_batch
from z4j.store.fleet import agents
from z4j.web.api.openapi import OPERATIONS, document
from z4j.web.auth import authentication
from z4j.web.pages.settings.connection_strings import connect_app, make_api_token
from z4j.wire.frames import Discovery, Hello, QueueItem, TaskItem, WorkerFacts
from z4j_agent import wire

IDS = [f"00000000-0000-4000-8000-00000000000{number}" for number in range(1, 4)]
PLACE = {"app": "shop", "environment": "production", "engine": "celery", "queue": "work"}
EVERYTHING = (*ACTIONS, "run_task", "edit_task", "peek_queue", "purge_queue", "pause_queue", "resume_queue", "shutdown_worker")


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """One app with three failed tasks, one worker that is connected, and a token of each kind."""
    monkeypatch.setattr(authentication, "FLOOR_S", 0.0)
    with site(tmp_path) as made:
        store = made.server.store
        made.call(connect_app, store, "shop", "h", "test")
        records = [origin(), *(record for id in IDS for record in life(id, T, "failed"))]
        records += [task("payload", id, T, 2, '[1, "a"]', False, [None, "AHt9"], "plain") for id in IDS]
        made.call(ingest_batch, store, 1, b"".join(map(wire.encode_record, records)), at=T)
        hello = Hello(1, "0.1.0", "b9", "s9", "h", 7, "worker", "production", {"celery": "5.7"}, [], "all", [], True, clock.now(), "w1")
        at = clock.now()
        found = Discovery(
            "celery", [TaskItem("shop.ship", "(order, *, fast=False)")], [QueueItem("work", 3)], WorkerFacts("w1", queues=["work"])
        )
        made.call(store.write, lambda db: agents.record_hello(db, 1, hello, at, 0))
        made.call(store.write, lambda db: agents.record_discovery(db, 1, "b9", found, at))
        made.frames = []  # type: ignore[attr-defined]
        link = AgentLink(
            1, "b9", "s9", "worker", "w1", "all", frozenset(), "", True, made.frames.append, lambda code, why: None,  # type: ignore[attr-defined]
            {("celery", action): "worker" for action in EVERYTHING}, "production", {"celery": frozenset({"work"})},
        )  # fmt: skip
        made.server.hub.connect(link)
        made.tokens = {role: made.call(make_api_token, store, role, role, 1, "test")[1] for role in ("viewer", "operator", "admin")}  # type: ignore[attr-defined]
        yield made


def ask(shop: Any, method: str, path: str, body: Any = None, role: str = "operator") -> Any:
    headers = {"Authorization": f"Bearer {shop.tokens[role]}"}
    return shop.client.request(method, f"/api/v1{path}", json=body, headers=headers)


def test_the_document_holds_every_operation_and_nothing_else() -> None:
    made = document()
    told = {(method.upper(), path) for path, methods in made["paths"].items() for method in methods}
    assert told == {(of.method, re.sub(r":int", "", of.path)) for of in OPERATIONS}
    ids = [of["operationId"] for methods in made["paths"].values() for of in methods.values()]
    assert len(ids) == len(set(ids))
    references = set(re.findall(r"#/components/schemas/(\w+)", str(made)))
    assert references <= set(made["components"]["schemas"])


@pytest.mark.parametrize("path", ["/tasks", "/tasks/1", "/task-names", "/plans", "/queues", "/workers", "/commands", "/openapi.json"])
def test_everything_that_is_read_is_as_the_document_says(shop: Site, path: str) -> None:
    answer = ask(shop, "GET", path, role="viewer")
    assert answer.status_code == 200
    operation = document()["paths"]["/api/v1" + path.replace("/tasks/1", "/tasks/{id}")]["get"]
    schema = operation["responses"]["200"]["content"]["application/json"]["schema"]
    name = schema.get("$ref", "").rpartition("/")[2]
    if name:
        assert set(answer.json()) == set(document()["components"]["schemas"][name]["properties"])


def test_a_task_is_retried(shop: Any) -> None:
    answer = ask(shop, "POST", "/tasks/1/actions", {"action": "retry_task", "reason": "because"})
    assert answer.status_code == 202
    assert (answer.json()["status"], answer.json()["reason"]) == ("waiting", "because")
    assert [frame["action"] for frame in shop.frames] == ["retry_task"]
    assert ask(shop, "GET", f"/commands/{answer.json()['id']}").json()["status"] == "sent"


def test_arguments_are_edited_by_place_and_name(shop: Any) -> None:
    body = {"action": "edit_task", "edit": {"args": {"1": "b"}, "kwargs": {"fast": True}}}
    assert ask(shop, "POST", "/tasks/1/actions", body).status_code == 202
    assert shop.frames[0]["params"]["edit"] == body["edit"]


def test_a_registered_task_is_run_and_its_arguments_are_checked(shop: Any) -> None:
    body = {"app": "shop", "engine": "celery", "environment": "production", "name": "shop.ship", "args": [7], "kwargs": {"fast": True}}
    assert ask(shop, "POST", "/tasks", body).status_code == 202
    assert shop.frames[0]["params"]["args"] == [7]
    for wrong, word in (
        ({"args": []}, "order is missing"),
        ({"kwargs": {"slow": 1}}, "no parameter slow"),
        ({"name": "shop.sink"}, "no registered task"),
    ):
        answer = ask(shop, "POST", "/tasks", body | wrong)
        assert answer.status_code in (400, 404)
        assert word in answer.json()["detail"]
    assert len(shop.frames) == 1


def test_a_plan_from_freezing_to_its_account(shop: Any) -> None:
    frozen = ask(shop, "POST", "/plans", {"action": "retry_task", "filter": {"state": "failed"}, "reason": "because"})
    assert frozen.status_code == 201
    plan = frozen.json()["plan"]
    assert (plan["items"], plan["status"], plan["author"]) == (3, "frozen", "operator")
    assert ask(shop, "POST", f"/plans/{plan['id']}/execute", {"digest": "0"}).status_code == 400
    assert ask(shop, "POST", f"/plans/{plan['id']}/execute", {"digest": plan["digest"], "pace": "fast"}).status_code == 400
    assert ask(shop, "POST", f"/plans/{plan['id']}/execute", {"digest": plan["digest"], "pace": "60/m"}).status_code == 202
    assert ask(shop, "POST", f"/plans/{plan['id']}/pause").json()["plan"]["status"] == "paused"
    assert ask(shop, "POST", f"/plans/{plan['id']}/resume").json()["plan"]["status"] == "running"
    assert ask(shop, "POST", f"/plans/{plan['id']}/abort").json()["plan"]["status"] == "aborted"
    assert sum(ask(shop, "GET", f"/plans/{plan['id']}").json()["account"].values()) == 3
    assert len(ask(shop, "GET", f"/plans/{plan['id']}/items").json()["items"]) == 3
    assert ask(shop, "POST", f"/plans/{plan['id']}/undo").status_code == 409
    assert ask(shop, "GET", f"/plans/{plan['id']}/items?status=eaten").status_code == 400


def test_a_plan_over_everything_is_not_frozen(shop: Any) -> None:
    assert "A plan for all tasks is not allowed" in ask(shop, "POST", "/plans", {"action": "retry_task"}).json()["detail"]


def test_a_queue_is_paused_looked_into_and_purged_with_a_word(shop: Any) -> None:
    assert ask(shop, "POST", "/queues/actions", PLACE | {"action": "pause_queue", "reason": "flood"}).status_code == 202
    assert [hold["queue"] for hold in ask(shop, "GET", "/queues").json()["paused"]] == ["work"]
    assert ask(shop, "POST", "/queues/actions", PLACE | {"action": "resume_queue"}).status_code == 202
    assert ask(shop, "GET", "/queues").json()["paused"] == []
    assert ask(shop, "POST", "/queues/actions", PLACE | {"action": "peek_queue", "place": "dead", "limit": 5}).status_code == 202
    assert "purge" in ask(shop, "POST", "/queues/actions", PLACE | {"action": "purge_queue"}).json()["detail"]
    assert ask(shop, "POST", "/queues/actions", PLACE | {"action": "purge_queue", "confirm": "purge"}).status_code == 202
    assert [(frame["action"], frame["params"].get("place")) for frame in shop.frames] == [
        ("pause_queue", None), ("resume_queue", None), ("peek_queue", "dead"), ("purge_queue", "waiting"),
    ]  # fmt: skip
    for wrong in ({"queue": "nowhere"}, {"place": "roof"}, {"action": "paint_queue"}, {"app": "other"}):
        assert ask(shop, "POST", "/queues/actions", PLACE | {"action": "peek_queue"} | wrong).status_code in (400, 404)


def test_a_worker_is_shut_down_with_a_word(shop: Any) -> None:
    body = {"action": "shutdown_worker", "app": "shop", "worker": "w1"}
    assert ask(shop, "POST", "/workers/actions", body).status_code == 400
    assert ask(shop, "POST", "/workers/actions", body | {"confirm": "shutdown"}).status_code == 202
    assert shop.frames[0]["action"] == "shutdown_worker"
    assert ask(shop, "POST", "/workers/actions", body | {"action": "resize_worker", "by": 2}).status_code == 503
    assert ask(shop, "POST", "/workers/actions", body | {"action": "resize_worker", "by": 0}).status_code == 400


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/tasks/1/actions", {"action": "paint_task"}), ("/tasks/1/actions", {"act": "retry_task"}), ("/tasks/1/actions", []),
        ("/tasks/1/actions", {"action": "edit_task"}), ("/tasks/1/actions", {"action": "prioritise_task", "level": "best"}),
        ("/tasks/1/actions", {"action": "move_task"}), ("/plans", {"action": "retry_task", "filter": {"state": "eaten"}}),
        ("/plans", {"action": "paint_task", "ids": [1]}), ("/plans", {"action": "retry_task", "ids": list(range(6_000))}),
        ("/task-names/limits", {"app": "shop", "engine": "celery", "name": "shop.ship", "rate": "often"}),
    ],
)  # fmt: skip
def test_what_cannot_be_understood_is_refused_in_one_shape(shop: Any, path: str, body: Any) -> None:
    answer = ask(shop, "POST", path, body)
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["detail"]
    assert shop.frames == []


def test_a_viewer_asks_for_nothing(shop: Any) -> None:
    for of in OPERATIONS:
        if of.method == "POST":
            path = of.path.removeprefix("/api/v1").replace("{id:int}", "1").replace("{id}", "x")
            assert ask(shop, "POST", path, {}, role="viewer").status_code == 403
    assert ask(shop, "GET", "/audit", role="viewer").status_code == 403
    assert shop.frames == []


def test_too_large_a_body_is_refused(shop: Any) -> None:
    assert ask(shop, "POST", "/plans", {"action": "x" * 300_000}).status_code == 400


def test_the_executable_has_the_document() -> None:
    """It is compiled without documentation texts, of which the schemas take their descriptions."""
    command = [sys.executable, "-OO", "-m", "z4j.web.api.openapi"]
    printed = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert printed["paths"] == document()["paths"]
    assert set(printed["components"]["schemas"]) == set(document()["components"]["schemas"])
