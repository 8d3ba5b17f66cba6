# SPDX-License-Identifier: Apache-2.0
"""A queue of Celery's in Redis: a list for each of a few priority steps, filled from the left and read from the right, 0 first.

Found by experiment: without a priority a message is at step 0, the highest (kombu, transport/redis.py). A message is moved or put in
front by its exact bytes in one script, so that either a worker or this process takes it.
"""

from __future__ import annotations

import base64
import contextlib
import json
from collections.abc import Iterator
from typing import Any

from z4j_agent.contract.adapter import Refused
from z4j_agent.runtime.native_threads import ticks
from z4j_celery.brokers.message import Waiting, message_of

PAGE = 500
LOOKED_AT = 50_000
"""Maximum number of messages that are searched for one task."""
INDEX_BYTES = 32 * 1024 * 1024
INDEX_S = 3.0
"""Seconds for which the content of the lists is cached: a plan looks up thousands of tasks one after another."""
SCANNED_AT_MOST = 5_000
"""Maximum number of messages of one queue that are searched for a task that may be gone: Redis has no access by ID."""
PUT = """
if redis.call('LREM', KEYS[1], -1, ARGV[1]) == 0 then return 0 end
redis.call(ARGV[3], KEYS[2], ARGV[2])
return 1
"""

_index: dict[tuple[str, str], tuple[float, int, dict[str, tuple[str, bytes]]]] = {}
"""(broker and prefix of its keys, queue) → when it was read, its bytes, and by task id the list and the message."""


@contextlib.contextmanager
def open_redis(app: Any) -> Iterator[RedisLists]:
    """Opens the queues with a connection of its own, without kombu's key prefixing, which does not support every command."""
    import redis  # 60 ms and 9 MB: an application with another broker may not have it at all

    with app.connection_for_write() as connection:
        channel = connection.default_channel
        client = redis.Redis(connection_pool=channel.pool)
        yield RedisLists(client, channel, connection.as_uri())


