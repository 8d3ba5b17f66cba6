# SPDX-License-Identifier: Apache-2.0
"""The schedule sources of a taskiq scheduler: which are stores and which are code, and how a store is read and changed. All of it is
awaited in the scheduler's own loop.

An entry of a Redis list that an operator switches off is taken out of taskiq's own keys and kept as it is in a hash of ours beside them,
`<prefix>:z4j:off`: taskiq has no such switch, the hash is seen by every scheduler of that Redis, and the arguments stay where they were.
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
"""Looked through in search of one-offs ahead: 100,000 keys of that Redis."""
READ_AT_ONCE = 200
MOST = 2_500


def is_store(source: Any) -> bool:
    """Whether entries can be added to it."""
    return type(source).add_schedule is not ScheduleSource.add_schedule


def is_redis_list(source: Any) -> bool:
    """ListRedisScheduleSource of taskiq-redis, or a subclass."""
    return any(base.__name__ == "ListRedisScheduleSource" and base.__module__.startswith("taskiq_redis") for base in type(source).__mro__)


def kind_of(source: Any) -> str:
    """`redis`, or the class's name without the rest."""
    if type(source).__module__.startswith("taskiq_redis"):
        return "redis"
    name = type(source).__name__.lower()
    return name.removesuffix("schedulesource") or name


class StoredEntries:
    """What a store held when it was read: id → entry, and those that are off."""

    def __init__(self) -> None:
        self.on: dict[str, Any] = {}
        self.off: dict[str, Any] = {}
        self.is_cut = False


class Store:
    """One source that entries can be added to. Another than a Redis list is used by taskiq's own three methods alone."""

    can_disable = False

    def __init__(self, source: Any) -> None:
        self.source = source

    async def read(self) -> StoredEntries:
        entries = StoredEntries()
        entries.on = {task.schedule_id: task for task in await self.source.get_schedules() if not is_retry(task)}
        return entries

    async def put(self, task: Any, old: Any = None) -> None:
        """Adds an entry, or puts it in the place of the old one, which has its id."""
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
        """Keeps an entry, in the place of the old one, so that it does not fire. Raises Refused."""
        raise Refused("this source cannot keep an entry that is off; delete it instead")

    async def switch_on(self, task: Any) -> None:
        raise Refused("this source has no entry that is off")


class RedisStore(Store):
    """A ListRedisScheduleSource: `<prefix>:data:<id>`, and lists of ids for cron, intervals and each minute of the one-offs."""

    can_disable = True

    async def read(self) -> StoredEntries:
        """One-offs ahead, too, which `get_schedules` leaves out until their minute has come."""
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
                if task is not None and task.schedule_id not in entries.on:  # one that the application has added again is on
                    entries.off[task.schedule_id] = task
        return entries

    async def put(self, task: Any, old: Any = None) -> None:
        """In one step, so that an entry is never there twice, and never gone."""
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
        """As `add_schedule` and `delete_schedule` decide it."""
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
        """None for what is gone, a retry, or cannot be read here."""
        if raw is None:
            return None
        try:
            task = ScheduledTask.model_validate(self.source._serializer.loadb(raw))
        except Exception as error:
            let_through(error)
            return None  # written by another release; taskiq itself will say so when it reads it
        return None if is_retry(task) else task


def store_of(source: Any) -> Store:
    return RedisStore(source) if is_redis_list(source) else Store(source)


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
