# SPDX-License-Identifier: Apache-2.0
"""A message as it lies in a queue of the broker, and what a broker that can be looked into does with it."""

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
    """A message as it lies in a queue. `raw` is the broker's own, for whoever took it out."""

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
    """A broker that can be looked into, over a connection of its own."""

    def first(self, queue: str, most: int) -> Iterator[Waiting]:
        """The messages in the order they would be delivered. Nothing changes once the place is closed."""

    def take(self, queue: str, waiting: Waiting) -> bool:
        """Whether this message was still there, and now is not."""

    def find(self, task_id: str, queues: list[str], *, is_fresh: bool = False) -> tuple[str, Waiting] | None:
        """The queue a task waits in, and its message; `is_fresh`: what was seen a moment ago does not count."""

    def put(self, waiting: Waiting, queue: str, other: str, *, priority: int | None, in_front: bool, is_due: bool) -> bool:
        """Moves a found message, with this priority (None: its own), in one step. False where somebody else was first."""

    def level(self, app: Any, queue: str, level: str) -> tuple[int, bool]:
        """(priority, whether in front of its equals) of one of LEVELS. Raises Refused where there is nothing beyond."""


def driver_of(app: Any) -> str:
    """`redis`, `amqp` or another transport's own word, without a connection."""
    with app.connection_for_write() as connection:
        kind = str(connection.transport.driver_type)
        return "" if connection.transport.__class__.__module__.endswith("redis_cluster") else kind


def message_of(
    headers: Mapping[str, Any], body: str | bytes, content_type: str, encoding: str, properties: Mapping[str, Any],
    info: Mapping[str, Any], raw: Any,
) -> Waiting:  # fmt: skip
    """A message as kombu has it. Of protocol 1 the body says what protocol 2 has in its headers."""
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
    """(args, kwargs, whether further tasks are in it) of a JSON message; None of any other, which is not ours to read."""
    content = decoded(waiting.body) if waiting.content_type == originals.JSON else None
    if isinstance(content, dict):  # protocol 1
        return content.get("args") or [], content.get("kwargs") or {}, bool(content.get("callbacks") or content.get("chord"))
    if isinstance(content, list) and len(content) == 3 and isinstance(content[2], dict):
        return content[0], content[1], any(content[2].values())
    return None
