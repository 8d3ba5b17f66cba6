# SPDX-License-Identifier: AGPL-3.0-or-later
"""Which earlier hours an hour is compared with, and what is brought together of a queue."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.database import SECOND, T, database, life, origin, tell
from z4j.agents.connections import Hub
from z4j.operations.findings.rule_inputs import Gatherer, _same_hours
from z4j.rules.rollups import DAY_US, HOUR_US

HOUR = T // HOUR_US * HOUR_US


def test_the_same_hour_of_four_weeks() -> None:
    times = _same_hours(HOUR, HOUR - 40 * DAY_US)
    assert sorted((HOUR - time) // DAY_US for time in times[1::3]) == [7, 14, 21, 28]
    assert times[:3] == [HOUR - 7 * DAY_US + side * HOUR_US for side in (-1, 0, 1)]
    assert len(_same_hours(HOUR, HOUR - 25 * DAY_US)) == 9
    assert _same_hours(HOUR, HOUR - 10 * DAY_US) == []


@pytest.mark.anyio
async def test_a_name_that_is_new_is_compared_with_the_last_day_and_others_with_earlier_weeks(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        now = HOUR + 30 * 60 * SECOND
        records = [record for week in range(1, 5) for record in life(f"old{week}", now - week * 7 * DAY_US, run="w.7", name="shop.old")]
        records += [record for hour in range(1, 9) for record in life(f"new{hour}", now - hour * HOUR_US, run="w.7", name="shop.new")]
        await tell(store, origin("w"), *records, at=now)
        names = {activity.name: activity for activity in await Gatherer(store, Hub()).names(now)}
        assert (names["shop.old"].usual_of, names["shop.new"].usual_of) == ("this hour of the last 3 weeks", "the last 24 hours")
        assert sum(hour.counts.ended for hour in names["shop.new"].usual) == 8
        assert sum(hour.counts.ended for hour in names["shop.old"].usual) == 3


@pytest.mark.anyio
async def test_a_queue_with_its_minutes_and_names(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        await tell(
            store, origin("w"), *life("a", T - 90 * SECOND, run="w.7"), *life("b", T - 30 * SECOND, run="w.7", name="shop.mail"), at=T
        )
        [queue] = await Gatherer(store, Hub()).queues(T)
        assert (queue.name, queue.depth, queue.queued, len(queue.minutes)) == ("work", None, 0, 60)
        assert sum(minute.entered for minute in queue.minutes) == sum(minute.left for minute in queue.minutes) == 2
        assert queue.names == {"shop.ship": 1, "shop.mail": 1}
        names = await Gatherer(store, Hub()).names(T)
        assert {activity.name: activity.last(60).ended for activity in names} == {"shop.ship": 1, "shop.mail": 1}
        assert all(sum(activity.ran.values()) == 1 for activity in names)
