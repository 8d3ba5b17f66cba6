# SPDX-License-Identifier: Apache-2.0
"""A message in a queue of the broker, and the operations of a broker whose queues can be read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from kombu.exceptions import KombuError
from kombu.serialization import loads

from z4j_celery import originals
from z4j_celery.messages import to_us

CANNOT_READ = (KombuError, ValueError, TypeError, KeyError, LookupError)


@dataclass(frozen=True, slots=True)
class Waiting:
    """A message in a queue. `raw` is the broker's own form of it, for the code that removes it."""

    task_id: str
    name: str
    attempt: int
    headers: Mapping[str, Any]
    body: str | bytes
    content_type: str
    encoding: str
    exchange: str
    key: str
    priority: int | None
    due_at: int | None
    raw: Any = None


class ReadableBroker(Protocol):
    """A broker whose queues can be read, with a connection of its own."""

    def first(self, queue: str, most: int) -> Iterator[Waiting]:
        """The messages in the order they would be delivered. The queue is unchanged after the iterator is closed."""

    def take(self, queue: str, waiting: Waiting) -> bool:
        """Removes this message. Returns whether it was still in the queue."""

    def find(self, task_id: str, queues: list[str], *, is_fresh: bool = False) -> tuple[str, Waiting] | None:
        """Returns the queue of a waiting task, and its message; with `is_fresh` the cache is not used."""

    def put(self, waiting: Waiting, queue: str, other: str, *, priority: int | None, in_front: bool, is_due: bool) -> bool:
        """Moves a message atomically, with this priority (None: its own). Returns False if another process has taken it."""

    def level(self, app: Any, queue: str, level: str) -> tuple[int, bool]:
        """(priority, whether before others of that priority) of one of LEVELS. Raises Refused if there is no higher or lower priority."""


def driver_of(app: Any) -> str:
    """`redis`, `amqp` or another transport's name, without a connection."""
    with app.connection_for_write() as connection:
        kind = str(connection.transport.driver_type)
        return "" if connection.transport.__class__.__module__.endswith("redis_cluster") else kind


def message_of(
    headers: Mapping[str, Any], body: str | bytes, content_type: str, encoding: str, properties: Mapping[str, Any],
    info: Mapping[str, Any], raw: Any,
) -> Waiting:  # fmt: skip
    """Reads a message of kombu. In protocol 1 the body contains the fields that protocol 2 has in its headers."""
    head = headers
    if isinstance(body, bytes) and content_type == originals.JSON:
        body = body.decode("utf-8", "replace")
    if "task" not in headers and content_type == originals.JSON:
        content = decoded(body)
        head = content if isinstance(content, dict) else {}
    priority = properties.get("priority")
    return Waiting(
        str(head.get("id") or properties.get("correlation_id") or ""), str(head.get("task") or ""), int(head.get("retries") or 0),
        headers, body, content_type, encoding, str(info.get("exchange") or ""), str(info.get("routing_key") or ""),
        priority if isinstance(priority, int) else None, to_us(head.get("eta")), raw,
    )  # fmt: skip


def decoded(body: str | bytes) -> Any:
    try:
        return loads(body, originals.JSON, originals.UTF8, accept={originals.JSON})
    except CANNOT_READ:
        return None


def arguments_of(waiting: Waiting) -> tuple[Any, Any, bool] | None:
    """(args, kwargs, whether further tasks are in it) of a JSON message; None for any other, which is not decoded."""
    content = decoded(waiting.body) if waiting.content_type == originals.JSON else None
    if isinstance(content, dict):  # protocol 1
        return content.get("args") or [], content.get("kwargs") or {}, bool(content.get("callbacks") or content.get("chord"))
    if isinstance(content, list) and len(content) == 3 and isinstance(content[2], dict):
        return content[0], content[1], any(content[2].values())
    return None
