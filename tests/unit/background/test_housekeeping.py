# SPDX-License-Identifier: AGPL-3.0-or-later
from __future__ import annotations

import asyncio
import errno
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.support.contents import connect, recount
from tests.support.database import SECOND, T, database, life, origin, task, tell
from z4j.background.housekeeping import Housekeeping, Work
from z4j.background.lost_tasks import ASSUMED_US, SETTLE_US, SILENT_US
from z4j.exceptions import StoreError
from z4j.store.fleet import agents
from z4j.store.sqlite.db import Store
from z4j.store.tasks.originals import get_original
from z4j.store.tasks.retention import DAY_US, Retention
from z4j.store.tasks.tasks import TaskFilter, get_task, list_tasks
from z4j.wire.frames import Discovery, Heartbeat, Hello, RunningItem, WorkerFacts

pytestmark = pytest.mark.anyio
LATER = T + 3_600 * SECOND


class Heard(list[str]):
    def __call__(self, topics: Iterable[str]) -> None:
        self.extend(topics)


def hello(boot: str, **facts: Any) -> Hello:
    given: dict[str, Any] = {
        "protocol": 1, "agent_version": "0.1.0", "boot": boot, "spool": "s1", "host": "h1", "pid": 7, "role": "worker",
        "worker": "w1", "environment": "production", "engines": {"celery": "5.7"}, "capabilities": [], "allow": "operate",
        "denied": [], "shipper": True, "at": T,
    }  # fmt: skip
    return Hello(**(given | facts))


def beat(*running: str, spool_bytes: int = 0, shipper: bool = True, pid: int = 7) -> Heartbeat:
    items = [RunningItem("celery", task_id, 0, "shop.ship", "work", T, pid) for task_id in running]
    return Heartbeat(T, items, spool_bytes, 0, 0, shipper)


async def connect_agent(store: Store, boot: str, at: int, **facts: Any) -> None:
    await store.write(lambda db: agents.record_hello(db, 1, hello(boot, at=at, **facts), at, 0))
    found = Discovery("celery", [], [], WorkerFacts("w1", "prefork", 2))
    await store.write(lambda db: agents.record_discovery(db, 1, boot, found, at))


async def hear(store: Store, boot: str, at: int, heartbeat: Heartbeat) -> None:
    await store.write(lambda db: agents.record_heartbeat(db, 1, boot, heartbeat, at))


async def leave(store: Store, boot: str, at: int) -> None:
    await store.write(lambda db: agents.record_left(db, 1, boot, at, "connection lost", is_orderly=False))


async def states(store: Store) -> dict[str, str]:
    return {row.task_id: row.state for row in (await list_tasks(store, TaskFilter())).rows}


