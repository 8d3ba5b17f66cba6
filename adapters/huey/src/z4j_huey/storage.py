# SPDX-License-Identifier: Apache-2.0
"""The queue and the schedule in each kind of storage: read in order, and one message removed reliably.

Huey's storages can be read and flushed; only their database can decide which of two processes takes a message (huey/storage.py).
"""

from __future__ import annotations

from typing import Any, NamedTuple

STEP = 10
"""Priority of `high`; that of `low` is its negative. The default is 0."""


class WaitingMessage(NamedTuple):
    """A message: its identity in the storage, and Huey's bytes."""

    token: Any
    data: bytes


class Section:
    """The queue or the schedule of a storage. This class only reads, for storages of an unknown kind."""

    can_order = False

    def __init__(self, storage: Any, *, is_schedule: bool) -> None:
        self.storage = storage
        self.is_schedule = is_schedule

    def size(self) -> int:
        return int(self.storage.schedule_size() if self.is_schedule else self.storage.queue_size())

    def first(self, limit: int) -> list[WaitingMessage]:
        """Returns the first messages, in the order in which they would run."""
        read = self.storage.scheduled_items if self.is_schedule else self.storage.enqueued_items
        return [WaitingMessage(data, bytes(data)) for data in read(limit)[:limit]]

    def take(self, message: WaitingMessage) -> bool | None:
        """Removes a message. Returns whether it was still there; None if this storage cannot remove a single one."""
        return None

    def put(self, message: WaitingMessage, level: str) -> bool:
        """Changes the position of a message. Returns whether it was still there."""
        return False


class RedisList(Section):
    def take(self, message: WaitingMessage) -> bool:
        return bool(self.storage.conn.lrem(self.storage.queue_key, -1, message.token))


class RedisSet(Section):
    """The schedule of every Redis storage, and the queue of those with priorities, whose members begin with eight bytes of time."""

    def __init__(self, storage: Any, *, is_schedule: bool) -> None:
        super().__init__(storage, is_schedule=is_schedule)
        self.key = storage.schedule_key if is_schedule else storage.queue_key
        self.can_order = not is_schedule

    def first(self, limit: int) -> list[WaitingMessage]:
        entries = self.storage.conn.zrange(self.key, 0, limit - 1)
        return [WaitingMessage(raw, bytes(raw if self.is_schedule else raw[8:])) for raw in entries]

    def take(self, message: WaitingMessage) -> bool:
        return bool(self.storage.conn.zrem(self.key, message.token))

    def put(self, message: WaitingMessage, level: str) -> bool:
        connection = self.storage.conn
        lowest = connection.zrange(self.key, 0, 0, withscores=True)
        first = min(-STEP, lowest[0][1] if lowest else 0) - 1
        score = {"next": first, "high": -STEP, "normal": 0, "low": STEP}[level]
        before = connection.zscore(self.key, message.token)
        return before is not None and bool(connection.zadd(self.key, {message.token: score}, xx=True, ch=True) or before == score)


class Sqlite(Section):
    """One row for each message; `begin exclusive` decides which process takes it."""

    def __init__(self, storage: Any, *, is_schedule: bool) -> None:
        super().__init__(storage, is_schedule=is_schedule)
        self.table = "schedule" if is_schedule else "task"
        self.order = "timestamp, id" if is_schedule else "priority desc, id"
        self.can_order = not is_schedule

    def first(self, limit: int) -> list[WaitingMessage]:
        query = f"select id, data from {self.table} where queue = ? order by {self.order} limit ?"  # noqa: S608 -- two names of Huey's own
        return [WaitingMessage(id, bytes(data)) for id, data in self.storage.sql(query, (self.storage.name, limit), results=True)]

    def take(self, message: WaitingMessage) -> bool:
        with self.storage.db(commit=True) as cursor:
            cursor.execute(f"delete from {self.table} where id = ? and data = ?", (message.token, message.data))  # noqa: S608
            return bool(cursor.rowcount == 1)

    def put(self, message: WaitingMessage, level: str) -> bool:
        with self.storage.db(commit=True) as cursor:
            cursor.execute("select coalesce(max(priority), 0) from task where queue = ?", (self.storage.name,))
            first = max(STEP, cursor.fetchone()[0]) + 1
            priority = {"next": first, "high": STEP, "normal": 0, "low": -STEP}[level]
            cursor.execute("update task set priority = ? where id = ? and data = ?", (priority, message.token, message.data))
            return bool(cursor.rowcount == 1)


def section_of(huey: Any, *, is_schedule: bool) -> Section:
    """Returns the queue or the schedule of this Huey object, by the names of Huey's classes, because an application may have its own
    class."""
    names = {owner.__name__ for owner in type(huey.storage).__mro__}
    if "RedisStorage" in names:
        is_set = is_schedule or "RedisPriorityQueue" in names
        return (RedisSet if is_set else RedisList)(huey.storage, is_schedule=is_schedule)
    if "SqliteStorage" in names:
        return Sqlite(huey.storage, is_schedule=is_schedule)
    return Section(huey.storage, is_schedule=is_schedule)
