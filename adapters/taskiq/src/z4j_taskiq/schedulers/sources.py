# SPDX-License-Identifier: Apache-2.0
"""The schedule sources of a taskiq scheduler: stores and code, and how a store is read and changed. Awaited in the scheduler's own loop.

An entry of a Redis list that an operator disables is removed from taskiq's own keys and stored unchanged in a hash next to them,
`<prefix>:z4j:off`: taskiq cannot disable an entry, every scheduler of that Redis reads the hash, and the arguments stay in the same
Redis.
"""

from __future__ import annotations

from typing import Any

from taskiq.abc.schedule_source import ScheduleSource
from taskiq.scheduler.scheduled_task import ScheduledTask

from z4j_agent.capture.guard import let_through
from z4j_agent.contract.adapter import Refused
from z4j_taskiq.schedulers.overrides import is_retry

SCAN_COUNT = 1_000
SCAN_ROUNDS = 100
"""Limits of the search for future one-offs: 100,000 keys of that Redis."""
READ_AT_ONCE = 200
MOST = 2_500


def is_store(source: Any) -> bool:
    """Whether entries can be added to a source."""
    return type(source).add_schedule is not ScheduleSource.add_schedule


def is_redis_list(source: Any) -> bool:
    """ListRedisScheduleSource of taskiq-redis, or a subclass."""
    return any(base.__name__ == "ListRedisScheduleSource" and base.__module__.startswith("taskiq_redis") for base in type(source).__mro__)


def kind_of(source: Any) -> str:
    """`redis`, or a name from that of the class."""
    if type(source).__module__.startswith("taskiq_redis"):
        return "redis"
    name = type(source).__name__.lower()
    return name.removesuffix("schedulesource") or name


class StoredEntries:
    """The content of a store: ID → enabled entries, and disabled ones."""

    def __init__(self) -> None:
        self.on: dict[str, Any] = {}
        self.off: dict[str, Any] = {}
        self.is_cut = False


class Store:
    """One source to which entries can be added. Other sources than Redis lists are used with taskiq's own three methods only."""

    can_disable = False

    def __init__(self, source: Any) -> None:
        self.source = source

    async def read(self) -> StoredEntries:
        entries = StoredEntries()
        entries.on = {task.schedule_id: task for task in await self.source.get_schedules() if not is_retry(task)}
        return entries

    async def put(self, task: Any, old: Any = None) -> None:
        """Adds an entry, or replaces the old one with the same ID."""
        if old is not None:
            await self.source.delete_schedule(old.schedule_id)
        try:
            await self.source.add_schedule(task)
        except Exception as error:
            let_through(error)
            if old is not None:
                await self.source.add_schedule(old)
            raise

    async def delete(self, task: Any) -> None:
        await self.source.delete_schedule(task.schedule_id)

    async def switch_off(self, task: Any, old: Any = None) -> None:
        """Stores an entry as disabled, instead of the old one. Raises Refused."""
        raise Refused("this source cannot store a disabled entry; delete it instead. No changes were made.")

    async def switch_on(self, task: Any) -> None:
        raise Refused("this source has no disabled entries. No changes were made.")


class RedisStore(Store):
    """A ListRedisScheduleSource: `<prefix>:data:<id>`, and lists of ids for cron, intervals and each minute of the one-offs."""

    can_disable = True

    async def read(self) -> StoredEntries:
        """Reads all entries, also future one-offs, which `get_schedules` leaves out until their minute has come."""
        source, entries = self.source, StoredEntries()
        async with self._redis() as redis:
            ids = [*await redis.lrange(source._get_cron_key(), 0, -1), *await redis.lrange(source._get_interval_key(), 0, -1)]
            keys = dict.fromkeys(source._get_data_key(_text(id)) for id in ids)
            cursor, rounds = 0, 0
            while True:
                cursor, page = await redis.scan(cursor, f"{source._prefix}:data:*", SCAN_COUNT)
                keys |= dict.fromkeys(_text(key) for key in page)
                rounds += 1
                if not cursor or rounds >= SCAN_ROUNDS or len(keys) > MOST:
                    break
            entries.is_cut = bool(cursor)
            chosen = list(keys)
            for at in range(0, len(chosen), READ_AT_ONCE):
                for raw in await redis.mget(chosen[at : at + READ_AT_ONCE]):
                    task = self._load(raw)
                    if task is not None:
                        entries.on[task.schedule_id] = task
            for raw in (await redis.hgetall(self._off_key())).values():
                task = self._load(raw)
                if task is not None and task.schedule_id not in entries.on:  # one that the application has added again is enabled
                    entries.off[task.schedule_id] = task
        return entries

    async def put(self, task: Any, old: Any = None) -> None:
        """Replaces an entry atomically, so that it is never duplicated or missing."""
        async with self._redis() as redis, redis.pipeline(transaction=True) as pipe:
            if old is not None:
                self._take_out(pipe, old)
            pipe.hdel(self._off_key(), task.schedule_id)
            pipe.set(self.source._get_data_key(task.schedule_id), self._dump(task))
            pipe.rpush(self._list_of(task), task.schedule_id)
            await pipe.execute()

    async def delete(self, task: Any) -> None:
        async with self._redis() as redis, redis.pipeline(transaction=True) as pipe:
            self._take_out(pipe, task)
            pipe.hdel(self._off_key(), task.schedule_id)
            await pipe.execute()

    async def switch_off(self, task: Any, old: Any = None) -> None:
        async with self._redis() as redis, redis.pipeline(transaction=True) as pipe:
            self._take_out(pipe, task if old is None else old)
            pipe.hset(self._off_key(), task.schedule_id, self._dump(task))
            await pipe.execute()

    async def switch_on(self, task: Any) -> None:
        await self.put(task, task)

    def _redis(self) -> Any:
        from redis.asyncio import Redis

        return Redis(connection_pool=self.source._connection_pool)

    def _off_key(self) -> str:
        return f"{self.source._prefix}:z4j:off"

    def _list_of(self, task: Any) -> str:
        """The list of an entry, chosen like `add_schedule` and `delete_schedule` do."""
        source = self.source
        if task.cron is not None:
            return str(source._get_cron_key())
        return str(source._get_time_key(task.time) if task.time is not None else source._get_interval_key())

    def _take_out(self, pipe: Any, task: Any) -> None:
        pipe.delete(self.source._get_data_key(task.schedule_id))
        pipe.lrem(self._list_of(task), 0, task.schedule_id)

    def _dump(self, task: Any) -> bytes:
        return bytes(self.source._serializer.dumpb(task.model_dump(mode="json")))

    def _load(self, raw: Any) -> Any:
        """A decoded entry; None if it is gone, is a retry, or cannot be read here."""
        if raw is None:
            return None
        try:
            task = ScheduledTask.model_validate(self.source._serializer.loadb(raw))
        except Exception as error:
            let_through(error)
            return None  # written by another release; taskiq itself reports that when it reads it
        return None if is_retry(task) else task


def store_of(source: Any) -> Store:
    return RedisStore(source) if is_redis_list(source) else Store(source)


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
