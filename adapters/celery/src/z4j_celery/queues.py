# SPDX-License-Identifier: Apache-2.0
"""How much waits in each queue, asked of the broker without changing it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from z4j_agent.adapter import QueueInfo
from z4j_celery import redis_lists
from z4j_celery.waiting import driver_of

NOT_FOUND = 404


def list_queues(app: Any, names: Iterable[str]) -> list[QueueInfo]:
    """The queues of these names of an app."""
    if driver_of(app) == "redis":  # kombu asks EXISTS without the prefix of its own keys (transport/redis.py: PREFIXED_SIMPLE_COMMANDS)
        with redis_lists.open_place(app) as place:
            return [QueueInfo(name, place.depth(name)) for name in names]
    with app.connection_for_write() as connection:
        return [QueueInfo(name, _depth(connection, name)) for name in names]


def _depth(connection: Any, name: str) -> int | None:
    """Messages that wait; a queue that does not exist holds nothing. RabbitMQ closes the channel with it."""
    with connection.channel() as channel:
        try:
            return int(channel.queue_declare(name, passive=True).message_count)
        except connection.channel_errors as error:
            return 0 if getattr(error, "reply_code", getattr(error, "code", None)) == NOT_FOUND or "NOT_FOUND" in str(error) else None


def together(queues: Iterable[QueueInfo]) -> list[QueueInfo]:
    """Queues of one name in several brokers as one, with the messages of all."""
    depths: dict[str, int | None] = {}
    for queue in queues:
        known = depths.get(queue.name)
        depths[queue.name] = queue.depth if known is None else known + (queue.depth or 0)
    return [QueueInfo(name, depth) for name, depth in depths.items()]
