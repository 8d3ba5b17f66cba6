# SPDX-License-Identifier: Apache-2.0
"""Depths of queues, and finding a message, read from the broker without changing it.

Dramatiq has two additional queues for every queue: `<queue>.DQ` with delayed messages, `<queue>.XQ` with the dead letters of the last
seven days. They are not listed: what they hold is reported with their queue, as delayed and dead.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator
from typing import Any

from dramatiq.errors import DecodeError
from dramatiq.message import Message
from dramatiq.middleware.threading import is_gevent_active

from z4j_agent.contract.adapter import QueueInfo
from z4j_dramatiq.messages import DEAD, DELAYED, queue_of

PAGE = 500
LOOKED_AT = 20_000
"""Maximum number of messages of a broker that are searched for one task."""
HEARTBEAT_S = 60


def kind_of(broker: Any) -> str:
    """`redis`, `rabbitmq`, `stub` or "" for a broker whose queues this adapter cannot read; its tasks are still reported."""
    for kind in type(broker).__mro__:
        if kind.__module__.startswith("dramatiq.brokers."):
            return kind.__module__.rpartition(".")[2]
    return ""


def declared(broker: Any) -> list[str]:
    """Returns the declared queues; the stub broker also lists those of delayed messages."""
    return sorted({queue_of(name) for name in broker.get_declared_queues()})


def list_queues(broker: Any, poller: QueuePoller, *, is_persistent: bool) -> list[QueueInfo]:
    """Returns every declared queue, with what its two additional ones hold."""
    names = declared(broker)
    match "" if is_gevent_active() else kind_of(broker):  # there the agent cannot use the broker's connections
        case "redis":
            return [_in_redis(broker, name) for name in names]
        case "rabbitmq":
            return _in_rabbitmq(poller, names, is_persistent=is_persistent)
        case "stub":
            return [_in_memory(broker, name) for name in names]
    return [QueueInfo(name, None) for name in names]


# -- Redis ---------------------------------------------------------------------------------------------------------------
def key_of(broker: Any, queue: str) -> str:
    return f"{broker.namespace}:{queue}"


def _in_redis(broker: Any, name: str) -> QueueInfo:
    """The state of a queue. A delayed message leaves its list for a worker's memory long before it is due, so the hash of the messages
    is counted."""
    key, client = key_of(broker, name), broker.client
    with client.pipeline(transaction=False) as pipeline:
        pipeline.llen(key).lindex(key, 0).hlen(f"{key}{DELAYED}.msgs").zcard(f"{key}{DEAD}")
        waiting, first, delayed, dead = pipeline.execute()
    raw = client.hget(f"{key}.msgs", first) if first is not None else None
    message = read(raw) if raw is not None else None
    oldest_at = message.message_timestamp * 1000 if message is not None else None
    return QueueInfo(name, int(waiting), oldest_at=oldest_at, delayed=int(delayed), dead=int(dead))


def find_in_redis(broker: Any, task_id: str) -> Iterator[tuple[str, Any, Message[Any]]]:
    """(queue, Dramatiq's id of the delivery, message) of a task in the queues, the delayed ones and the dead letters."""
    left = LOOKED_AT
    for name in declared(broker):
        for suffix in ("", DELAYED, DEAD):
            for delivery, raw in broker.client.hscan_iter(f"{key_of(broker, name + suffix)}.msgs", count=PAGE):
                message = read(raw) if task_id.encode("utf-8", "replace") in _bytes(raw) else None
                if message is not None and message.message_id == task_id:
                    yield name + suffix, delivery, message
                left -= 1
                if left <= 0:
                    return


def read(raw: Any) -> Message[Any] | None:
    """Returns a message as a worker would read it; None if it cannot be decoded."""
    try:
        return Message.decode(_bytes(raw))
    except DecodeError:
        return None  # a worker reports that when it receives it


def _bytes(raw: Any) -> bytes:
    """Converts to bytes: a client with decode_responses returns text."""
    return raw if isinstance(raw, bytes) else str(raw).encode("utf-8", "surrogatepass")


# -- RabbitMQ ------------------------------------------------------------------------------------------------------------
class QueuePoller:
    """The agent's own connection to RabbitMQ. A worker polls every few seconds and keeps it; a producer opens one for each poll."""

    def __init__(self, broker: Any) -> None:
        self._broker = broker
        self._connection: Any = None

    @contextlib.contextmanager
    def connection(self, *, is_persistent: bool) -> Iterator[Any]:
        """The connection of the last poll if it is still open, else a new one. Raises the exceptions of pika."""
        import pika.exceptions

        try:
            if self._connection is not None:
                self._connection.process_data_events(0)  # heartbeats, and whether the server has closed it
        except pika.exceptions.AMQPError:
            self._connection = None
        if self._connection is None:
            self._connection = pika.BlockingConnection(_unhurried(self._broker.parameters))
        try:
            yield self._connection
        finally:
            if not is_persistent:
                self.close()

    def close(self) -> None:
        """Closes the connection, also a broken one. Called from any thread after the agent's thread has ended."""
        connection, self._connection = self._connection, None
        if connection is not None:
            import pika.exceptions

            with contextlib.suppress(pika.exceptions.AMQPError):
                connection.close()


def _unhurried(parameters: Any) -> Any:
    """The broker's parameters with a heartbeat interval that a poll every few seconds can serve."""
    if isinstance(parameters, list):
        return [_unhurried(each) for each in parameters]
    own = copy.copy(parameters)
    own.heartbeat = HEARTBEAT_S
    return own


def _in_rabbitmq(poller: QueuePoller, names: list[str], *, is_persistent: bool) -> list[QueueInfo]:
    """Depths by passive declarations, so that no queue is created; a missing queue closes the channel and counts as empty."""
    import pika.exceptions

    queues = []
    with poller.connection(is_persistent=is_persistent) as connection:
        channel = connection.channel()
        for name in names:
            messages, consumers = [0, 0, 0], 0
            for place, suffix in enumerate(("", DELAYED, DEAD)):
                try:
                    declared = channel.queue_declare(name + suffix, passive=True).method
                except pika.exceptions.ChannelClosedByBroker:
                    channel = connection.channel()
                else:
                    messages[place] = int(declared.message_count)
                    consumers = int(declared.consumer_count) if not suffix else consumers
            waiting, delayed, dead = messages
            queues.append(QueueInfo(name, waiting, consumers, delayed=delayed, dead=dead))
        channel.close()
    return queues


@contextlib.contextmanager
def lent_connection(broker: Any) -> Iterator[None]:
    """Closes the agent's thread's connection: Dramatiq keeps one for each thread that enqueues."""
    try:
        yield
    finally:
        if kind_of(broker) == "rabbitmq":
            del broker.connection


# -- the stub broker, in this process only-----------------------------------------------------------------------------
def _in_memory(broker: Any, name: str) -> QueueInfo:
    """Depths of a stub broker. A queue is declared in three steps, and may be read in between."""
    waiting, delayed = (queue.qsize() if queue is not None else 0 for queue in map(broker.queues.get, (name, name + DELAYED)))
    return QueueInfo(name, waiting, delayed=delayed, dead=len(broker.dead_letters_by_queue.get(name, ())))
