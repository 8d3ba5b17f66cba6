# SPDX-License-Identifier: AGPL-3.0-or-later
"""z4j's own scheduler: every due time is decided once, whatever stops, restarts or moves in between."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from tests.support.database import SECOND, life, origin, task, tell
from tests.support.scheduling import NOON, Person, house
from z4j import clock
from z4j.agents.outbox import Outbox
from z4j.operations.scheduler import ANSWER, Scheduler
from z4j.rules.schedules.jitter import wake_of
from z4j.store.schedules import fires, schedules

pytestmark = pytest.mark.anyio


async def test_fires_on_time_and_is_answered(tmp_path: Path) -> None:
    async with house(tmp_path) as of:
        of.agent()
        id = await of.make()
        assert (await of.row(id)).next_at == NOON + 60 * SECOND
        await of.go(59)
        assert of.sent == []
        await of.go(1)
        assert len(of.sent) == 1
        frame = of.sent[0]
        assert (frame["action"], frame["engine"], frame["id"]) == ("run_task", "celery", f"fire.{frame['params']['new_id']}")
        params = {"name": "shop.report", "args": [1], "kwargs": {"fast": True}, "queue": "work", "proofs": {}}
        assert {name: value for name, value in frame["params"].items() if name != "new_id"} == params
        assert await of.outcomes(id) == [(60, "handed")]
        await of.answer(frame, "accepted")
        await of.answer(frame)
        fire = (await of.fires(id))[0]
        assert (fire.outcome, fire.task_id, fire.fired_at) == ("sent", frame["params"]["new_id"], NOON + 60 * SECOND)
        assert await fires.schedule_of_task(of.store, 1, fire.task_id) == (id, "report", fire.due_at)
        row = await of.row(id)
        assert (row.next_at, row.last_at) == (NOON + 120 * SECOND, NOON + 60 * SECOND)


async def test_what_is_deleted_leaves_its_ids_to_nobody(tmp_path: Path) -> None:
    """An agent carries out a command once for ever: with the id of a fire that was, the first run of the next schedule would be lost."""
    async with house(tmp_path) as of:
        of.agent()
        first = await of.make()
        await of.go(60)
        await of.answer(of.sent[0])
        await of.desk.delete(Person(), await of.row(first))
        second = await of.make()
        await of.go(60)
        assert second != first
        assert of.sent[1]["id"] != of.sent[0]["id"]


async def test_an_agent_answers_for_its_own_app_only(tmp_path: Path) -> None:
    async with house(tmp_path) as of:
        of.agent()
        id = await of.make()
        await of.go(60)
        await tell(of.store, ["command", of.sent[0]["id"], of.at, "done", {}], at=of.at, app_id=2)
        assert await of.outcomes(id) == [(60, "handed")]


async def test_what_an_agent_refuses_is_a_failed_fire(tmp_path: Path) -> None:
    async with house(tmp_path) as of:
        of.agent()
        id = await of.make()
        await of.go(60)
        await of.answer(of.sent[0], "refused", error="no such task here")
        await of.answer(of.sent[0], "done")
        fire = (await of.fires(id))[0]
        assert (fire.outcome, fire.error) == ("failed", "no such task here")


async def test_without_an_agent_it_waits_and_is_missed_when_its_time_is_over(tmp_path: Path) -> None:
    async with house(tmp_path) as of:
        id = await of.make(kind="cron", expression="1 12 * * *")
        other = await of.make(name="kept", kind="cron", expression="1 12 * * *", catch_up="once")
        await of.go(60)
        assert await of.outcomes(id) == [(60, "waiting")]
        at = of.move(70)
        assert await of.store.write(lambda db: fires.expire_own(db, at)) == 1
        assert await of.outcomes(id) == [(60, "missed")]
        assert "no agent" in (await of.fires(id))[0].error
        await of.outbox.agent_connected(of.agent())
        assert await of.outcomes(other) == [(60, "handed")]
        assert len(of.sent) == 1


async def test_while_nobody_is_there_only_the_newest_of_those_that_catch_up_once_is_kept(tmp_path: Path) -> None:
    async with house(tmp_path) as of:
        id = await of.make(catch_up="once")
        await of.go(60)
        await of.go(60)
        assert await of.outcomes(id) == [(60, "missed"), (120, "waiting")]
        link = of.agent(environment="staging")
        await of.outbox.agent_connected(link)
        assert of.sent == [], "another environment"
        await of.outbox.agent_connected(of.agent("right"))
        assert len(of.sent) == 1


async def test_what_was_handed_over_and_not_answered_goes_to_the_same_folder_again_and_to_no_other(tmp_path: Path) -> None:
    async with house(tmp_path) as of:
        of.agent()
        id = await of.make()
        await of.go(60)
        first = dict(of.sent[0])
        of.sent.clear()
        await of.outbox.agent_connected(of.agent("elsewhere", spool="s2"))
        assert of.sent == []
        await of.outbox.agent_connected(of.agent("again"))
        assert [frame["id"] for frame in of.sent] == [first["id"]]
        at = of.move(ANSWER / SECOND + 1)
        assert await of.store.write(lambda db: fires.expire_own(db, at)) == 1
        assert await of.outcomes(id) == [(60, "unknown")]


async def test_a_server_that_dies_while_it_fires_neither_doubles_nor_forgets(tmp_path: Path) -> None:
    """Killed after it decided and before it handed anything over: the next one hands over what waits, once."""
    async with house(tmp_path) as of:
        ids = [await of.make(name=f"n{number}") for number in range(20)]
        await of.go(60)
        assert [await of.outcomes(id) for id in ids] == [[(60, "waiting")]] * 20
        outbox = Outbox(of.store, of.hub)
        again = Scheduler(outbox, lambda topics: None)
        link = of.agent()
        assert await again.fire_due(of.at) is False
        await outbox.agent_connected(link)
        await outbox.agent_connected(link)
        sent = [frame["params"]["new_id"] for frame in of.sent]
        assert len(sent) == 40, "the second time the same commands again, which the ledger answers"
        assert len(set(sent)) == 20


async def test_a_clock_set_back_an_hour_fires_nothing_twice_and_one_set_forward_loses_nothing_silently(tmp_path: Path) -> None:
    async with house(tmp_path) as of:
        of.agent()
        id = await of.make(kind="cron", expression="*/10 * * * *")
        await of.go(600)
        assert len(of.sent) == 1
        await of.go(-3_600)
        await of.go(3_000)
        assert len(of.sent) == 1, "those times are decided already"
        await of.go(1_200)
        assert await of.outcomes(id) == [(600, "handed"), (1_200, "handed")]
        await of.go(3_600)
        told = await of.outcomes(id)
        assert [due for due, _ in told] == [600, 1_200, 1_800, 2_400, 3_000, 3_600, 4_200, 4_800]
        assert [word for _, word in told[2:]] == ["missed"] * 5 + ["handed"]
        await of.go(-3_600)
        await of.go(3_600)
        assert len(await of.outcomes(id)) == 8


async def test_a_run_that_goes_on_lets_the_next_be_skipped(tmp_path: Path) -> None:
    async with house(tmp_path) as of:
        of.agent()
        id = await of.make(overlap="skip")
        await of.go(60)
        await of.answer(of.sent[0])
        task_id = of.sent[0]["params"]["new_id"]
        await tell(of.store, origin(), task("started", task_id, of.at), at=of.at)
        await of.go(60)
        assert await of.outcomes(id) == [(60, "sent"), (120, "skipped")]
        assert task_id in (await of.fires(id))[1].error
        await tell(of.store, *life(task_id, of.at), at=of.at)
        await of.go(60)
        assert (await of.outcomes(id))[-1] == (180, "handed")


async def test_jitter_is_the_same_after_a_restart_and_moves_the_handing_over_alone(tmp_path: Path) -> None:
    async with house(tmp_path) as of:
        of.agent()
        id = await of.make(kind="cron", expression="10 12 * * *", jitter_s=120)
        row = await of.row(id)
        wake = wake_of(id, row.next_at, row.jitter_us)
        assert wake is not None
        late = (wake - NOON - 600 * SECOND) / SECOND
        assert 0 <= late < 120
        await of.go(600)
        assert len(of.sent) == (late == 0)
        await of.go(late)
        assert await of.outcomes(id) == [(600, "handed")]
        spread = {wake_of(number, NOON, 60 * SECOND) for number in range(1_000)}
        assert len(spread) == 1_000
        assert min(of for of in spread if of) >= NOON


async def test_begin_end_and_one_offs(tmp_path: Path) -> None:
    async with house(tmp_path) as of:
        of.agent()
        bounded = await of.make(name="bounded", starts_at=NOON + 300 * SECOND, ends_at=NOON + 400 * SECOND)
        once = await of.make(name="once", kind="once", expression="2026-11-18T12:02:00+00:00", timezone="UTC")
        for _ in range(10):
            await of.go(60)
        assert [due for due, _ in await of.outcomes(bounded)] == [300, 360]
        assert (await of.row(bounded)).next_at is None
        assert len(await of.outcomes(once)) == 1
        assert (await of.row(once)).is_enabled is False


async def test_many_are_fired_in_the_order_of_their_due_times(tmp_path: Path) -> None:
    async with house(tmp_path) as of:
        of.agent()
        for number in range(250):
            await of.make(name=f"n{number}", expression=str(600 - number), catch_up="once")
        await of.go(700)
        due = [frame["id"] for frame in of.sent]
        assert len(due) == 250
        rows = {f"fire.{row.task_id}": row.due_at for each in (await fires.list_latest(of.store, 5)).values() for row in each}
        order = [rows[id] for id in due]
        assert order == sorted(order)


async def test_switched_off_nothing_is_missed(tmp_path: Path) -> None:
    async with house(tmp_path) as of:
        of.agent()
        id = await of.make()
        await of.desk.switch(Person(), await of.row(id), on=False, reason="maintenance")
        await of.go(600)
        assert await of.outcomes(id) == []
        await of.desk.switch(Person(), await of.row(id), on=True)
        assert (await of.row(id)).next_at == NOON + 660 * SECOND
        await of.go(60)
        assert await of.outcomes(id) == [(660, "handed")]
        edits = await schedules.list_edits(of.store, await of.row(id))
        assert [(edit.action, edit.reason) for edit in edits] == [("enabled", ""), ("disabled", "maintenance"), ("created", "")]


async def test_the_loop_wakes_by_itself_and_for_a_change(tmp_path: Path) -> None:
    """With the real clock: a schedule made while it sleeps is fired within its second."""
    async with house(tmp_path) as of:
        clock.use()
        of.agent()
        of.scheduler.start()
        try:
            await asyncio.sleep(0.1)
            id = await of.make(expression="1")
            ends = time.monotonic() + 10
            while len(of.sent) < 2 and time.monotonic() < ends:
                await asyncio.sleep(0.05)
            late = [of_fire.fired_at - of_fire.due_at for of_fire in await of.fires(id) if of_fire.fired_at]
            assert len(late) >= 2
            assert min(late) >= 0
        finally:
            await of.scheduler.stop()