async def test_a_scheduled_task_becomes_queued_when_its_eta_passes(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        heard = Heard()
        house = Housekeeping(store, heard)
        await tell(store, origin(), task("enqueued", "a", T, T + 9 * SECOND), task("received", "a", T + SECOND, T + 9 * SECOND))
        assert await house.due_tasks.make_due(T + 9 * SECOND - 1) == 0
        assert await states(store) == {"a": "scheduled"}
        assert await house.due_tasks.make_due(T + 9 * SECOND) == 1
        assert await states(store) == {"a": "queued"}
        assert "tasks" in heard
        assert await house.due_tasks.make_due(T + 99 * SECOND) == 0
        detail = await get_task(store, 1)
        assert detail is not None
        assert (detail.row.worker, detail.row.eta_at) == ("w1", T + 9 * SECOND)


async def gone(store: Store) -> None:
    """A worker takes a task and dies; a newer process of it has connected and ships the same spool."""
    await connect_agent(store, "b00t", T)
    await tell(store, task("started", "a", T + SECOND), task("received", "b", T + SECOND), *life("c", T))
    await leave(store, "b00t", LATER)
    await connect_agent(store, "newer", LATER + SECOND)


async def test_a_task_of_a_process_that_is_gone_is_lost(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        house = Housekeeping(store, Heard())
        await gone(store)
        await hear(store, "newer", LATER + SETTLE_US, beat())
        assert await house.lost_tasks.find_lost(LATER + SETTLE_US) == 0, "its connection ended only just now"
        await hear(store, "newer", LATER + SETTLE_US + 2, beat(spool_bytes=1 << 20))
        assert await house.lost_tasks.find_lost(LATER + SETTLE_US + 2) == 0, "its spool still holds something"
        await hear(store, "newer", LATER + SETTLE_US + 3, beat())
        assert await house.lost_tasks.find_lost(LATER + SETTLE_US + 3) == 2
        assert await states(store) == {"a": "lost", "b": "lost", "c": "succeeded"}
        detail = await get_task(store, 1)
        assert detail is not None
        assert (detail.row.reason, detail.row.worker, detail.row.ended_at) == ("worker_gone", "w1", T + SECOND + 1)
        assert [(run.state, run.run) for run in detail.runs] == [("lost", "b00t.7")]
        assert await house.lost_tasks.find_lost(LATER + SETTLE_US + 3) == 0
        # A redelivery overrules it.
        await tell(store, task("started", "a", LATER + 60 * SECOND, {"redelivered": True}, run="newer.9"))
        assert (await states(store))["a"] == "running"


async def test_without_proof_nothing_is_lost(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        house = Housekeeping(store, Heard())
        await connect_agent(store, "b00t", T)
        await tell(store, task("started", "a", T + SECOND), task("started", "x", T + SECOND, run="unknown.1"))
        await leave(store, "b00t", LATER)
        assert await house.lost_tasks.find_lost(LATER + 2 * SETTLE_US) == 0, "no newer process"
        await connect_agent(store, "other", LATER, spool="s2")
        await hear(store, "other", LATER + 2 * SETTLE_US, beat())
        assert await house.lost_tasks.find_lost(LATER + 2 * SETTLE_US) == 0, "nobody ships its spool"
        await connect_agent(store, "third", LATER, shipper=False)
        await hear(store, "third", LATER + 2 * SETTLE_US, beat(shipper=False))
        assert await house.lost_tasks.find_lost(LATER + 2 * SETTLE_US) == 0, "nobody ships its spool"


async def test_after_a_day_without_a_word_it_is_assumed(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        house = Housekeeping(store, Heard())
        await connect_agent(store, "b00t", T)
        await tell(store, task("started", "a", T + SECOND))
        await leave(store, "b00t", T + 2 * SECOND)
        assert await house.lost_tasks.find_lost(T + 2 * SECOND + ASSUMED_US) == 0
        assert await house.lost_tasks.find_lost(T + 3 * SECOND + ASSUMED_US) == 1
        detail = await get_task(store, 1)
        assert detail is not None
        assert detail.row.error.startswith("Assumed")


async def test_a_task_its_worker_does_not_list_any_more_is_lost_and_found_when_it_does(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        house = Housekeeping(store, Heard())
        await connect_agent(store, "b00t", T)
        await tell(store, task("started", "a", T + SECOND), task("started", "b", T + SECOND))
        soon = T + SECOND + SETTLE_US
        await hear(store, "b00t", soon, beat())
        assert await house.lost_tasks.find_lost(soon) == 0, "too soon"
        await hear(store, "b00t", soon + 1, beat("b"))
        assert await house.lost_tasks.find_lost(soon + 1) == 0, "its end may be on its way"
        assert await house.lost_tasks.find_lost(soon + 1) == 1
        assert await states(store) == {"a": "lost", "b": "running"}
        await hear(store, "b00t", soon + 2, beat("a", "b", pid=8))
        assert await house.lost_tasks.find_lost(soon + 2) == 1
        assert await states(store) == {"a": "running", "b": "running"}
        detail = await get_task(store, 1)
        assert detail is not None
        assert sorted((run.state, run.run) for run in detail.runs) == [("lost", "b00t.7"), ("running", "b00t.8")]
        assert await house.lost_tasks.find_lost(soon + 2) == 0


async def test_a_worker_that_cannot_tell_what_it_holds_loses_nothing(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        house = Housekeeping(store, Heard())
        await connect_agent(store, "b00t", T)
        await tell(store, task("started", "a", T + SECOND))
        await hear(store, "b00t", T + 2 * SECOND, beat("a"))
        await hear(store, "b00t", T + 2 * SETTLE_US, Heartbeat(T, None, 0, 0, 0, True))
        assert [await house.lost_tasks.find_lost(LATER) for _ in range(3)] == [0, 0, 0]


async def test_an_agent_that_says_nothing_is_gone_and_comes_back(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        heard = Heard()
        house = Housekeeping(store, heard)
        await connect_agent(store, "b00t", T)
        assert await house.lost_tasks.find_silent(T + SILENT_US) == 0
        assert heard == []
        assert await house.lost_tasks.find_silent(T + SILENT_US + 1) == 1
        assert heard == ["workers", "strip"]
        [agent] = await agents.list_agents(store)
        assert (agent.left_at, agent.left_reason, agent.is_orderly) == (T + SILENT_US + 1, "silent", False)
        await hear(store, "b00t", T + SILENT_US + 2, beat())
        [agent] = await agents.list_agents(store)
        assert agent.left_at is None


# -- retention ---------------------------------------------------------------------------------------------------------
async def test_old_tasks_go_with_all_that_is_theirs(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        payload = task("payload", "old", T, 1, "[]", False, [None, "AA=="], "plain")
        await tell(
            store, origin(), *life("old", T, "failed"), payload, task("enqueued", "old", T, None, {"parent_id": "p"}),
            task("enqueued", "later", T, T + 900 * DAY_US), task("started", "stuck", T), *life("kept", T + 5 * DAY_US),
            task("started", "long", T), task("payload", "long", T + 5 * DAY_US, 1, "[]", False, None, "none"),
            ["gap", "g", T, {"count": 1}], ["fault", "f", T, {"where": "w", "error": "e"}], at=T + 6 * DAY_US,
        )  # fmt: skip
        heard = Heard()
        house = Housekeeping(store, heard, Retention(days=3))
        assert await house.retention.round(T + 2 * DAY_US) == 0
        assert await house.retention.round(T + 4 * DAY_US) == 2
        assert sorted(await states(store)) == ["kept", "later", "long"]
        assert set(heard) == {"tasks", "queues", "strip"}
        for table in ("run", "original", "task_link", "gap", "fault"):
            assert await store.fetch_all(f"SELECT 1 FROM {table}") == []
        assert [row[0] for row in await store.fetch_all("SELECT DISTINCT minute FROM minute")] == [
            (T + 5 * DAY_US + 3 * SECOND) // 60_000_000
        ]
        db = connect(store.path)
        kept, counted = recount(db)
        assert kept == counted
        db.close()
        assert await store.fetch_all("SELECT 1 FROM counter WHERE tasks = 0") == []


async def test_the_id_of_a_deleted_task_is_never_another_s(tmp_path: Path) -> None:
    """Not after a restart either: plans and bookmarks point to it."""
    async with database(tmp_path) as store:
        await tell(store, *life("one", T), *life("two", T))
        assert await Housekeeping(store, Heard(), Retention(days=3)).retention.round(T + 9 * DAY_US) == 2
    again = Store(tmp_path / "z4j.db")
    await again.start()
    await tell(again, *life("three", T))
    assert [row[0] for row in await again.fetch_all("SELECT id FROM task")] == [3]
    await again.close()


async def test_originals_of_succeeded_tasks_go_first(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        for id, end, at in (("a", "succeeded", T), ("b", "failed", T), ("c", "succeeded", T + 5 * DAY_US)):
            await tell(store, *life(id, at, end), task("payload", id, at, 1, "[]", False, [None, "AA=="], "plain"), at=at)
        house = Housekeeping(store, Heard(), Retention(originals_days=2))
        await house.retention.round(T + 3 * DAY_US)
        assert [await get_original(store, id) is not None for id in (1, 2, 3)] == [False, True, True]
        a, b = await get_task(store, 1), await get_task(store, 2)
        assert a is not None
        assert b is not None
        assert (a.original_state, b.original_state) == ("none", "plain")
        await house.retention.round(T + 9 * DAY_US)
        assert [await get_original(store, id) is not None for id in (1, 2, 3)] == [False, True, False]


# -- the loops ---------------------------------------------------------------------------------------------------------
async def test_a_duty_that_fails_keeps_none_of_the_others_from_running(tmp_path: Path) -> None:
    """Not one that raises what nobody expected either, and it runs again by itself."""
    rounds = Counter[str]()

    class House(Housekeeping):
        def table(self) -> list[tuple[str, float, Work]]:
            return [(name, 0.01, self.counted(name, work)) for name, _, work in super().table()]

        def counted(self, name: str, work: Work) -> Work:
            async def run(at: int) -> None:
                rounds[name] += 1
                if name == "due tasks" and rounds[name] <= 3:
                    raise [StoreError("the disk is full"), KeyError("a defect"), OSError(errno.EMFILE, "too many")][rounds[name] - 1]
                await work(at)

            return run

    async with database(tmp_path) as store:
        await connect_agent(store, "b00t", T)
        house = House(store, Heard(), Retention(days=36_500))  # the agent came at a fixed time
        running = asyncio.ensure_future(house.run())
        duty = house.duties.add("due tasks", 0.01)
        async with asyncio.timeout(30):
            while duty.failures < 2:
                await asyncio.sleep(0.01)
            assert duty.state == "failing"
            seen = dict(rounds)
            while duty.succeeded_at is None:
                await asyncio.sleep(0.01)
            while any(rounds[name] <= seen[name] for name, _, _ in house.table()):
                await asyncio.sleep(0.01)
        assert [of.name for of in house.duties.unhealthy] == []
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
        [agent] = await agents.list_agents(store)
        assert agent.left_reason == "server restarted"
