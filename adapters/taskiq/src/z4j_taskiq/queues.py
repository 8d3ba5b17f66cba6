# SPDX-License-Identifier: Apache-2.0
"""Depths of queues, read from the broker without changing it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from z4j_agent.capture.guard import faults, let_through
from z4j_agent.contract.adapter import QueueInfo
from z4j_taskiq.brokers.broker_identity import TaskiqPart, broker_key_of, identity_of, keep_fingerprint
from z4j_taskiq.brokers.connections import in_loop, redis_kind, redis_of
from z4j_taskiq.messages import is_rabbitmq, queue_of, rabbitmq_queues
from z4j_taskiq.state import BrokerState

LOOKED_AT = 10_000
"""Maximum number of messages of a queue that are searched for one task, in the order in which they would run."""
PAGE = 500


def names_of(broker: Any) -> list[str]:
    """Returns the queues from which a worker of this broker takes messages."""
    if is_rabbitmq(broker):
        return rabbitmq_queues(broker)
    more = getattr(broker, "additional_streams", None) or {}
    own = queue_of(broker, {})
    return [name for name in (own, *more) if name]


def _of_broker(state: BrokerState) -> list[QueueInfo]:
    """The queues of a broker; without depths if it cannot be read from here."""
    broker = state.broker
    names = names_of(broker)
    if (kind := redis_kind(broker)) != "":
        with redis_of(broker) as client:
            keep_fingerprint(broker, client)
            if kind == "list":
                return [QueueInfo(name, int(client.llen(name))) for name in names]
            return [_stream(client, name, broker.consumer_group_name) for name in names]
    if is_rabbitmq(broker) and state.loop is not None and state.loop.is_running():
        return in_loop(state, lambda: _rabbitmq(broker, names))
    return [QueueInfo(name, None) for name in names]


def _stream(client: Any, name: str, group: str) -> QueueInfo:
    """Messages that no consumer has read, and those that were not acknowledged. XLEN would count finished ones too, because streams are
    not trimmed."""
    import redis

    try:
        group_info = next((entry for entry in client.xinfo_groups(name) if entry["name"] in (group, group.encode())), None)
    except redis.ResponseError:  # no such stream yet
        return QueueInfo(name, 0)
    if group_info is None:
        return QueueInfo(name, None)
    lag = group_info.get("lag")  # None after an XDEL of an unread message
    return QueueInfo(name, None if lag is None else int(lag) + int(group_info["pending"]), int(group_info["consumers"]))


async def _rabbitmq(broker: Any, names: list[str]) -> list[QueueInfo]:
    """Depths on a separate channel: a passive declaration of a missing queue closes the channel. Unknown before the broker has connected
    (taskiq_aio_pika/broker.py, `startup`)."""
    from aiormq.exceptions import ChannelNotFoundEntity

    connection = broker.write_conn
    if connection is None:
        return [QueueInfo(name, None) for name in names]
    queues = []
    for name in names:
        channel = await connection.channel()
        try:
            result = (await channel.declare_queue(name, passive=True)).declaration_result
            queues.append(QueueInfo(name, int(result.message_count or 0), int(result.consumer_count or 0)))
        except ChannelNotFoundEntity:  # a worker that has just started declares it in a moment
            queues.append(QueueInfo(name, 0, 0))
        finally:
            await channel.close()
    return queues


# -- finding a task--------------------------------------------------------------------------------------------
def waiting_in(client: Any, queue: str) -> Iterator[bytes]:
    """The messages of a list in the order in which they would run (it is filled from the left and read from the right)."""
    for begin in range(0, LOOKED_AT, PAGE):
        page = client.lrange(queue, -(begin + PAGE), -(begin + 1))
        yield from reversed(page)
        if len(page) < PAGE:
            return


def read(broker: Any, raw: bytes) -> Any:
    try:
        return broker.formatter.loads(message=raw)
    except Exception as error:
        let_through(error)
        return None  # not a message of taskiq, or not readable here: a worker reports that when it receives it


def find_waiting(state: BrokerState, task_id: str) -> str | None:
    """Where the task waits, "" if it does not, None if the broker cannot be read."""
    broker = state.broker
    queue = queue_of(broker, {})
    match redis_kind(broker):
        case "list":
            with redis_of(broker) as client:
                waits = any(_is_task(broker, raw, task_id) for raw in waiting_in(client, queue))
                return f"in list {queue}" if waits else ""
        case "stream":
            with redis_of(broker) as client:
                return _in_stream(client, broker, queue, task_id)
    return None


def _in_stream(client: Any, broker: Any, queue: str, task_id: str) -> str:
    """Where the task is in a stream: unread, or delivered to a consumer that has not acknowledged it."""
    import redis

    try:
        groups = client.xinfo_groups(queue)
    except redis.ResponseError:  # no such stream yet
        return ""
    group = broker.consumer_group_name
    last = next((entry["last-delivered-id"] for entry in groups if entry["name"] in (group, group.encode())), b"0-0")
    text = last.decode() if isinstance(last, bytes) else str(last)
    for _id, fields in client.xrange(queue, f"({text}", "+", count=LOOKED_AT):
        if _is_task(broker, fields.get(b"data", b""), task_id):
            return f"in stream {queue}"
    for entry in client.xpending_range(queue, group, "-", "+", PAGE):
        for _id, fields in client.xrange(queue, entry["message_id"], entry["message_id"]):
            if _is_task(broker, fields.get(b"data", b""), task_id):
                consumer = entry["consumer"]
                return f"delivered to consumer {consumer.decode() if isinstance(consumer, bytes) else consumer}, not acknowledged"
    return ""


def _is_task(broker: Any, raw: bytes, task_id: str) -> bool:
    message = read(broker, raw)
    return message is not None and message.task_id == task_id


class Queues(TaskiqPart):
    """Depths of the queues of this process's brokers."""

    def list_queues(self) -> list[QueueInfo]:
        """Returns every queue of these brokers. A broker that cannot be reached does not affect the others."""
        queues: dict[tuple[str | int, str], QueueInfo] = {}
        states = list(self.states)
        for state in states:
            broker_key, identity = broker_key_of(state.broker), identity_of(state.broker)
            try:
                reported = _of_broker(state)
            except Exception as error:
                if len(states) == 1:
                    raise
                let_through(error)
                faults.report("reading the queues of a broker of taskiq", error)
                reported = [QueueInfo(name, None) for name in names_of(state.broker)]
            for queue in reported:
                if (broker_key, queue.name) not in queues or queue.depth is not None:
                    queues[broker_key, queue.name] = replace(queue, broker=identity)
        return [queues[key] for key in sorted(queues, key=lambda key: (key[1], str(key[0])))]
