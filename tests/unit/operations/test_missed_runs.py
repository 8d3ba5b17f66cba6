# SPDX-License-Identifier: AGPL-3.0-or-later
"""Due times that came while no server ran: which are run late, and which are stored as missed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.scheduling import house
from z4j.operations.missed_runs import LISTED
from z4j.store.schedules import fires

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("catch_up", "outcomes", "sent"),
    [
        ("skip", [(60, "missed"), (120, "missed"), (180, "missed"), (240, "handed")], [240]),
        ("once", [(60, "missed"), (120, "missed"), (180, "missed"), (240, "handed")], [240]),
        ("all", [(60, "handed"), (120, "handed"), (180, "handed"), (240, "handed")], [60, 120, 180, 240]),
    ],
)
async def test_catching_up(tmp_path: Path, catch_up: str, outcomes: list[tuple[int, str]], sent: list[int]) -> None:
    """The server was away for four minutes."""
    async with house(tmp_path) as of:
        of.agent()
        id = await of.make(catch_up=catch_up)
        await of.go(250)
        assert await of.outcomes(id) == outcomes
        assert len(of.sent) == len(sent)
        await of.go(50)
        assert (await of.outcomes(id))[-1] == (300, "handed")


async def test_a_daily_one_that_skips_is_not_run_an_hour_late_and_one_that_catches_up_once_is(tmp_path: Path) -> None:
    async with house(tmp_path) as of:
        of.agent()
        skips = await of.make(name="a", kind="cron", expression="5 12 * * *")
        catches = await of.make(name="b", kind="cron", expression="5 12 * * *", catch_up="once")
        await of.go(3_600)
        assert await of.outcomes(skips) == [(300, "missed")]
        assert await of.outcomes(catches) == [(300, "handed")]
        assert "does not catch up" in (await of.fires(skips))[0].error


async def test_of_a_very_long_absence_the_newest_are_written_and_the_others_counted(tmp_path: Path) -> None:
    async with house(tmp_path) as of:
        id = await of.make(expression="1")
        await of.go(1_000)
        rows = await fires.list_fires(of.store, id, limit=1_000)
        assert len(rows) == LISTED + 1
        assert "799 earlier runs were skipped" in rows[-1].error
