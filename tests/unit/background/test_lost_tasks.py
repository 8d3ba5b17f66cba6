# SPDX-License-Identifier: AGPL-3.0-or-later
"""Agents that went silent, and tasks whose process is gone."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.database import SECOND, T, database, life, task, tell
from tests.unit.background.workers import Heard, beat, connect_agent, hear, leave, states
from z4j.background.duties import BackgroundDuties
from z4j.background.lost_tasks import ASSUMED_US, SETTLE_US, SILENT_US
from z4j.store.fleet import agents
from z4j.store.sqlite.db import Store
from z4j.store.tasks.tasks import get_task
from z4j.wire.frames import Heartbeat

pytestmark = pytest.mark.anyio


LATER = T + 3_600 * SECOND


async def gone(store: Store) -> None:
    """A worker takes a task and dies; a newer process of it has connected and ships the same spool."""
    await connect_agent(store, "b00t", T)
    await tell(store, task("started", "a", T + SECOND), task("received", "b", T + SECOND), *life("c", T))
    await leave(store, "b00t", LATER)
    await connect_agent(store, "newer", LATER + SECOND)


async def test_a_task_of_a_process_that_is_gone_is_lost(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        house = BackgroundDuties(store, Heard())
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
        house = BackgroundDuties(store, Heard())
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
        house = BackgroundDuties(store, Heard())
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
        house = BackgroundDuties(store, Heard())
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
        house = BackgroundDuties(store, Heard())
        await connect_agent(store, "b00t", T)
        await tell(store, task("started", "a", T + SECOND))
        await hear(store, "b00t", T + 2 * SECOND, beat("a"))
        await hear(store, "b00t", T + 2 * SETTLE_US, Heartbeat(T, None, 0, 0, 0, True))
        assert [await house.lost_tasks.find_lost(LATER) for _ in range(3)] == [0, 0, 0]


async def test_an_agent_that_says_nothing_is_gone_and_comes_back(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        heard = Heard()
        house = BackgroundDuties(store, heard)
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
