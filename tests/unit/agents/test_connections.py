# SPDX-License-Identifier: AGPL-3.0-or-later
"""Who is asked for a command: an agent that can, may, and has the broker."""

from __future__ import annotations

from typing import Any

from z4j.agents.connections import AgentLink, Hub, Need

A, B, ALIAS = "redis://a:6379/0", "redis://b:6379/0", "redis://cache:6379/0"


def link(boot: str, app_id: int = 1, **facts: Any) -> AgentLink:
    given: dict[str, Any] = {
        "app_id": app_id, "boot": boot, "spool": "s", "role": "worker", "worker": boot, "allow": "all", "denied": frozenset(),
        "seal_key": "", "is_secure": True, "send": lambda _: None, "close": lambda *_: None,
        "capabilities": {("rq", "retry_task"): "any"},
    }  # fmt: skip
    return AgentLink(**(given | facts))


def names(hub: Hub, broker: str, app_id: int = 1) -> list[str]:
    return [found.boot for found in hub.find(Need(app_id, "rq", "retry_task", broker=broker))[0]]


def test_a_task_is_sent_again_by_an_agent_that_has_its_broker() -> None:
    hub = Hub()
    hub.connect(link("has a", brokers={"rq": {A: ""}}))
    hub.connect(link("has b", brokers={"rq": {B: ""}}))
    assert names(hub, A) == ["has a"]
    assert names(hub, B) == ["has b"]
    assert names(hub, "") == ["has a", "has b"], "an unreported broker matches any"
    assert hub.find(Need(1, "rq", "retry_task", broker=ALIAS)) == ([], f"no connected agent uses its broker, {ALIAS}")
    hub.connect(link("old", brokers={}))
    assert names(hub, ALIAS) == ["old"], "an agent that does not report its brokers may have it, and decides itself"


def test_two_addresses_of_one_server_are_one_broker_of_one_app() -> None:
    hub = Hub()
    hub.connect(link("producer", brokers={"rq": {ALIAS: "run-1"}}, capabilities={}))
    hub.connect(link("worker", brokers={"rq": {A: "run-1"}}))
    hub.connect(link("elsewhere", brokers={"rq": {B: "run-2"}}))
    assert names(hub, ALIAS) == ["worker"]
    hub.connect(link("of another app", app_id=2, brokers={"rq": {A: "run-1"}}))
    assert names(hub, ALIAS, app_id=2) == [], "what one app's agents say of a broker proves nothing to another's"


def test_every_action_goes_to_the_broker_and_its_own_worker_is_asked_first() -> None:
    able = {("rq", "cancel_task"): "worker", ("rq", "lookup_task"): "any", ("rq", "terminate_task"): "worker"}
    hub = Hub()
    hub.connect(link("of b, also a", brokers={"rq": {B: "", A: ""}}, capabilities=able))
    hub.connect(link("of a", brokers={"rq": {A: ""}}, capabilities=able))

    def found(action: str, broker: str, worker: str = "") -> list[str]:
        return [each.boot for each in hub.find(Need(1, "rq", action, worker=worker, broker=broker))[0]]

    assert found("cancel_task", A) == ["of a", "of b, also a"]
    assert found("cancel_task", B) == ["of b, also a"]
    assert found("cancel_task", ALIAS) == []
    assert found("lookup_task", ALIAS) != [], "looking for it elsewhere changes nothing"
    assert found("terminate_task", ALIAS, "of a") == ["of a"], "the worker that runs it is certain"


def test_an_agent_is_told_the_broker_by_the_name_it_has_for_it() -> None:
    hub, producer, worker = (
        Hub(),
        link("producer", brokers={"rq": {ALIAS: "run-1"}}),
        link("worker", brokers={"rq": {A: "run-1", B: "run-2"}}),
    )
    hub.connect(producer)
    hub.connect(worker)
    need = Need(1, "rq", "cancel_task", broker=ALIAS)
    assert (hub.name_for(producer, need), hub.name_for(worker, need), hub.name_for(link("old"), need)) == (ALIAS, A, "")
    assert hub.name_for(worker, Need(1, "rq", "cancel_task")) == ""
    assert hub.same_brokers() == {(1, "rq", A): min(A, ALIAS), (1, "rq", ALIAS): min(A, ALIAS)}
