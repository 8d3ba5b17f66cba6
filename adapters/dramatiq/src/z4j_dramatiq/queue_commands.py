# SPDX-License-Identifier: Apache-2.0
"""Waiting messages of a queue: listed in order, and removed. Used in the agent's thread.

In Redis a message is an ID in a list and its bytes in a hash; a process that removes the ID has the message. RabbitMQ delivers messages
one by one; those that are only read are returned to their positions, marked as redelivered.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import z4j_agent
from z4j_agent.agent import Agent
from z4j_agent.capture import display
from z4j_agent.commands.queue_actions import Entry, purge
from z4j_agent.contract.adapter import Refused, WaitingTask
from z4j_dramatiq import originals
from z4j_dramatiq.broker_identity import DramatiqPart
from z4j_dramatiq.encoding.decoding import identity_of
from z4j_dramatiq.messages import DEAD, DELAYED, ENGINE, attempt_of, eta_of, parameter_names
from z4j_dramatiq.queues import declared, key_of, kind_of, read
from z4j_dramatiq.state import BrokerState

SUFFIXES = {"waiting": "", "delayed": DELAYED, "dead": DEAD}
AT_ONCE = 500
TAKE = "if redis.call('LREM', KEYS[1], 1, ARGV[1]) == 0 then return 0 end redis.call('HDEL', KEYS[2], ARGV[1]) return 1"
TAKE_DEAD = "if redis.call('ZREM', KEYS[1], ARGV[1]) == 0 then return 0 end redis.call('HDEL', KEYS[2], ARGV[1]) return 1"
"""The results of LREM and ZREM show whether a worker has taken the message."""


class WaitingMessage(NamedTuple):
    """Dramatiq's id of the delivery, and the message's bytes."""

    delivery: Any
    raw: bytes


def need(state: BrokerState, queue: str) -> Any:
    """Returns the broker, if it has this queue. Raises Refused."""
    if queue not in declared(state.broker):
        raise Refused(f"this process declares no queue {queue[:80]}. No changes were made.", check="queue.unknown")
    return state.broker


def in_redis(broker: Any, name: str, section: str, limit: int) -> list[WaitingMessage]:
    """Returns the first messages of a section, in the order in which they would run; of the delayed ones those that no worker has in its
    memory."""
    key, client = key_of(broker, name + SUFFIXES[section]), broker.client
    ids = client.zrange(key, 0, limit - 1) if section == "dead" else client.lrange(key, 0, limit - 1)
    raws = client.hmget(f"{key}.msgs", ids) if ids else []
    return [WaitingMessage(id, _bytes(raw)) for id, raw in zip(ids, raws, strict=True) if raw is not None]


def take(broker: Any, name: str, section: str, message: WaitingMessage) -> bool:
    """Removes a message. Returns whether it was still there."""
    key = key_of(broker, name + SUFFIXES[section])
    return bool(broker.client.eval(TAKE_DEAD if section == "dead" else TAKE, 2, key, f"{key}.msgs", message.delivery))


def find(broker: Any, task_id: str, section: str) -> tuple[str, WaitingMessage, Any]:
    """(queue, stored message, decoded message) of a waiting task in Redis. Raises Refused."""
    for name in declared(broker):
        for waiting in in_redis(broker, name, section, 20_000):
            message = read(waiting.raw) if task_id.encode("utf-8", "replace") in waiting.raw else None
            if message is not None and message.message_id == task_id:
                return name, waiting, message
    raise Refused("the task does not wait there: a worker has already taken it, or it has ended. No changes were made.")


def _delayed(broker: Any, name: str, limit: int) -> list[WaitingMessage]:
    """The delayed messages, also those in a worker's memory: their bytes stay in Redis until they are due."""
    waiting = [
        WaitingMessage(id, _bytes(raw)) for id, raw in broker.client.hscan_iter(f"{key_of(broker, name + DELAYED)}.msgs", count=AT_ONCE)
    ]
    messages = [(eta_of(message.options) or 0, entry) for entry in waiting if (message := read(entry.raw)) is not None]
    return [entry for _, entry in sorted(messages, key=lambda due_and_entry: due_and_entry[0])[:limit]]


