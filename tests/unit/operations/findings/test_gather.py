# SPDX-License-Identifier: AGPL-3.0-or-later
"""Which earlier hours an hour is compared with, and what is brought together of a queue."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.database import SECOND, T, database, life, origin, tell
from z4j.agents.connections import Hub
from z4j.operations.findings.gather import Gatherer, _compared
from z4j.rules.rollups import DAY_US, HOUR_US

HOUR = T // HOUR_US * HOUR_US


def test_the_same_hour_of_four_weeks_or_the_last_day() -> None:
    times, words = _compared(HOUR, HOUR - 40 * DAY_US)
    assert words == "this hour of the last 4 weeks"
    assert sorted((HOUR - time) // DAY_US for time in times[1::3]) == [7, 14, 21, 28]
    assert times[:3] == [HOUR - 7 * DAY_US + side * HOUR_US for side in (-1, 0, 1)]
    assert _compared(HOUR, HOUR - 25 * DAY_US)[1] == "this hour of the last 3 weeks"
    times, words = _compared(HOUR, HOUR - 10 * DAY_US)
    assert (words, len(times), times[-1]) == ("the last 24 hours", 24, HOUR - HOUR_US)
    assert _compared(HOUR, HOUR - 2 * HOUR_US)[0] == [HOUR - 2 * HOUR_US, HOUR - HOUR_US]
    assert _compared(HOUR, HOUR)[0] == []


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
