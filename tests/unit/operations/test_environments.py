# SPDX-License-Identifier: AGPL-3.0-or-later
"""One app, two environments with workers, queues and tasks of the same names: nothing asked of one reaches the other."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.support.database import SECOND, T, database, life, origin, task
from tests.support.site import Site, site, text_of
from tests.unit.background.test_lost_tasks import LATER
from tests.unit.background.workers import Heard, beat, connect_agent, hear, leave
from z4j import clock
from z4j.agents.connections import AgentLink, Hub, Need
from z4j.agents.ingest import ingest_batch
from z4j.background.duties import BackgroundDuties
from z4j.background.lost_tasks import SETTLE_US
from z4j.rules.commands import RULES
from z4j.store.fleet import agents
from z4j.store.fleet.workers import list_workers
from z4j.store.operations import commands
from z4j.store.sqlite import migrate
from z4j.web.auth import authentication
from z4j.web.pages.settings.connection_strings import connect_app, make_api_token
from z4j.wire.frames import CapabilityItem, Discovery, Hello, QueueItem, TaskItem, WorkerFacts
from z4j_agent import wire

pytestmark = pytest.mark.anyio
ENVIRONMENTS = ("production", "staging")
NAME = "celery@shared"
IDS = {"production": "00000000-0000-4000-8000-000000000001", "staging": "00000000-0000-4000-8000-000000000002"}
SIGNATURES = {"production": "(order)", "staging": "(order, fast)"}


class Shop:
    """The site, the frames each environment's agent was sent, and an operator's token."""

    def __init__(self, made: Site) -> None:
        self.site = made
        self.frames: dict[str, list[dict[str, Any]]] = {name: [] for name in ENVIRONMENTS}
        self.links: dict[str, AgentLink] = {}
        self.token = made.call(make_api_token, made.server.store, "operator", "operator", 1, "test")[1]

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        return self.site.client.request(method, f"/api/v1{path}", json=body, headers={"Authorization": f"Bearer {self.token}"})

    def add(self, environment: str, boot: str, at: int) -> AgentLink:
        store, hub = self.site.server.store, self.site.server.hub
        able = [CapabilityItem("celery", action, "worker", "exact") for action in ("shutdown_worker", "restart_worker")]
        hello = Hello(1, "0.1.0", boot, "one folder", "h", 7, "worker", environment, {"celery": "5.7"}, able, "all", [], True, at, NAME)
        found = Discovery(
            "celery", [TaskItem("shop.ship", SIGNATURES[environment])], [QueueItem("work", 3)], WorkerFacts(NAME, queues=["work"])
        )
        self.site.call(store.write, lambda db: agents.record_hello(db, 1, hello, at, 0))
        self.site.call(store.write, lambda db: agents.record_discovery(db, 1, boot, found, at))
        link = AgentLink(
            1, boot, "one folder", "worker", NAME, "all", frozenset(), "", True, self.frames[environment].append, lambda code, why: None,
            {("celery", action): "worker" for action in RULES}, environment, {"celery": frozenset({"work"})},
        )  # fmt: skip
        hub.connect(link)
        self.links[environment] = link
        return link


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    monkeypatch.setattr(authentication, "FLOOR_S", 0.0)
    with site(tmp_path) as made:
        made.call(connect_app, made.server.store, "shop", "h", "test")
        of = Shop(made)
        at = clock.now()
        for number, environment in enumerate(ENVIRONMENTS):
            boot = f"b{number}"
            records = [origin(boot, T, worker=NAME, environment=environment)]
            records += life(IDS[environment], T, "failed", run=f"{boot}.7")
            records += [task("payload", IDS[environment], T, 2, '[1, "a"]', False, [None, "AHt9"], "plain", run=f"{boot}.7")]
            made.call(ingest_batch, made.server.store, 1, b"".join(map(wire.encode_record, records)), at=T)
            of.add(environment, boot, at + number)
        yield of


# -- workers -----------------------------------------------------------------------------------------------------------------
def test_each_environment_has_its_row_and_an_action_goes_to_the_one_it_names(shop: Shop) -> None:
    rows = shop.ask("GET", "/workers").json()["workers"]
    assert [(row["name"], row["environment"], row["state"], row["processes"]) for row in rows] == [
        (NAME, "production", "connected", 1), (NAME, "staging", "connected", 1),
    ]  # fmt: skip
    body = {"action": "shutdown_worker", "app": "shop", "worker": NAME, "confirm": "shutdown"}
    refusal = shop.ask("POST", "/workers/actions", body)
    assert refusal.status_code == 400
    assert "shop in production, shop in staging" in refusal.json()["detail"]
    assert shop.ask("POST", "/workers/actions", body | {"environment": "qa"}).status_code == 404
    assert shop.frames == {"production": [], "staging": []}
    [command] = shop.ask("POST", "/workers/actions", body | {"environment": "staging"}).json()["commands"]
    assert (command["environment"], command["target"]) == ("staging", NAME)
    assert (len(shop.frames["production"]), len(shop.frames["staging"])) == (0, 1)
    [(target, detail)] = [(of[2], of[4]) for of in shop.site.audit() if of[1] == "shutdown_worker" and of[3] == "done"]
    assert (target, detail["environment"]) == (f"worker {NAME} in staging", "staging")
    of_worker = commands.list_of_worker
    store = shop.site.server.store
    assert [len(shop.site.call(of_worker, store, 1, name, NAME, 0)) for name in ENVIRONMENTS] == [0, 1]


def test_a_command_is_not_sent_again_to_another_environment_or_worker_of_the_folder(shop: Shop) -> None:
    body = {"action": "shutdown_worker", "app": "shop", "worker": NAME, "confirm": "shutdown", "environment": "staging"}
    assert shop.ask("POST", "/workers/actions", body).status_code == 202
    assert len(shop.frames["staging"]) == 1
    again = shop.site.server.outbox.agent_connected
    shop.site.call(again, shop.links["production"])
    assert shop.frames["production"] == []
    other = shop.add("staging", "b7", clock.now())
    other.worker = "celery@other"
    shop.site.call(again, other)
    assert len(shop.frames["staging"]) == 1, "the same folder and environment, but another worker"
    shop.site.call(again, shop.links["staging"])
    other.worker = NAME
    shop.site.call(again, other)
    assert len(shop.frames["staging"]) == 2, "the worker it was asked of"


def test_the_page_of_a_worker_is_that_of_its_environment(shop: Shop) -> None:
    shop.site.add_user()
    shop.site.sign_in()
    listed = shop.site.get("/workers").text
    for environment in ENVIRONMENTS:
        href = f"/workers/celery%40shared?app=shop&environment={environment}"
        assert href.replace("&", "&amp;") in listed
        page = shop.site.get(href)
        assert f'name="environment" value="{environment}"' in page.text
        assert f"Shut down 1 worker in {environment}" in text_of(page)
        shop.site.post("/workers/act", app="shop", environment=environment, worker=NAME, action="restart_worker", confirm="restart")
        assert [frame["action"] for frame in shop.frames[environment]] == ["restart_worker"]
    assert shop.site.get("/workers/celery%40shared?app=shop").status_code == 400


async def test_a_worker_is_connected_while_any_of_its_processes_is(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        await connect_agent(store, "older", T)
        await connect_agent(store, "newer", T + SECOND)
        await leave(store, "newer", T + 2 * SECOND)
        [row] = await list_workers(store)
        assert (row.state, row.processes, row.agent.boot) == ("connected", 1, "older")
        assert await agents.count_silent(store, since=T) == 0
        await connect_agent(store, "stage", T + 3 * SECOND, environment="staging")
        await leave(store, "older", T + 4 * SECOND)
        assert [(row.environment, row.state) for row in await list_workers(store)] == [("staging", "connected"), ("production", "silent")]
        assert await agents.count_silent(store, since=T) == 1, "the one of staging is no successor"


async def test_only_a_process_of_the_same_environment_proves_that_one_is_gone(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        house = BackgroundDuties(store, Heard())
        await connect_agent(store, "b00t", T)
        records = [task("started", "a", T + SECOND)]
        await store.write(lambda db: None)
        await ingest_batch(store, 1, b"".join(map(wire.encode_record, records)), at=T)
        await leave(store, "b00t", LATER)
        await connect_agent(store, "stage", LATER + SECOND, environment="staging")
        await hear(store, "stage", LATER + SETTLE_US + 3, beat())
        assert await house.lost_tasks.find_lost(LATER + SETTLE_US + 3) == 0
        await connect_agent(store, "next", LATER + 2 * SECOND)
        await hear(store, "next", LATER + SETTLE_US + 4, beat())
        assert await house.lost_tasks.find_lost(LATER + SETTLE_US + 4) == 1


# -- tasks, names and queues ---------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_an_action_on_a_task_reaches_an_agent_of_its_environment(shop: Shop, environment: str) -> None:
    [row] = shop.ask("GET", f"/tasks?environment={environment}").json()["tasks"]
    assert shop.ask("POST", f"/tasks/{row['id']}/actions", {"action": "retry_task"}).status_code == 202
    assert {name: len(frames) for name, frames in shop.frames.items()} == {name: int(name == environment) for name in ENVIRONMENTS}
    shop.site.server.hub.disconnect(shop.links[environment])
    shop.frames[environment].clear()
    answer = shop.ask("POST", f"/tasks/{row['id']}/actions", {"action": "retry_task"})
    assert answer.status_code == 503
    assert f"in {environment}" in answer.json()["detail"]


def test_a_registered_task_has_the_signature_of_its_environment(shop: Shop) -> None:
    names = shop.ask("GET", "/task-names").json()["names"]
    assert [(row["environment"], row["signature"]) for row in names] == [(name, SIGNATURES[name]) for name in ENVIRONMENTS]
    body = {"app": "shop", "engine": "celery", "name": "shop.ship", "args": [1]}
    assert shop.ask("POST", "/tasks", body | {"environment": "production"}).status_code == 202
    answer = shop.ask("POST", "/tasks", body | {"environment": "staging"})
    assert (answer.status_code, "fast is missing" in answer.json()["detail"]) == (400, True)
    assert shop.ask("POST", "/tasks", body | {"environment": "qa"}).status_code == 404
    assert (len(shop.frames["production"]), len(shop.frames["staging"])) == (1, 0)


def test_where_no_environment_is_named_and_several_could_be_meant_nothing_is_done(shop: Shop) -> None:
    for path, body in (
        ("/tasks", {"app": "shop", "engine": "celery", "name": "shop.ship", "args": [1, 2]}),
        ("/task-names/limits", {"app": "shop", "engine": "celery", "name": "shop.ship", "rate": "1/m"}),
    ):
        answer = shop.ask("POST", path, body)
        assert answer.status_code == 503
        assert "production, staging" in answer.json()["detail"]
    schedule = {"app": "shop", "engine": "celery", "name": "x", "kind": "interval", "expression": "60", "task_name": "shop.ship"}
    answer = shop.ask("POST", "/schedules", schedule | {"args": [1, 2]})
    assert (answer.status_code, "Choose an environment" in answer.json()["detail"]) == (400, True)
    assert shop.frames == {"production": [], "staging": []}
    limit = {"app": "shop", "engine": "celery", "name": "shop.ship", "rate": "1/m", "environment": "staging"}
    assert shop.ask("POST", "/task-names/limits", limit).status_code == 202
    assert (len(shop.frames["production"]), len(shop.frames["staging"])) == (0, 1)


def test_a_pause_concerns_the_queue_of_one_environment(shop: Shop) -> None:
    body = {"app": "shop", "engine": "celery", "queue": "work", "action": "pause_queue"}
    assert shop.ask("POST", "/queues/actions", body | {"environment": "staging"}).status_code == 202
    assert [of["environment"] for of in shop.ask("GET", "/queues").json()["paused"]] == ["staging"]
    assert (len(shop.frames["production"]), len(shop.frames["staging"])) == (0, 1)
    for environment, sent in (("production", 0), ("staging", 1)):
        shop.frames[environment].clear()
        link = shop.add(environment, f"again-{environment}", clock.now())
        shop.site.call(shop.site.server.outbox.agent_connected, link)
        assert len([frame for frame in shop.frames[environment] if frame["id"].startswith("pause.")]) == sent


def test_an_unknown_environment_is_never_guessed() -> None:
    hub = Hub()

    def add(boot: str, environment: str) -> AgentLink:
        able = {("rq", action): "any" for action in ("retry_task", "pause_queue")}
        link = AgentLink(
            1, boot, "s", "worker", boot, "all", frozenset(), "", True, lambda _: None, lambda *_: None, able, environment,
            queue_proofs={("rq", "bulk"): f"proof of {environment}"},
        )  # fmt: skip
        hub.connect(link)
        return link

    one, need = add("a", "production"), Need(1, "rq", "retry_task")
    assert hub.find(need) == ([one], "")
    two = add("b", "staging")
    assert hub.find(need) == ([], "the environment is unknown, and agents of several environments are connected: production, staging")
    assert hub.find(Need(1, "rq", "retry_task", "staging")) == ([two], "")
    assert hub.find(Need(1, "rq", "retry_task", "staging", worker="a"))[0] == []
    assert [hub.queue_proof(1, "rq", "bulk", name) for name in ("production", "staging", "qa")] == [
        "proof of production",
        "proof of staging",
        "",
    ]


# -- an older database -----------------------------------------------------------------------------------------------------------
def test_task_names_of_an_older_database_count_for_every_environment_of_their_engine(tmp_path: Path) -> None:
    path = tmp_path / "z4j.db"
    known = migrate.migrations()
    with closing(sqlite3.connect(path)) as db:
        for number, text in known:
            if number < 19:
                db.executescript(f"{text}\nPRAGMA user_version = {number};")
        db.execute("INSERT INTO app (name, created_at) VALUES ('shop', 0)")
        db.executemany(
            "INSERT INTO name (id, kind, text) VALUES (?, ?, ?)",
            [(1, "engine", "celery"), (2, "name", "ship"), (3, "environment", "production"), (4, "environment", "staging"),
             (5, "environment", "rq only")],
        )  # fmt: skip
        db.execute(
            "INSERT INTO task_name (app_id, engine_id, name_id, signature, doc, queue_id, seen_at) VALUES (1, 1, 2, '(a)', '', 0, 9)"
        )
        for boot, environment, engines in (("a", 3, '{"celery": "5"}'), ("b", 4, '{"celery": "5", "rq": "2"}'), ("c", 5, '{"rq": "2"}')):
            db.execute(
                "INSERT INTO agent (app_id, boot, spool, host, pid, role, worker_id, environment_id, release_id, engines, capabilities,"
                " allow, denied, seal_key, agent_version, notes, is_shipper, clock_skew_us, connected_at, seen_at)"
                " VALUES (1, ?, 's', 'h', 1, 'worker', 0, ?, 0, ?, '[]', 'all', '[]', '', '1', '[]', 1, 0, 0, 0)",
                (boot, environment, engines),
            )
        db.commit()
    migrate.migrate(path)
    with closing(sqlite3.connect(path)) as db:
        rows = db.execute("SELECT name_id, engine_id, environment_id, signature, seen_at FROM task_name ORDER BY 3").fetchall()
        assert rows == [(2, 1, 3, "(a)", 9), (2, 1, 4, "(a)", 9)]
