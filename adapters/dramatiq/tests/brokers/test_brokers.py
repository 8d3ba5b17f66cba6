# SPDX-License-Identifier: Apache-2.0
"""Two brokers in one process: a task goes back to the one it came from, or is refused with the reason."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import dramatiq
import pytest
from dramatiq.brokers.rabbitmq import RabbitmqBroker
from dramatiq.brokers.redis import RedisBroker

import z4j_agent
import z4j_dramatiq
from z4j_agent.conformance.gateway import Gateway
from z4j_agent.conformance.harness import Harness, wait_for
from z4j_agent.contract.adapter import Original, Refused
from z4j_dramatiq.broker_identity import identity_of


class Two:
    def __init__(self, port: int, gateway: Gateway, folder: Path) -> None:
        self.gateway = gateway
        self.brokers = [RedisBroker(url=f"redis://:@127.0.0.1:{port}/{database}") for database in (0, 1)]
        for broker in self.brokers:
            z4j_dramatiq.install(broker, url=gateway.url, spool=folder, environment="test", allow="all")
        self.actors = [dramatiq.actor(lambda value: value, broker=each, actor_name="same", queue_name="work") for each in self.brokers]
        agent = z4j_agent.current()
        assert agent is not None
        self.first = agent.adapters[0]
        self.names = list(self.first.brokers())

    def depths(self) -> list[int]:
        return [int(broker.client.llen("dramatiq:work")) for broker in self.brokers]

    def disconnect(self) -> None:
        for broker in self.brokers:
            broker.client.connection_pool.disconnect()  # else pytest fails a run in which all passed: it finds open sockets at its end


@pytest.fixture
def two(tmp_path: Path) -> Iterator[Two]:
    gateway, holder = Gateway(), Harness(tmp_path, "")
    gateway.start()
    made = None
    try:
        made = Two(holder.start_valkey(), gateway, tmp_path / "spool")
        yield made
    finally:
        z4j_dramatiq.uninstall()
        z4j_agent.stop()
        if made is not None:
            made.disconnect()
        holder.tear_down()
        gateway.stop()


@pytest.mark.parametrize("which", [0, 1])
def test_a_task_goes_back_to_its_broker(two: Two, which: int) -> None:
    assert len(two.names) == 2
    sent = two.actors[which].send("value")
    payload = wait_for(lambda: [r for r in two.gateway.records(sent.message_id) if r.kind == "payload"], "it is reported")[0]
    assert payload.rest["broker"] == two.names[which]
    original = Original(sent.message_id, "same", "work", {"args": ["again"], "kwargs": {}}, two.names[which])
    new_id = str(uuid.uuid4())
    two.first.retry_task(original, new_id=new_id)
    assert two.depths() == [2 * (which == 0), 2 * (which == 1)]
    enqueued = wait_for(lambda: [r for r in two.gateway.records(new_id) if r.kind == "enqueued"], "the retry is reported")[0]
    assert enqueued.meta["retry_of"] == sent.message_id


def test_an_original_that_names_none_is_refused_where_there_are_two(two: Two) -> None:
    with pytest.raises(Refused) as refused:
        two.first.retry_task(Original("first", "same", "work", {"args": ["again"], "kwargs": {}}), new_id=str(uuid.uuid4()))
    assert refused.value.check == "broker.unknown"
    assert two.depths() == [0, 0]


def test_commands_look_only_into_the_broker_they_name(two: Two) -> None:
    sent = two.actors[1].send("value")
    assert [task.task_id for task in two.first.of_broker(two.names[1]).peek_queue("work", "waiting", 5)] == [sent.message_id]
    assert two.first.of_broker(two.names[0]).peek_queue("work", "waiting", 5) == []
    with pytest.raises(Refused):
        two.first.of_broker(two.names[0]).prioritise_task(sent.message_id, "next")
    two.first.of_broker(two.names[1]).prioritise_task(sent.message_id, "next")


def test_a_broker_is_named_by_what_leads_to_it_and_never_by_a_credential(two: Two) -> None:
    agent = z4j_agent.current()
    assert agent is not None
    names = [
        identity_of(RedisBroker(url="redis://user:hunter2@cache.internal:6380/3")),
        identity_of(RedisBroker(url="redis://user:hunter2@cache.internal:6380/3", namespace="other")),
        identity_of(RabbitmqBroker(url="amqp://user:hunter2@rabbit.internal/shop")),
        identity_of(RabbitmqBroker(url=["amqp://user:hunter2@b", "amqp://user:hunter2@a"])),
        identity_of(RabbitmqBroker(url=["amqp://user:hunter2@a", "amqp://user:hunter2@b"])),
    ]
    assert names == [
        "redis://cache.internal:6380/3", "redis://cache.internal:6380/3#other", "amqp://rabbit.internal:5672/shop",
        "amqp://a:5672/;amqp://b:5672/", "amqp://a:5672/;amqp://b:5672/",
    ]  # fmt: skip
    assert not any("hunter2" in name for name in names)
    assert all(name.endswith(f"@{agent.host}") for name in two.names), "a loopback address is that of one host alone"
