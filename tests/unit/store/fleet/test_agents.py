# SPDX-License-Identifier: AGPL-3.0-or-later
from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.support.database import SECOND, T, database, life, origin, task, tell
from z4j import clock
from z4j.store.fleet import agents
from z4j.store.fleet.agents import list_agents, list_task_names
from z4j.store.fleet.queues import list_queues
from z4j.store.fleet.workers import list_workers
from z4j.store.sqlite.db import Store
from z4j.store.tasks.minute_stats import StatusNumbers, status_numbers
from z4j.store.tasks.task_search import TaskFilter
from z4j.wire.frames import CapabilityItem, Discovery, EngineQueueItem, Heartbeat, Hello, QueueItem, RunningItem, TaskItem, WorkerFacts

pytestmark = pytest.mark.anyio
ABLE = CapabilityItem("celery", "retry_task", "any", "exact", ["failed"], "A note.")


def hello(boot: str = "b1", **facts: Any) -> Hello:
    given: dict[str, Any] = {
        "protocol": 1, "agent_version": "0.1.0", "boot": boot, "spool": "s1", "host": "h1", "pid": 7, "role": "worker",
        "worker": "w1", "environment": "production", "release": "1.0", "engines": {"celery": "5.7"}, "capabilities": [ABLE],
        "allow": "operate", "denied": ["cancel_task"], "shipper": True, "at": T, "seal_key": "k1", "notes": ["Spool in memory."],
    }  # fmt: skip
    return Hello(**(given | facts))


async def say_hello(store: Store, boot: str, at: int, **facts: Any) -> int:
    return await store.write(lambda db: agents.record_hello(db, 1, hello(boot, **facts), at, 5))


async def leave(store: Store, boot: str, at: int, is_orderly: bool = False) -> None:
    await store.write(lambda db: agents.record_left(db, 1, boot, at, "gone", is_orderly=is_orderly))


