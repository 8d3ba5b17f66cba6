# SPDX-License-Identifier: Apache-2.0
"""A queue of RabbitMQ, read by fetching messages without acknowledging them: RabbitMQ cannot return a single message.

Closing the channel returns all messages to their positions, marked as redelivered. Until then no worker can take them. A move is a
transaction of the broker: published and acknowledged together, or neither.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import amqp

from z4j_agent.contract.adapter import Refused
from z4j_celery.brokers.message import Waiting, message_of

LOOKED_AT = 5_000
"""Maximum number of messages that are fetched to find one task."""
NOT_FOUND = 404


@contextlib.contextmanager
def open_rabbitmq(app: Any) -> Iterator[RabbitMq]:
    """Opens the queues with a connection of its own."""
    with app.connection_for_write() as connection:
        connection.transport_options = {
            name: value for name, value in connection.transport_options.items() if name != "confirm_publish"
        }  # a channel confirms or has transactions, not both
        yield RabbitMq(app, connection)


class RabbitMq:
    """See `message.ReadableBroker`."""

    def __init__(self, app: Any, connection: Any) -> None:
        self._app, self._connection = app, connection
        self._open_channel: Any = None
        """The channel that holds what `find` has fetched."""

    @contextlib.contextmanager
    def _channel(self) -> Iterator[Any]:
        channel = self._connection.channel()
        try:
            yield channel
        finally:
            with contextlib.suppress(*self._connection.channel_errors):
                channel.close()

    def _fetched(self, channel: Any, queue: str, most: int) -> Iterator[Waiting]:
        for _ in range(most):
            try:
                given = channel.basic_get(queue)
            except self._connection.channel_errors as error:
                if getattr(error, "reply_code", getattr(error, "code", None)) == NOT_FOUND:
                    return  # not declared yet, so no task waits
                raise
            if given is None:
                return
            message = channel.message_to_python(given)
            yield message_of(
                message.headers or {}, message.body, message.content_type or "", message.content_encoding or "", message.properties or {},
                message.delivery_info or {}, message,
            )  # fmt: skip

    def first(self, queue: str, most: int) -> Iterator[Waiting]:
        with self._channel() as channel:
            yield from self._fetched(channel, queue, most)

    def take(self, queue: str, waiting: Waiting) -> bool:
        waiting.raw.ack()
        return True

    def find(self, task_id: str, queues: list[str], *, is_fresh: bool = False) -> tuple[str, Waiting] | None:
        for queue in queues:
            channel = self._connection.channel()
            channel.tx_select()
            for count, waiting in enumerate(self._fetched(channel, queue, LOOKED_AT + 1)):
                if waiting.task_id == task_id:
                    self._open_channel = channel  # closed with the connection
                    return queue, waiting
                if count == LOOKED_AT:
                    channel.close()
                    raise Refused(
                        f"the queue {queue} contains over {LOOKED_AT:,} messages, too many to search for one task. No changes were made."
                    )
            with contextlib.suppress(*self._connection.channel_errors):
                channel.close()
        return None

    def put(self, waiting: Waiting, queue: str, other: str, *, priority: int | None, in_front: bool, is_due: bool) -> bool:
        source, channel = waiting.raw, self._open_channel
        headers = dict(source.headers or {})
        if is_due:
            headers["eta"] = None
        properties = {name: value for name, value in (source.properties or {}).items() if name != "application_headers"}
        if priority is not None:
            properties["priority"] = priority
        message = amqp.Message(
            source.body, application_headers=headers,
            **(properties | {"content_type": source.content_type, "content_encoding": source.content_encoding}),
        )  # fmt: skip
        try:
            channel.queue_declare(other, passive=True)  # a message to no queue would be lost
        except self._connection.channel_errors as error:
            raise Refused(f"RabbitMQ has no queue {other}. No changes were made.", check="queue.missing") from error
        channel.basic_publish(message, exchange="", routing_key=other)
        channel.basic_ack(source.delivery_tag)
        channel.tx_commit()
        channel.close()
        return True

    def level(self, app: Any, queue: str, level: str) -> tuple[int, bool]:
        declared = app.amqp.queues.get(queue)
        if declared is None:
            raise Refused(
                f"this process does not declare the queue {queue}, so whether it was declared with x-max-priority is unknown. "
                "No changes were made."
            )
        highest = declared.max_priority or (declared.queue_arguments or {}).get("x-max-priority")
        if not highest:
            raise Refused(f"the queue {queue} is declared without x-max-priority, so RabbitMQ keeps the order of sending")
        usual = min(int(app.conf.task_default_priority or 0), highest)
        match level:
            case "next":
                return highest, False
            case "high" if usual < highest - 1:
                return (usual + highest) // 2, False
            case "normal":
                return usual, False
            case "low" if usual > 0:
                return usual - 1, False
        if level == "high":
            raise Refused("tasks without a priority already have the highest one in this application. Choose “next” instead.")
        raise Refused("tasks without a priority already have the lowest one in this application")
