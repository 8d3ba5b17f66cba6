# SPDX-License-Identifier: AGPL-3.0-or-later
"""What an agent is sent of a paused queue when it connects. Its hello names its brokers, or, of an older one, its discovery or neither."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from tests.support.database import T, create_database, database
from tests.support.outbox_world import SPECS, world
from tests.unit.agents.test_audit_witnesses import HELLO, Site
from tests.unit.agents.test_connections import link
from z4j.agents.connections import Hub, Need
from z4j.agents.outbox import Outbox
from z4j.agents.paused_queues import PausedQueues
from z4j.app import Server
from z4j.appliance.data_folder import prepare_data
from z4j.settings import Settings
from z4j.store.fleet import paused_queues
from z4j.web.pages.settings.connection_strings import connect_app
from z4j_agent import wire
from z4j_agent.wire import records

A, B = "redis://a:6379/0", "redis://a:6379/1"
ABLE: dict[str, Any] = {"capabilities": [["celery", action, "worker", "exact", [], ""] for action in ("pause_queue", "resume_queue")]}
WEEK = 7 * 86_400_000_000
DISCOVERY = {"type": "discovery", "engine": "celery", "tasks": [], "queues": []}


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A server where `work` is paused in A."""
    prepare_data(tmp_path)
    settings = Settings(data=tmp_path)
    create_database(settings.database)
    server = Server(settings)
    with TestClient(server.asgi, client=("127.0.0.1", 4)) as client:
        assert client.portal is not None
        connected = client.portal.call(connect_app, server.store, "shop", "h", "test")
        made = Site(server, client, connected.url.partition("//")[2].partition("@")[0].partition(".")[0])
        queue = paused_queues.Paused(1, "production", "celery", "work", A)
        made.call(server.store.write, lambda db: paused_queues.pause_queue_row(db, queue, 1, "ada", ""))
        yield made


def told(site: Site, hello: dict[str, Any], *frames: dict[str, Any]) -> list[tuple[str, str]]:
    """(action, broker) of the commands that an agent is sent, each id once, until a batch that it sends last is acked."""
    found: dict[str, tuple[str, str]] = {}
    with site.connect() as socket:
        for frame in (HELLO | ABLE | hello, *frames):
            socket.send_text(json.dumps(frame))
        socket.send_bytes(wire.pack_batch(1, records.started("celery", "t", 0, 1, "b00t.7", "n", "q")))
        while (answer := json.loads(socket.receive_text()))["type"] != "ack":
            if answer["type"] == "command":
                found[answer["id"]] = (answer["action"], answer["params"].get("broker", ""))
    return list(found.values())


def test_what_is_paused_is_sent_by_the_brokers_of_an_agent(site: Site) -> None:
    assert told(site, {"brokers": {"celery": {A: ""}}}) == [("pause_queue", A)]
    assert told(site, {"brokers": {"celery": {B: ""}}}) == []
    assert told(site, {"brokers": {"celery": {B: ""}}}, DISCOVERY | {"brokers": {B: "print"}}) == []
    assert told(site, {"brokers": {"celery": {B: ""}}}, DISCOVERY | {"brokers": {B: "", A: ""}}) == [("pause_queue", A)]


def test_an_older_agent_is_sent_it_as_before(site: Site) -> None:
    """It passes over a name it does not know, or checks it itself: the id of the command stays, so that nothing is carried out twice."""
    assert told(site, {}) == [("pause_queue", A)]
    assert told(site, {}, DISCOVERY) == [("pause_queue", A)]
    assert told(site, {}, DISCOVERY | {"brokers": {A: "", B: ""}}) == [("pause_queue", A)]


@pytest.mark.anyio
async def test_a_pause_that_was_lost_on_the_way_does_not_outlive_its_end(tmp_path: Path) -> None:
    async with world(tmp_path, 0) as of:
        one = SPECS[0]
        await of.join(one)
        await of.pause("pause_queue", A)
        of.leave(one.name)  # the frame is lost
        await of.pause("resume_queue", A)
        again = await of.join(one)
        actions = [frame["action"] for frame in again.inbox if frame["action"].endswith("e_queue")]
        assert actions == ["pause_queue", "resume_queue"]


# -- what is kept of a pause ---------------------------------------------------------------------------------------------
@pytest.mark.anyio
async def test_a_pause_is_kept_where_no_worker_is_connected_and_no_other_action_is(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        hub = Hub()
        queues = PausedQueues(Outbox(store, hub))
        need = Need(1, "celery", "pause_queue", "production", queue="work", broker=A)
        assert queues.may_be_stored(need)
        purge = dataclasses.replace(need, action="purge_queue")
        assert not queues.may_be_stored(purge)
        await store.write(lambda db: queues.store_request(db, purge, T, "ada", "", ()))
        assert await paused_queues.list_for_agent(store, 1, 0) == []
        await store.write(lambda db: queues.store_request(db, need, T, "ada", "because", ()))
        [kept] = await paused_queues.list_for_agent(store, 1, 0)
        assert (kept.queue, kept.broker, kept.ended_at) == ("work", A, None)
        hub.connect(link("has it", brokers={"celery": {A: ""}}, capabilities={("celery", "pause_queue"): "worker"}))
        assert not queues.may_be_stored(need), "a worker that has the broker is asked itself"


@pytest.mark.anyio
async def test_the_end_of_a_pause_is_told_for_a_week_and_only_in_its_environment(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        queues = PausedQueues(Outbox(store, Hub()))
        need = Need(1, "celery", "pause_queue", "production", queue="work", broker=A)
        await store.write(lambda db: queues.store_request(db, need, T, "ada", "", ()))
        here, there = (link("b", environment=word, brokers={"celery": {A: ""}}) for word in ("production", "staging"))
        assert [(of.need.action, of.params) for of in await queues.list_copies(here, T)] == [
            ("pause_queue", {"queue": "work", "broker": A})
        ]
        assert await queues.list_copies(there, T) == []
        await store.write(lambda db: queues.store_request(db, dataclasses.replace(need, action="resume_queue"), T, "ada", "", ()))
        assert [of.need.action for of in await queues.list_copies(here, T + WEEK - 1)] == ["resume_queue"]
        assert await queues.list_copies(here, T + WEEK) == []
