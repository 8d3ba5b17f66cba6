# SPDX-License-Identifier: AGPL-3.0-or-later
"""z4j's own schedules after the clock was set forward and back: they go on, and what ran does not run again."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.database import SECOND
from tests.support.scheduling import NOON, house
from z4j.operations import scheduler

pytestmark = pytest.mark.anyio
HOUR = 3_600
DAY = 24 * HOUR


async def test_a_daily_run_that_was_missed_ahead_of_time_is_due_again(tmp_path: Path) -> None:
    async with house(tmp_path) as of:
        of.agent()
        id = await of.make(kind="cron", expression="0 13 * * *")
        await of.go(3 * DAY)
        assert [outcome for _, outcome in await of.outcomes(id)] == ["missed"] * 3
        of.move(60 - 3 * DAY)
        assert await of.scheduler.undo_ahead(of.at) == 1
        assert await of.outcomes(id) == []
        assert (await of.row(id)).next_at == NOON + HOUR * SECOND
        await of.go(HOUR - 60)
        assert await of.outcomes(id) == [(HOUR, "handed")]


async def test_a_daily_run_that_ran_ahead_of_time_does_not_run_again(tmp_path: Path) -> None:
    async with house(tmp_path) as of:
        of.agent()
        id = await of.make(kind="cron", expression="0 13 * * *", catch_up="once")
        await of.go(3 * DAY)
        await of.answer(of.sent[0])
        newest = 2 * DAY + HOUR
        of.move(-3 * DAY)
        assert await of.scheduler.undo_ahead(of.at) == 1
        for _ in range(4):
            await of.go(DAY)
            for frame in of.sent[1:]:
                await of.answer(frame)
        ran = [at for at, outcome in await of.outcomes(id) if outcome == "sent"]
        assert ran == [HOUR, DAY + HOUR, newest, 3 * DAY + HOUR]
        assert len(of.sent) == 4, "one task for each due time"


async def test_what_runs_at_least_hourly_goes_on_by_the_new_time(tmp_path: Path) -> None:
    async with house(tmp_path) as of:
        of.agent()
        often = await of.make(expression="60")
        hourly = await of.make(name="hourly", kind="cron", expression="30 * * * *")
        for _ in range(2 * 60):
            await of.go(60)
        before = len(of.sent)
        of.move(-2 * HOUR)
        assert await of.scheduler.undo_ahead(of.at) == 2
        for _ in range(60):
            await of.go(60)
        assert len(of.sent) - before == 61
        assert len({frame["params"]["new_id"] for frame in of.sent}) == len(of.sent)
        counted = "SELECT schedule_id, count(*) FROM fire GROUP BY 1"
        assert await of.store.fetch_all(counted) == [(often, 180), (hourly, 3)], "what ran before is kept"


async def test_a_one_off_that_ended_ahead_of_time_waits_again_and_one_that_ran_does_not(tmp_path: Path) -> None:
    async with house(tmp_path) as of:
        of.agent()
        moment = "2026-11-30T05:30:00+00:00"
        skipped = await of.make(kind="once", expression=moment)
        ran = await of.make(name="ran", kind="once", expression=moment, catch_up="once")
        due_at = (await of.row(skipped)).next_at
        assert due_at is not None
        before = of.at
        of.at = due_at + DAY * SECOND
        await of.go()
        assert [(await of.row(id)).is_enabled for id in (skipped, ran)] == [False, False]
        assert len(of.sent) == 1
        of.at = before
        assert await of.scheduler.undo_ahead(of.at) == 1
        row = await of.row(skipped)
        assert (row.is_enabled, row.next_at) == (True, due_at)
        of.at = due_at
        await of.go()
        assert len(of.sent) == 2
        assert not (await of.row(ran)).is_enabled


async def test_nothing_changes_where_the_clock_was_not_set(tmp_path: Path) -> None:
    async with house(tmp_path) as of:
        of.agent()
        id = await of.make(expression="60", jitter_s=30.0)
        off = await of.make(name="off", is_enabled=False)
        for _ in range(20):
            await of.go(30)
            before = await of.row(id)
            assert await of.scheduler.undo_ahead(of.at) == 0
            assert await of.row(id) == before
        assert not (await of.row(off)).is_enabled


@pytest.mark.parametrize(("catch_up", "sent"), [("skip", 1), ("once", 1), ("all", 45)])
async def test_many_due_times_are_decided_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, catch_up: str, sent: int) -> None:
    """A year of a clock set forward must not hold the writer; the outcome is that of one decision."""
    monkeypatch.setattr(scheduler, "TIMES_AT_ONCE", 10)
    async with house(tmp_path) as of:
        of.agent()
        id = await of.make(catch_up=catch_up)
        await of.go(45 * 60)
        assert len(of.sent) == sent
        outcomes = dict(await of.outcomes(id))
        assert outcomes[45 * 60] == "handed"
        assert len(outcomes) == 45
        assert (await of.row(id)).next_at == NOON + 46 * 60 * SECOND