def _shown(agent: Agent, broker: Any, raw: bytes) -> WaitingTask:
    message = read(raw)
    if message is None:
        return WaitingTask(*identity_of(raw), "…")
    text = "…"
    if message.actor_name in broker.actors:  # a secret argument is only recognised by its parameter's name
        text, _ = display.show_arguments(message.args, message.kwargs, agent.settings.redact, parameter_names(broker, message.actor_name))
    priority = message.options.get("broker_priority")
    return WaitingTask(
        message.message_id, message.actor_name, text, message.message_timestamp * 1000, eta_of(message.options),
        priority if isinstance(priority, int) else None,
    )  # fmt: skip


def _entries_in_redis(agent: Agent, broker: Any, name: str, section: str) -> Iterator[Entry]:
    left = int(
        broker.client.zcard(key_of(broker, name + DEAD))
        if section == "dead"
        else broker.client.llen(key_of(broker, name + SUFFIXES[section]))
    )
    while left > 0:
        waiting = in_redis(broker, name, section, min(left, AT_ONCE))
        if not waiting:
            return
        left -= len(waiting)
        for entry in waiting:
            yield _entry(agent, broker, read(entry.raw), partial(take, broker, name, section, entry))


def _entries_in_rabbitmq(agent: Agent, state: BrokerState, name: str, section: str) -> Iterator[Entry]:
    with state.poller.connection(is_persistent=state.worker is not None) as connection:
        channel = connection.channel()
        left = int(channel.queue_declare(name + SUFFIXES[section], passive=True).method.message_count)
        try:
            while left > 0:
                method, _, body = channel.basic_get(name + SUFFIXES[section])
                if method is None:
                    break
                left -= 1
                yield _entry(agent, state.broker, read(body), partial(_acknowledge, channel, method.delivery_tag))
        finally:  # messages that were not removed are returned
            if channel.is_open:
                channel.close()


def _acknowledge(channel: Any, tag: int) -> bool:
    channel.basic_ack(tag)
    return True


def _entry(agent: Agent, broker: Any, message: Any, take: Callable[[], bool]) -> Entry:
    if message is None:
        return Entry("", 0, "", take)
    attempt = attempt_of(message.options)
    payload = partial(originals.payload_of, agent, broker, message, attempt, originals.BY_WORKER)
    return Entry(message.message_id, attempt, message.actor_name, take, payload)


def _looked_at(state: BrokerState, queue: str, limit: int) -> list[bytes]:
    """Messages that are fetched and returned together, so that they keep their order."""
    import pika.exceptions

    bodies: list[bytes] = []
    with state.poller.connection(is_persistent=state.worker is not None) as connection:
        channel = connection.channel()
        try:
            while len(bodies) < limit:
                method, _, body = channel.basic_get(queue)
                if method is None:
                    break
                bodies.append(body)
            if bodies:
                channel.basic_nack(0, multiple=True, requeue=True)
            channel.close()
        except pika.exceptions.ChannelClosedByBroker:
            return []  # there is no such queue yet
    return bodies


def _bytes(raw: Any) -> bytes:
    """A client with decode_responses gives text."""
    return raw if isinstance(raw, bytes) else str(raw).encode("utf-8", "surrogatepass")


class QueueCommands(DramatiqPart):
    """Commands for queues."""

    def peek_queue(self, queue: str, section: str, limit: int) -> list[WaitingTask]:
        """Lists tasks. Changes nothing except, on RabbitMQ, the mark of redelivery. Raises Refused."""
        broker, agent = need(self.state, queue), z4j_agent.current()
        assert agent is not None  # the command came through it
        match kind_of(broker):
            case "redis":
                messages = _delayed(broker, queue, limit) if section == "delayed" else in_redis(broker, queue, section, limit)
                return [_shown(agent, broker, message.raw) for message in messages]
            case "rabbitmq":
                return [_shown(agent, broker, raw) for raw in _looked_at(self.state, queue + SUFFIXES[section], limit)]
        raise Refused("the queues of this broker cannot be read")

    def purge_queue(self, queue: str, section: str) -> dict[str, Any]:
        """Removes all current tasks of a section. Raises Refused."""
        broker, agent = need(self.state, queue), z4j_agent.current()
        assert agent is not None  # the command came through it
        match kind_of(broker):
            case "redis":
                entries = _entries_in_redis(agent, broker, queue, section)
            case "rabbitmq":
                entries = _entries_in_rabbitmq(agent, self.state, queue, section)
            case _:
                raise Refused("the queues of this broker cannot be read")
        return purge(agent, ENGINE, queue, entries, is_dead=section == "dead")
