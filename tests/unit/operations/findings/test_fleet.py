# SPDX-License-Identifier: AGPL-3.0-or-later
"""What is brought together of processes, from hellos, heartbeats and tasks in a real database."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.database import SECOND, T, database, life, origin, task, tell
from z4j.agents.connections import Hub
from z4j.operations.findings.fleet import FleetFindings
from z4j.operations.findings.rule_inputs import Gatherer
from z4j.rules.findings.finding import Finding
from z4j.rules.findings.fleet import worker_restarts
from z4j.rules.rollups import HOUR_US, MINUTE_US
from z4j.store.fleet import agents, gaps
from z4j.store.sqlite.db import Store
from z4j.wire.frames import Discovery, Heartbeat, Hello, RunningItem, TaskItem, WorkerFacts

pytestmark = pytest.mark.anyio


async def connect(store: Store, boot: str, at: int, skew: int = 0, **facts: Any) -> None:
    given: dict[str, Any] = {
        "protocol": 1, "agent_version": "1", "boot": boot, "spool": boot, "host": "h1", "pid": 7, "role": "worker", "worker": boot,
        "environment": "production", "release": "1.0", "engines": {"celery": "5.7"}, "capabilities": [], "allow": "all", "denied": [],
        "shipper": True, "at": at,
    }  # fmt: skip
    await store.write(lambda db: agents.record_hello(db, 1, Hello(**(given | facts)), at, skew))


async def discover(store: Store, boot: str, at: int, *names: str) -> None:
    found = Discovery("celery", [TaskItem(name) for name in names], [], WorkerFacts(boot, "prefork", 4, ["work"]))
    await store.write(lambda db: agents.record_discovery(db, 1, boot, found, at))


async def beat(store: Store, boot: str, at: int, *running: RunningItem, spool_bytes: int = 0) -> None:
    await store.write(lambda db: agents.record_heartbeat(db, 1, boot, Heartbeat(at, list(running), spool_bytes, 0, 0, True), at))


async def found(store: Store, at: int, fleet: FleetFindings | None = None) -> dict[str, Finding]:
    names = {(name.scope, name.name): name for name in await Gatherer(store, Hub()).names(at)}
    return {finding.kind: finding for finding in await (fleet or FleetFindings(store)).find(names, at)}


async def test_a_host_that_went_silent_with_its_running_tasks(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        await connect(store, "w", T - 600 * SECOND)
        await tell(
            store, origin("w", worker="w"), task("started", "a", T - 300 * SECOND, run="w.7"),
            task("received", "b", T - 300 * SECOND, run="w.7"),
            *life("c", T - 300 * SECOND, run="w.7"), at=T - 290 * SECOND,
        )  # fmt: skip
        await beat(store, "w", T - 240 * SECOND)
        assert await found(store, T - 230 * SECOND) == {}
        assert await store.write(lambda db: agents.record_silence(db, T - 190 * SECOND, T - 200 * SECOND)) == 1
        finding = (await found(store, T))["silent_host"]
        assert finding.text.startswith("for 4\u202fm\u202f00\u202fs: 1 worker and 1 running task was")
        await beat(store, "w", T + SECOND)
        assert await found(store, T + 2 * SECOND) == {}


async def test_nobody_is_silent_because_the_server_restarted(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        await connect(store, "w", T - 3_600 * SECOND)
        await store.write(lambda db: agents.record_restart(db, T))
        assert await found(store, T + 40 * SECOND) == {}
        assert set(await found(store, T + 46 * SECOND)) == {"silent_host"}


async def test_a_task_that_does_not_end_is_measured_by_the_servers_clock(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        records = [record for n in range(30) for record in life(f"u{n}", T - 2 * HOUR_US + n * SECOND, run="w.7")]
        await tell(store, origin("w", worker="w"), *records, at=T)
        await connect(store, "w", T - 600 * SECOND, skew=-100 * SECOND)
        await beat(store, "w", T, RunningItem("celery", "x", 0, "shop.ship", "work", T - 500 * SECOND))
        stuck = (await found(store, T))["stuck"]
        assert stuck.text == "1 task has been running for up to 10\u202fm\u202f00\u202fs on w"
        assert "p99 is 1.0\u202fs (30 runs, the last 24 hours)" in stuck.why
        await beat(store, "w", T + SECOND, RunningItem("celery", "x", 0, "shop.ship", "work", 0))
        assert "stuck" not in await found(store, T + SECOND)


async def test_lost_and_unknown_tasks_of_the_last_minutes(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        lost = [task("lost", f"l{n}", T - 60 * SECOND, "child_killed", "signal 9", run="w.7", name="reports.build") for n in range(3)]
        unknown = [task("rejected", f"r{n}", T - 60 * SECOND, None, None, "unknown_task", "?", run="w.7", name="a.b") for n in range(2)]
        await tell(store, origin("w", worker="w"), *lost, *unknown, at=T)
        now = await found(store, T)
        assert now["killed"].title == "reports.build kills its worker process"
        assert now["unregistered"].text == "workers of work rejected 2 tasks as unknown in 15 minutes"
        assert await found(store, T + worker_restarts.RECENT_MIN * MINUTE_US) == {}


async def test_a_queued_name_that_nobody_registered(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        fleet = FleetFindings(store)
        new = [task("enqueued", f"n{n}", T - SECOND, run="w.7", name="shop.new") for n in range(4)]
        await connect(store, "w", T - 600 * SECOND)
        await tell(store, origin("w", worker="w"), *new, at=T)
        assert await found(store, T, fleet) == {}, "no name is registered at all: this engine may not report any"
        await discover(store, "w", T, "shop.ship")
        await found(store, T + 60 * SECOND, fleet)
        finding = (await found(store, T + 120 * SECOND, fleet))["unregistered"]
        assert finding.text == "4 tasks waiting in work, and none started in the last hour"
        await discover(store, "w", T + 130 * SECOND, "shop.ship", "shop.new")
        assert await found(store, T + 140 * SECOND, fleet) == {}


async def test_what_agents_report_of_themselves(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        await connect(store, "w", T, skew=3 * SECOND)
        await beat(store, "w", T, spool_bytes=5_000_000)
        await store.write(lambda db: gaps.record_refused(db, 1, {"malformed": 2}, T))
        await tell(store, ["gap", "g1", T, {"count": 7, "bytes": 70, "first_at": T - SECOND, "last_at": T, "cause": "spool_full"}], at=T)
        now = await found(store, T)
        assert {"clock", "behind", "refused_events", "dropped_events"} <= set(now)
        assert now["dropped_events"].text.startswith("7 events within 1.0\u202fs")
        assert now["refused_events"].text == "2 records refused (malformed)"
        later = await found(store, T + HOUR_US + SECOND)
        assert not {"refused_events", "dropped_events"} & set(later)