async def test_everything_an_agent_tells(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        id = await say_hello(store, "b1", T)
        found = Discovery(
            "celery", [TaskItem("shop.ship", "(order)", "Ships.", "work"), TaskItem("shop.mail")],
            [QueueItem("work", 3, None, T)], WorkerFacts("w1", "prefork", 2, ["work"], [8, 9], ["No time limit."]),
        )  # fmt: skip
        running = RunningItem("celery", "a", 1, "shop.ship", "work", T, 8)
        beat = Heartbeat(T, [running], 10, 2, 3, False, [EngineQueueItem("celery", "mail", 1)])
        await store.write(lambda db: agents.record_discovery(db, 1, "b1", found, T + 1))
        await store.write(lambda db: agents.record_heartbeat(db, 1, "b1", beat, T + 2))
        [agent] = await list_agents(store)
        assert (agent.id, agent.app, agent.worker, agent.environment, agent.release) == (id, "shop", "w1", "production", "1.0")
        assert (agent.capabilities, agent.denied, agent.engines) == ([ABLE], ["cancel_task"], {"celery": "5.7"})
        assert (agent.notes, agent.worker_notes) == ([agents.OLD_AGENT, "Spool in memory."], ["No time limit."])
        assert (agent.pool, agent.concurrency, agent.queues, agent.running) == ("prefork", 2, ["work"], [running])
        assert (agent.spool_bytes, agent.dropped, agent.faults, agent.is_shipper, agent.clock_skew_us) == (10, 2, 3, False, 5)
        assert (agent.connected_at, agent.seen_at, agent.left_at, agent.seal_key) == (T, T + 2, None, "k1")
        names = [(row.engine, row.name, row.signature, row.doc, row.queue) for row in await list_task_names(store)]
        assert names == [("celery", "shop.mail", "", "", ""), ("celery", "shop.ship", "(order)", "Ships.", "work")]
        assert [(row.name, row.depth, row.oldest_at, row.seen_at) for row in await list_queues(store)] == [
            ("mail", 1, None, T + 2),
            ("work", 3, T, T + 1),
        ]


async def test_who_never_said_hello_is_passed_over(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        beat = Heartbeat(T, [], 0, 0, 0, True, [EngineQueueItem("celery", "mail")])
        found = Discovery("celery", [TaskItem("n")], [])
        await store.write(lambda db: agents.record_heartbeat(db, 1, "x", beat, T))
        await store.write(lambda db: agents.record_discovery(db, 1, "x", found, T))
        assert (await list_agents(store), await list_queues(store), await list_task_names(store)) == ([], [], [])


async def test_a_worker_is_its_newest_process(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        await say_hello(store, "b1", T)
        await leave(store, "b1", T + 5)
        [row] = await list_workers(store)
        assert (row.state, row.processes) == ("silent", 0)
        assert await agents.count_silent(store, since=T) == 1
        await say_hello(store, "b2", T + 10)
        await say_hello(store, "p1", T + 10, role="producer", worker=None)
        await say_hello(store, "b3", T + 11, worker="w2")
        await leave(store, "b3", T + 12, is_orderly=True)
        rows = await list_workers(store)
        assert [(row.name, row.state, row.processes, row.agent.boot) for row in rows] == [
            ("w1", "connected", 1, "b2"),
            ("w2", "left", 0, "b3"),
        ]
        assert await agents.count_silent(store, since=T) == 0
        assert await list_workers(store, since=T + 12) == []
        await say_hello(store, "b1", T + 20)
        assert [row.processes for row in await list_workers(store)] == [2, 0]


async def test_a_worker_that_was_started_again_under_another_name_takes_the_place_of_the_first(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        await say_hello(store, "b1", T, worker="w@h.1", seat="w@h")
        await say_hello(store, "b2", T + 1, worker="w@h.2", seat="w@h")
        await leave(store, "b1", T + 5)
        assert await agents.count_silent(store, since=T) == 1
        await say_hello(store, "b2", T + 6, worker="w@h.2", seat="w@h")  # it was there all the time: the server was restarted
        assert [(row.name, row.state) for row in await list_workers(store)] == [("w@h.2", "connected"), ("w@h.1", "silent")]
        assert await agents.count_silent(store, since=T) == 1
        await say_hello(store, "b3", T + 9, worker="w@h.3", seat="w@h")
        assert [(row.name, row.state) for row in await list_workers(store)] == [("w@h.2", "connected"), ("w@h.3", "connected")]
        assert await agents.count_silent(store, since=T) == 0


async def test_queues_count_what_their_tasks_do(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        await tell(
            store, origin(), task("enqueued", "a", T), task("received", "b", T), task("started", "c", T), *life("d", T, "failed"),
            task("enqueued", "e", T, T + 900 * SECOND), task("enqueued", "f", T, attempt=1), task("enqueued", "g", T, queue=""),
        )  # fmt: skip
        [row] = await list_queues(store)
        assert (row.app, row.environment, row.engine, row.name, row.depth) == ("shop", "production", "celery", "work", None)
        assert (row.scheduled, row.waiting, row.running, row.retrying, row.failed) == (1, 2, 1, 1, 1)


async def test_the_strip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    minute = 60 * SECOND
    now = T // minute * minute + minute // 2
    clock.use(lambda: now * 1_000)
    try:
        async with database(tmp_path) as store:
            assert await status_numbers(store, TaskFilter()) == StatusNumbers()
            records = [origin()]
            for number, (ago, end) in enumerate(
                [(10, "succeeded"), (20, "failed"), (40, "succeeded"), (55, "succeeded"), (150, "succeeded"), (400, "failed")]
                + [(3 * 3_600, "failed")] * 6
            ):
                records += life(f"t{number}", now - (ago + 3) * SECOND, end)
            records += [
                task("enqueued", "w1", T - 500 * SECOND, queue="slow"),
                task("received", "w2", T - 50 * SECOND),
                task("started", "r", T),
            ]
            await tell(store, *records)
            strip = await status_numbers(store, TaskFilter(states=("failed",), worker="ignored"))
            # Two in this half minute, and of the two of the minute before the half that is within sixty seconds.
            assert (strip.finished_per_min, strip.finished_before) == (3.0, 0.2)
            assert strip.failed_hour == 2
            assert strip.failed_usual is not None
            assert round(strip.failed_usual, 1) == 3.0
            assert (strip.running, strip.waiting, strip.retrying) == (1, 2, 0)
            assert (strip.oldest_waiting_at, strip.oldest_waiting_queue) == (T - 500 * SECOND, "slow")
            assert (await status_numbers(store, TaskFilter(queue="slow"))).finished_per_min == strip.finished_per_min
            assert await status_numbers(store, TaskFilter(engine="never")) == StatusNumbers()
            await tell(store, *life("late", now - 3 * 3_600 * SECOND, "failed"))
            assert (await status_numbers(store, TaskFilter())).failed_usual == pytest.approx(strip.failed_usual * 7 / 6, rel=0.01)
    finally:
        clock.use()


async def test_the_proof_of_a_name_is_kept_until_a_newer_one(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        await say_hello(store, "b1", T)
        for proof, kept in (("k1.aa", "k1.aa"), ("", "k1.aa"), ("k2.bb", "k2.bb")):
            found = Discovery("rq", [TaskItem("shop.ship", proof=proof), TaskItem("shop.mail")], [])
            await store.write(partial(agents.record_discovery, app_id=1, boot="b1", discovery=found, at=T))
            assert await agents.read_proofs(store, 1, ["shop.ship", "shop.mail", "os.system"]) == {"shop.ship": {"rq": kept}}
        assert await agents.read_proofs(store, 2, ["shop.ship"]) == {}


async def boots_of(store: Store) -> list[str]:
    return sorted(row.boot for row in await list_agents(store))


async def test_processes_are_deleted_only_beyond_the_limit_and_those_that_left_longest_ago_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agents, "MOST", 10)
    async with database(tmp_path) as store:
        for number in range(6):
            await say_hello(store, f"b{number}", T + number)
        for number, at in enumerate((30, 20, 10)):  # the one that left first is silent, the next one said goodbye
            await leave(store, f"b{number}", T + at * SECOND, is_orderly=number != 2)
        kept = await boots_of(store)
        for number in range(30):
            await say_hello(store, "b5", T + number)
        assert await boots_of(store) == kept, "connecting again is no new process"
        for number in range(6, 10):
            await say_hello(store, f"b{number}", T)
        assert await boots_of(store) == [f"b{number}" for number in range(10)]
        await say_hello(store, "c1", T)
        assert await boots_of(store) == ["b0", "b1", *(f"b{number}" for number in range(3, 10)), "c1"]
        for boot in ("c2", "c3", "c4"):
            await say_hello(store, boot, T)
        assert await boots_of(store) == [*(f"b{number}" for number in range(3, 10)), "c1", "c2", "c3", "c4"], "connected ones are kept"


async def test_who_is_not_configured_with_a_pin(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        await say_hello(store, "old", T, pins=None, host="a", worker="w1")
        await say_hello(store, "lacks", T, pins=["p1"], host="b", worker="w2")
        await say_hello(store, "has", T, pins=["p1", "p2"], host="c", worker="w3")
        await say_hello(store, "gone", T, pins=["p1"], host="d", worker="w4", seat="d/4")
        await leave(store, "gone", T + 1, is_orderly=True)
        found = await agents.list_without_pin(store, "p2", since=0)
        assert [(each.host, each.reports, each.left_at) for each in found] == [("a", False, None), ("b", True, None), ("d", True, T + 1)]
        assert [each.host for each in await agents.list_without_pin(store, "p2", since=0, limit=1)] == ["a"]
        assert await agents.list_without_pin(store, "p2", since=T + 2 * SECOND) == []

        await say_hello(store, "again", T + 2, pins=["p1", "p2"], host="elsewhere", worker="w9", seat="d/4")
        await leave(store, "lacks", T + 3)
        await say_hello(store, "lacks-2", T + 4, pins=["p2"], host="b", worker="w2")
        assert [each.host for each in await agents.list_without_pin(store, "p2", since=0)] == ["a"], "the others were started again"
