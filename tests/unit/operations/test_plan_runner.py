# SPDX-License-Identifier: AGPL-3.0-or-later
"""A plan while it is carried out: its pace, its ends, and what it sends again after a restart."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.support.database import SECOND, T, life, origin, task, tell
from tests.unit.operations.test_plans import ALL, OLGA, Agent, stage
from z4j.agents.connections import Hub
from z4j.agents.ingest import ingest_batch
from z4j.agents.outbox import Outbox
from z4j.exceptions import WrongState
from z4j.live import Live
from z4j.operations.plan_runner import SILENT_US
from z4j.operations.plans import Plans, Source
from z4j.rules.commands import RULES
from z4j.rules.plans import Pace
from z4j.store.access.audit import AuditLog
from z4j.store.operations import plans
from z4j.store.tasks.tasks import TaskFilter
from z4j_agent import wire

pytestmark = pytest.mark.anyio


async def test_what_changed_meanwhile_is_left_alone_and_accounted_for(tmp_path: Path) -> None:
    async with stage(tmp_path) as on:
        await on.fail(4)
        words = {"t-1": "refused", "t-2": "failed"}
        on.agent.answer = lambda frame: words.get(frame["params"]["task_id"], "done")
        row = await on.plans.freeze(OLGA, "retry_task", {}, ALL)
        await tell(on.store, task("succeeded", "t-3", T + 99 * SECOND, None, T, 5, "ok"))
        await on.plans.execute(OLGA, row.id, row.digest, Pace())
        assert await on.account(await on.wait(row, "done")) == {"done": 1, "changed": 1, "refused": 1, "failed": 1}
        assert on.agent.items() == ["t-0", "t-1", "t-2"]
        items = {item.task_id: (item.status, item.detail) for item in await plans.list_items(on.store, row.id)}
        assert items["t-3"] == ("changed", "state is now succeeded")
        assert items["t-1"] == ("refused", "so it is")


async def test_aborted_halfway_the_account_still_adds_up(tmp_path: Path) -> None:
    async with stage(tmp_path) as on:
        await on.fail(30)
        on.agent.answer = lambda frame: "done" if len(on.agent.frames) <= 10 else None
        row = await on.plans.freeze(OLGA, "retry_task", {}, ALL)
        await on.plans.execute(OLGA, row.id, row.digest, Pace(per_minute=60_000))
        async with asyncio.timeout(20):
            while (await plans.account(on.store, row.id))["done"] < 10:
                await asyncio.sleep(0.01)
        aborted = await on.plans.abort(OLGA, row.id)
        assert aborted.status == "aborted"
        found = await on.account(aborted)
        assert found["done"] == 10
        assert found.get("aborted", 0) + found.get("sent", 0) == 20
        for frame in on.agent.frames[10:]:
            await on.agent.say(frame["id"], "done")
        found = await on.account(aborted)
        assert set(found) <= {"done", "aborted"}
        with pytest.raises(WrongState):
            await on.plans.resume(OLGA, row.id)


async def test_a_paused_plan_goes_on_where_it_stood(tmp_path: Path) -> None:
    async with stage(tmp_path) as on:
        await on.fail(20)
        row = await on.plans.freeze(OLGA, "retry_task", {}, ALL)
        await on.plans.execute(OLGA, row.id, row.digest, Pace(per_minute=600))
        async with asyncio.timeout(20):
            while len(on.agent.frames) < 3:
                await asyncio.sleep(0.01)
        await on.plans.pause(OLGA, row.id)
        await asyncio.sleep(0.4)
        held = len(on.agent.frames)
        await asyncio.sleep(0.4)
        assert len(on.agent.frames) == held < 20
        await on.plans.resume(OLGA, row.id, Pace())
        assert await on.account(await on.wait(row, "done")) == {"done": 20}
        assert on.agent.items() == [f"t-{number}" for number in range(20)]


async def test_an_agent_answers_for_the_items_of_its_app_only(tmp_path: Path) -> None:
    async with stage(tmp_path) as on:
        on.agent.answer = lambda frame: None
        await on.fail(1)
        row = await on.plans.freeze(OLGA, "retry_task", {}, ALL)
        await on.plans.execute(OLGA, row.id, row.digest, Pace())
        async with asyncio.timeout(20):
            while not on.agent.frames:
                await asyncio.sleep(0.01)
        word = wire.encode_record(["command", on.agent.frames[0]["id"], T, "done", {}])
        await ingest_batch(on.store, 2, word, at=T)
        assert await on.account(row) == {"sent": 1}
        await ingest_batch(on.store, 1, word, at=T)
        assert await on.account(row) == {"done": 1}


async def test_a_restart_goes_on_and_hands_the_same_commands_to_the_same_spool_only(tmp_path: Path) -> None:
    async with stage(tmp_path) as on:
        await on.fail(5)
        on.agent.answer = lambda frame: None
        row = await on.plans.freeze(OLGA, "retry_task", {}, ALL)
        await on.plans.execute(OLGA, row.id, row.digest, Pace())
        async with asyncio.timeout(20):
            while len(on.agent.frames) < 5:
                await asyncio.sleep(0.01)
        await on.plans.stop()

        again, hub = Agent(on.store), Hub()
        again.outbox = Outbox(on.store, hub)
        other = Plans(again.outbox, Live(), AuditLog(tmp_path))
        await other.start()
        await asyncio.sleep(0.1)
        stranger = again.link("b2", "another-spool")
        hub.connect(stranger)
        await again.outbox.agent_connected(stranger)
        other_engine = again.link("b4", capabilities={("rq", "retry_task"): "any"})
        await again.outbox.agent_connected(other_engine)
        assert again.frames == []
        link = again.link("b3")
        hub.connect(link)
        await again.outbox.agent_connected(link)
        assert [frame["id"] for frame in again.frames] == [frame["id"] for frame in on.agent.frames]
        assert [frame["params"] for frame in again.frames] == [frame["params"] for frame in on.agent.frames]
        assert await on.account(await on.wait(row, "done")) == {"done": 5}
        await other.stop()


async def test_an_item_without_an_answer_is_unknown_a_minute_after_its_command_expired(tmp_path: Path) -> None:
    async with stage(tmp_path) as on:
        await on.fail(2)
        on.agent.answer = lambda frame: None
        row = await on.plans.freeze(OLGA, "retry_task", {}, ALL)
        await on.plans.execute(OLGA, row.id, row.digest, Pace())
        async with asyncio.timeout(20):
            while len(on.agent.frames) < 2:
                await asyncio.sleep(0.01)
        [first, second] = await plans.list_sent(on.store, row.id)
        assert first.sent_at == second.sent_at
        due = first.sent_at + RULES["retry_task"].expires_us + SILENT_US
        await on.plans.expire(due)
        assert await on.account(row) == {"sent": 2}
        await on.plans.expire(due + 1)
        assert await on.account(row) == {"unknown": 2}


async def test_a_canary_stops_by_itself(tmp_path: Path) -> None:
    async with stage(tmp_path) as on:
        await on.fail(20)

        def answer(frame: dict[str, Any]) -> str:
            asyncio.ensure_future(tell(on.store, origin(), *life(frame["params"]["new_id"], T, "failed")))  # noqa: RUF006 -- awaited by the plan's look
            return "done"

        on.agent.answer = answer
        row = await on.plans.freeze(OLGA, "retry_task", {}, ALL)
        await on.plans.execute(OLGA, row.id, row.digest, Pace(is_canary=True, limit=20))
        stopped = await on.wait(row, "paused")
        assert stopped.note == "Stopped automatically: 5 of 5 failed; the limit is 20 %."
        assert await on.account(stopped) == {"done": 5, "waiting": 15}


async def test_a_canary_that_goes_well_goes_on_to_the_end(tmp_path: Path) -> None:
    async with stage(tmp_path) as on:
        await on.fail(60)

        def answer(frame: dict[str, Any]) -> str:
            asyncio.ensure_future(tell(on.store, origin(), *life(frame["params"]["new_id"], T)))  # noqa: RUF006 -- awaited by the plan's look
            return "done"

        on.agent.answer = answer
        row = await on.plans.freeze(OLGA, "retry_task", {}, Source("", TaskFilter(states=("failed",))))
        await on.plans.execute(OLGA, row.id, row.digest, Pace(is_canary=True))
        assert await on.account(await on.wait(row, "done")) == {"done": 60}


async def test_it_waits_for_an_agent_and_says_so(tmp_path: Path) -> None:
    async with stage(tmp_path) as on:
        await on.fail(2)
        row = await on.plans.freeze(OLGA, "retry_task", {}, ALL)
        on.hub.disconnect(next(on.hub.of_app(1)))
        await on.plans.execute(OLGA, row.id, row.digest, Pace())
        async with asyncio.timeout(20):
            while not (await on.plans.get(row.id)).note:
                await asyncio.sleep(0.01)
        assert "no celery agent with this capability is connected" in (await on.plans.get(row.id)).note
        on.hub.connect(on.agent.link("b9"))
        assert await on.account(await on.wait(row, "done")) == {"done": 2}
        assert (await on.plans.get(row.id)).note == ""


async def test_next_is_handed_over_newest_first_so_that_the_oldest_ends_in_front(tmp_path: Path) -> None:
    async with stage(tmp_path) as on:
        for number in range(3):
            await tell(on.store, origin(), task("enqueued", f"q-{number}", T + number * SECOND))
        row = await on.plans.freeze(OLGA, "prioritise_task", {"level": "next"}, ALL)
        await on.plans.execute(OLGA, row.id, row.digest, Pace())
        await on.wait(row, "done")
        assert on.agent.items() == ["q-2", "q-1", "q-0"]
        assert {frame["params"]["level"] for frame in on.agent.frames} == {"next"}
