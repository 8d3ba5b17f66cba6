# SPDX-License-Identifier: AGPL-3.0-or-later
"""Steps of the wall clock are recorded, duties that judge by age wait, and retention does not follow a clock that is far ahead at once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.database import SECOND, T, database
from tests.unit.background.workers import Heard
from z4j import clock
from z4j.background.clock_watch import SETTLE_US, ClockWatch
from z4j.clock import DAY_US
from z4j.duty_loop import LOG_AGAIN_US, STALLED_US, Duty
from z4j.rules.clock_watch import WAIT_US, Step
from z4j.store.access.audit import AuditLog, list_audit
from z4j.store.operations.trusted_time import read_trusted

pytestmark = pytest.mark.anyio


class Clocks:
    """A wall clock and one that is never set, moved by a test."""

    def __init__(self) -> None:
        self.wall, self.ticks = T, 5 * SECOND

    def run(self, us: int) -> None:
        self.wall += us
        self.ticks += us


@pytest.fixture
def clocks() -> Iterator[Clocks]:
    made = Clocks()
    clock.use(lambda: made.wall * 1_000, lambda: made.ticks * 1_000)
    yield made
    clock.use()


async def test_a_step_is_recorded_once_and_reported(tmp_path: Path, clocks: Clocks) -> None:
    async with database(tmp_path) as store:
        heard, steps = Heard(), list[Step]()

        async def note(step: Step) -> None:
            steps.append(step)

        watch = ClockWatch(store, heard, AuditLog(tmp_path))
        watch.on_step.append(note)
        clocks.run(60 * SECOND)
        await watch.round(clocks.wall)
        assert not steps
        clocks.wall -= 7_200 * SECOND
        await watch.round(clocks.wall)
        await watch.round(clocks.wall)
        assert steps == list(watch.steps) == [Step(T - 7_140 * SECOND, -7_200 * SECOND)]
        assert heard == ["strip"]
        [row] = await list_audit(store)
        assert (row.action, row.actor, row.at, row.detail) == ("clock_step", "system", clocks.wall, '{"seconds": -7200}')


async def test_a_report_that_fails_is_made_again(tmp_path: Path, clocks: Clocks) -> None:
    async with database(tmp_path) as store:
        attempts = []

        async def fail_once(step: Step) -> None:
            attempts.append(step)
            if len(attempts) == 1:
                raise OSError("busy")

        watch = ClockWatch(store, Heard())
        watch.on_step.append(fail_once)
        clocks.wall += DAY_US
        with pytest.raises(OSError, match="busy"):
            await watch.round(clocks.wall)
        await watch.round(clocks.wall)
        await watch.round(clocks.wall)
        assert len(attempts) == 2


async def test_work_that_judges_by_age_waits_until_the_clock_is_steady(tmp_path: Path, clocks: Clocks) -> None:
    async with database(tmp_path) as store:
        done: list[int] = []

        async def work(at: int) -> None:
            done.append(at)

        watch = ClockWatch(store, Heard())
        steady = watch.when_steady(work)
        await steady(1)
        clocks.wall += DAY_US
        await steady(2)
        clocks.run(SETTLE_US - 1)
        await steady(3)
        clocks.run(1)
        await steady(4)
        assert done == [1, 4]


async def test_retention_follows_a_clock_that_stays_ahead_also_over_restarts(tmp_path: Path, clocks: Clocks) -> None:
    async with database(tmp_path) as store:
        watch = ClockWatch(store, Heard())
        assert await watch.trusted_at(clocks.wall) == T
        clocks.wall += 365 * DAY_US
        clocks.run(60 * SECOND)
        assert await watch.trusted_at(clocks.wall) == T + 60 * SECOND
        assert watch.held_us == WAIT_US - 60 * SECOND
        again = ClockWatch(store, Heard())  # the wait was stored
        clocks.run(SECOND)
        assert await again.trusted_at(clocks.wall) == T + 60 * SECOND
        assert again.held_us == WAIT_US - 60 * SECOND
        clocks.run(WAIT_US)
        assert await again.trusted_at(clocks.wall) == clocks.wall
        assert again.held_us is None
        known = await read_trusted(store)
        assert known is not None
        assert known.at == clocks.wall


def test_a_duty_stalls_by_running_time_alone(clocks: Clocks) -> None:
    duty = Duty("rare", 3_600)
    duty.succeeded()
    for step in (400 * DAY_US, -800 * DAY_US):
        clocks.wall += step
        assert duty.state == "ok"
    clocks.run(3_600 * SECOND + STALLED_US)
    assert duty.state == "ok"
    clocks.run(1)
    assert duty.state == "stalled"


def test_a_failure_is_logged_again_after_an_hour_of_running_time(clocks: Clocks, caplog: pytest.LogCaptureFixture) -> None:
    duty = Duty("rare", 1)
    duty.failed(OSError("busy"))
    clocks.wall -= 400 * DAY_US
    duty.failed(OSError("busy"))
    assert len(caplog.records) == 1
    clocks.run(LOG_AGAIN_US)
    duty.failed(OSError("busy"))
    assert len(caplog.records) == 2
    duty.succeeded()
    assert "for -" not in caplog.text
