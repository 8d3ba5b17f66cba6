# SPDX-License-Identifier: AGPL-3.0-or-later
"""A pause is of a queue in one broker: who is told at once and when it connects, what is shown, and what was paused before the upgrade."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.site import Site, site
from z4j import clock
from z4j.agents.connections import AgentLink
from z4j.store.fleet import agents, paused_queues
from z4j.web.auth import authentication
from z4j.web.pages.settings.connection_strings import connect_app, make_api_token
from z4j.wire.frames import Discovery, Hello, QueueItem

A, B, C = "redis://a:6379/0", "redis://a:6379/1", "redis://c:6379/0"
PLACE = {"app": "shop", "environment": "production", "engine": "rq", "queue": "work"}
QUEUE = paused_queues.Paused(1, "production", "rq", "work")


class Shop:
    """An app with workers of two brokers on one host, and one of an older agent, which reports no broker."""

    def __init__(self, site: Site) -> None:
        self.site, self.frames = site, dict[str, list[Any]]()
        self.store, self.outbox, self.hub = site.server.store, site.server.outbox, site.server.hub
        site.call(connect_app, self.store, "shop", "h", "test")
        self.token = site.call(make_api_token, self.store, "operator", "operator", 1, "test")[1]
        for boot, brokers in (("a", {A: "print-a"}), ("b", {B: "print-b"}), ("old", {})):
            self.add(boot, brokers)

    def add(self, boot: str, brokers: dict[str, str], queue: str = "work") -> AgentLink:
        at = clock.now()
        hello = Hello(1, "0.1.0", boot, boot, "h", 7, "worker", "production", {"rq": "2"}, [], "all", [], True, at, boot)
        items = [QueueItem(queue, 3, broker=broker) for broker in brokers]
        self.site.call(self.store.write, lambda db: agents.record_hello(db, 1, hello, at, 0))
        self.site.call(self.store.write, lambda db: agents.record_discovery(db, 1, boot, Discovery("rq", [], items), at))
        frames: list[Any] = []
        self.frames[boot] = frames
        able = {("rq", action): "worker" for action in ("pause_queue", "resume_queue")}
        link = AgentLink(
            1, boot, boot, "worker", boot, "all", frozenset(), "", True, frames.append, lambda *_: None, able, "production",
            brokers={"rq": brokers} if brokers else {},
        )  # fmt: skip
        self.hub.connect(link)
        return link

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        return self.site.client.request(method, f"/api/v1{path}", json=body, headers={"Authorization": f"Bearer {self.token}"})

    def act(self, action: str, broker: str = "", status: int = 202) -> Any:
        answer = self.ask("POST", "/queues/actions", PLACE | {"action": action, "broker": broker, "reason": "why"})
        assert answer.status_code == status, answer.text
        return answer.json()

    def told(self) -> list[tuple[str, str, str]]:
        """What each process was told since the last time: (process, action, broker)."""
        found = [(boot, of["action"], of["params"].get("broker", "")) for boot, frames in self.frames.items() for of in frames]
        for frames in self.frames.values():
            frames.clear()
        return found

    def again(self, boot: str, brokers: dict[str, str]) -> list[tuple[str, str, str]]:
        """What a process is sent when it connects."""
        link = self.add(boot, brokers, queue="other")
        self.site.call(self.outbox.agent_connected, link)
        return self.told()

    def paused(self) -> list[str]:
        return [of["broker"] for of in self.ask("GET", "/queues").json()["paused"]]

    def hold(self, broker: str = "") -> None:
        """A pause as it is stored: of before the upgrade with no broker."""
        queue = paused_queues.Paused(1, "production", "rq", "work", broker)
        self.site.call(self.store.write, lambda db: paused_queues.pause_queue_row(db, queue, 1, "ada", "before"))


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    monkeypatch.setattr(authentication, "FLOOR_S", 0.0)
    with site(tmp_path) as made:
        yield Shop(made)


def test_a_pause_is_sent_to_the_workers_of_its_broker_and_to_those_that_report_none(shop: Shop) -> None:
    answer = shop.act("pause_queue", status=400)
    assert A in answer["detail"]
    assert B in answer["detail"]
    shop.act("pause_queue", C, status=400)
    assert (shop.told(), shop.paused()) == ([], [])
    shop.act("pause_queue", A)
    assert sorted(shop.told()) == [("a", "pause_queue", A), ("old", "pause_queue", A)]
    assert shop.paused() == [A]
    shop.act("pause_queue", A)
    assert shop.paused() == [A], "twice is once"
    shop.act("pause_queue", B)
    assert shop.paused() == [A, B]
    shop.told()
    shop.act("resume_queue", A)
    assert sorted(shop.told()) == [("a", "resume_queue", A), ("old", "resume_queue", A)]
    assert shop.paused() == [B]


def test_who_connects_is_told_what_concerns_its_brokers_alone(shop: Shop) -> None:
    shop.act("pause_queue", A)
    shop.told()
    assert shop.again("a2", {A: ""}) == [("a2", "pause_queue", A)]
    assert shop.again("b2", {B: ""}) == []
    assert shop.again("both", {B: "", A: ""}) == [("both", "pause_queue", A)]
    assert shop.again("old2", {}) == [("old2", "pause_queue", A)]
    assert shop.again("named", {"cache": "print-a"}) == [("named", "pause_queue", "cache")], "the same Redis under another name"
    shop.act("resume_queue", A)
    shop.told()
    assert shop.again("a3", {A: ""}) == [("a3", "resume_queue", A)]
    assert shop.again("b3", {B: ""}) == []
    shop.act("pause_queue", B)
    shop.told()
    assert shop.again("old3", {}) == [("old3", "pause_queue", B)], "a pause that is in force counts more than one that has ended"


def test_what_its_discovery_names_is_told_too(shop: Shop) -> None:
    """The hello may name no broker yet, or one whose fingerprint is not known."""
    shop.act("pause_queue", A)
    shop.told()
    for boot, hello, found, expected in (
        ("same", {A: ""}, {A: "print-a"}, []),
        ("more", {A: ""}, {A: "print-a", B: "print-b"}, [("more", "pause_queue", A)]),
        ("later", {}, {A: "print-a"}, [("later", "pause_queue", A)]),
        ("named", {"cache": ""}, {"cache": "print-a"}, [("named", "pause_queue", "cache")]),
        ("other", {"cache": ""}, {"cache": "print-c"}, []),
    ):
        link = shop.add(boot, hello, queue="other")
        shop.site.call(shop.outbox.agent_connected, link)
        before = {frame["id"] for frame in shop.frames[boot]}
        shop.told()
        if shop.hub.learn_brokers(link, "rq", found):
            shop.site.call(shop.outbox.brokers_learned, link)
        again = {frame["id"] for frame in shop.frames[boot]}
        assert not before or again <= before, "what it has carried out is the same command"
        assert shop.told() == expected, boot


def test_a_pause_from_before_the_upgrade_stays_in_force_in_every_broker_until_each_goes_on(shop: Shop) -> None:
    shop.hold()
    assert shop.again("a2", {A: ""}) == [("a2", "pause_queue", A)]
    assert shop.again("both", {A: "", B: ""}) == [("both", "pause_queue", A), ("both", "pause_queue", B)]
    assert len({frame["id"] for frame in shop.frames["both"]}) == len(shop.frames["both"])
    assert shop.again("old2", {}) == [("old2", "pause_queue", "")]
    shop.act("resume_queue", A)
    assert shop.paused() == [B], "the other one stays paused"
    [left] = shop.ask("GET", "/queues").json()["paused"]
    assert (left["at"], left["asked_by"], left["reason"]) == (1, "ada", "before")
    shop.told()
    assert shop.again("b3", {B: ""}) == [("b3", "pause_queue", B)]
    assert shop.again("a3", {A: ""}) == [("a3", "resume_queue", A)]
    shop.act("resume_queue", B)
    assert shop.paused() == []


def test_a_pause_in_force_everywhere_is_not_noted_a_second_time(shop: Shop) -> None:
    shop.hold()
    shop.act("pause_queue", A)
    assert shop.paused() == [""]


def test_a_queue_of_one_broker_is_paused_in_that_one(shop: Shop) -> None:
    shop.add("alone", {C: ""}, queue="alone")
    body = PLACE | {"queue": "alone", "action": "pause_queue"}
    assert shop.ask("POST", "/queues/actions", body).status_code == 202
    assert sorted(shop.told()) == [("alone", "pause_queue", C), ("old", "pause_queue", C)]
    assert shop.paused() == [C], "another broker may have a queue of this name later"


def test_a_pause_of_a_broker_whose_workers_are_all_away_is_noted(shop: Shop) -> None:
    for boot in ("a", "old"):
        shop.hub.remove(next(link for link in shop.hub.all() if link.boot == boot))
    assert shop.act("pause_queue", A)["commands"] == []
    assert (shop.told(), shop.paused()) == ([], [A])
    assert shop.again("a2", {A: ""}) == [("a2", "pause_queue", A)]


def test_a_pause_does_not_follow_a_worker_to_another_broker(shop: Shop) -> None:
    """A command that waits names the worker it is for; that worker may use another broker when it connects again."""
    shop.hub.disconnect(next(link for link in shop.hub.all() if link.boot == "a"))
    link = shop.add("a", {A: ""})
    shop.act("pause_queue", A)
    shop.site.call(shop.store.write, lambda db: db.execute("UPDATE command SET status = 'waiting'"))
    link.brokers = {"rq": {B: ""}}
    shop.told()
    shop.site.call(shop.outbox.brokers_learned, link)
    assert [told for told in shop.told() if told[0] == "a"] == []


def test_a_pause_where_no_agent_reports_the_queue_any_more_can_be_ended(shop: Shop) -> None:
    shop.hold(C)
    shop.site.add_user()
    shop.site.sign_in()
    href = "/queues/work?app=shop&environment=production&engine=rq"
    page = shop.site.client.get(f"{href}&broker={A}").text
    assert f"Also paused in {C}" in page
    assert C in shop.act("resume_queue", status=400)["detail"]
    shop.act("resume_queue", C)
    assert shop.paused() == []


def test_the_pages_show_it_where_it_is(shop: Shop) -> None:
    shop.act("pause_queue", A)
    shop.site.add_user()
    shop.site.sign_in()
    rows = shop.site.client.get("/queues").text.split("<tr>")
    shown = {broker: "s-paused" in row for row in rows for broker in (A, B) if f'title="{broker}"' in row}
    assert shown == {A: True, B: False}
    for broker, is_paused in shown.items():
        page = shop.site.client.get(f"/queues/work?app=shop&environment=production&engine=rq&broker={broker}").text
        assert ('value="resume_queue"' in page, 'value="pause_queue"' in page) == (is_paused, not is_paused)
        assert ("paused by operator" in page) == is_paused


def test_the_form_pauses_the_queue_of_its_page(shop: Shop) -> None:
    shop.site.add_user()
    shop.site.sign_in()
    shop.site.post("/queues/act", **PLACE, action="pause_queue", broker=B)
    assert sorted(shop.told()) == [("b", "pause_queue", B), ("old", "pause_queue", B)]
    assert shop.paused() == [B]


def test_the_log_says_in_which_broker(shop: Shop) -> None:
    shop.act("pause_queue", A)
    detail = shop.site.call(shop.store.fetch_all, "SELECT detail FROM audit WHERE action = 'pause_queue'")
    assert f'"broker":"{A}"' in detail[-1][0].replace(": ", ":").replace(" ", "")


def test_the_database_holds_one_pause_of_each_broker(shop: Shop) -> None:
    def twice(db: Any) -> None:
        for _ in range(2):
            db.execute(
                "INSERT INTO hold (app_id, environment, engine, queue, broker, at, asked_by, reason) VALUES (1, '', '', '', 'x', 1, '', '')"
            )

    with pytest.raises(sqlite3.IntegrityError):
        shop.site.call(shop.store.write, twice)