class RedisLists:
    """See `message.ReadableBroker`."""

    def __init__(self, client: Any, channel: Any, uri: str) -> None:
        self._client, self._channel = client, channel
        self._uri = f"{uri}#{channel.global_keyprefix or ''}"
        self._steps = sorted(channel.priority_steps)

    def _list(self, queue: str, step: int) -> str:
        return f"{self._channel.global_keyprefix or ''}{self._channel._q_for_pri(queue, step)}"

    def _lists(self, queue: str) -> list[str]:
        return [self._list(queue, step) for step in self._steps]

    def first(self, queue: str, most: int) -> Iterator[Waiting]:
        """Reads a page at a time, from the end that workers read."""
        left = most
        for key in self._lists(queue):
            start = 0
            while page := self._client.lrange(key, -(start + PAGE), -(start + 1)):
                start += len(page)
                for raw in reversed(page):
                    if left == 0:
                        return
                    if (waiting := _read(key, raw)) is not None:
                        left -= 1
                        yield waiting

    def depth(self, queue: str) -> int:
        """Number of messages in all lists of the queue."""
        return sum(int(self._client.llen(key)) for key in self._lists(queue))

    def holds(self, task_id: str, queues: list[str]) -> bool | None:
        """Whether the task's message is in one of these queues or with a worker; None if not everything could be searched."""
        encoded_id, is_whole = task_id.encode(), True
        for queue in queues:
            for count, waiting in enumerate(self.first(queue, SCANNED_AT_MOST + 1)):
                if count == SCANNED_AT_MOST:
                    is_whole = False
                elif waiting.task_id == task_id:
                    return True
        unacked = f"{self._channel.global_keyprefix or ''}{self._channel.unacked_key}"
        for _, message in self._client.hscan_iter(unacked, count=PAGE):
            if encoded_id in message and _is_of(message, task_id):
                return True
        return False if is_whole else None

    def take(self, queue: str, waiting: Waiting) -> bool:
        key, raw = waiting.raw
        return bool(self._client.lrem(key, -1, raw))

    def find(self, task_id: str, queues: list[str], *, is_fresh: bool = False) -> tuple[str, Waiting] | None:
        for once_more in (True,) if is_fresh else (False, True):
            for queue in queues:
                if (waiting := self._seen(queue, task_id, is_fresh=once_more)) is not None:
                    return queue, waiting
        return None

    def _seen(self, queue: str, task_id: str, *, is_fresh: bool) -> Waiting | None:
        """The message of a task, from the cache if it was read within the last INDEX_S seconds."""
        at, _, seen = _index.get((self._uri, queue), (0.0, 0, {}))
        if is_fresh or ticks() - at > INDEX_S:
            seen, size = {}, 0
            for waiting in self.first(queue, LOOKED_AT):
                seen[waiting.task_id] = waiting.raw
                size += len(waiting.raw[1])
                if size > INDEX_BYTES:
                    raise Refused(f"the queue {queue} contains too many messages to search for one task. No changes were made.")
            if size + sum(known for _, known, _ in _index.values()) > INDEX_BYTES:
                _index.clear()
            _index[self._uri, queue] = (ticks(), size, seen)
        return _read(*seen[task_id]) if task_id in seen else None

    def put(self, waiting: Waiting, queue: str, other: str, *, priority: int | None, in_front: bool, is_due: bool) -> bool:
        if (placed := self._put(waiting, other, priority, in_front=in_front, is_due=is_due)) is None:
            return False
        for name in (queue, other):
            if (known := _index.get((self._uri, name))) is not None:
                known[2].pop(waiting.task_id, None)
        if (known := _index.get((self._uri, other))) is not None:
            known[2][waiting.task_id] = placed  # a plan continues with the cached messages
        return True

    def _put(
        self, waiting: Waiting, other: str, priority: int | None, *, in_front: bool, is_due: bool
    ) -> tuple[str, bytes] | None:  # fmt: skip
        """The list and the message as it is now; None if its bytes are no longer in the list."""
        key, raw = waiting.raw
        message = json.loads(raw)
        properties = message["properties"]
        step = self._channel.priority(priority if priority is not None else int(properties.get("priority") or 0))
        properties["priority"] = step if priority is not None else properties.get("priority") or 0
        properties["delivery_info"] = {"exchange": "", "routing_key": other}
        if is_due:
            message["headers"]["eta"] = None
        command, to, changed = "RPUSH" if in_front else "LPUSH", self._list(other, step), json.dumps(message)
        return (to, changed.encode()) if self._client.eval(PUT, 2, key, to, raw, changed, command) else None

    def level(self, app: Any, queue: str, level: str) -> tuple[int, bool]:
        steps = self._steps
        usual = self._channel.priority(int(app.conf.task_default_priority or 0))
        match level:
            case "next":
                return steps[0], True
            case "high" if usual > steps[0]:
                return steps[steps.index(usual) - 1], False
            case "normal":
                return usual, False
            case "low" if usual < steps[-1]:
                return steps[-1], False
        if level == "high":
            raise Refused("tasks without a priority already have the highest one in this application. Choose “next” instead.")
        raise Refused("tasks without a priority already have the lowest one in this application")


def _is_of(message: bytes, task_id: str) -> bool:
    """Whether a message that a worker has fetched, [message, exchange, routing key], is this task's: another task's message may contain the
    ID as its parent."""
    try:
        content = json.loads(message)
    except ValueError:
        return False  # not written by kombu
    if isinstance(content, list):
        content = content[0]
    return bool(isinstance(content, dict) and content.get("properties", {}).get("correlation_id") == task_id)


def _read(key: str, raw: bytes) -> Waiting | None:
    """Reads a message of kombu's virtual transports; None if it is not one."""
    try:
        content = json.loads(raw)
        properties, headers = content["properties"], content.get("headers") or {}
        body: str | bytes = content["body"]
        if properties.get("body_encoding") == "base64":
            body = base64.b64decode(body)
        info = properties.get("delivery_info") or {}
        return message_of(
            headers, body, content.get("content-type") or "", content.get("content-encoding") or "", properties, info, (key, raw)
        )
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
