# SPDX-License-Identifier: AGPL-3.0-or-later
"""Due times that no scheduler reported: what is written of them, and when the duty waits."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.database import SECOND
from tests.support.scheduling import NOON, house
from tests.unit.background.workers import Heard
from tests.unit.operations.test_schedules import BEAT, by_key, connect, entry, leave, listing
from z4j.background.lost_tasks import SETTLE_US
from z4j.background.overdue_schedules import OverdueSchedules

pytestmark = pytest.mark.anyio
DUE = NOON + 60 * SECOND


async def test_a_due_time_that_nobody_reported_is_stored_as_missed_and_announced_once(tmp_path: Path) -> None:
    async with house(tmp_path) as of:
        heard = Heard()
        duty = OverdueSchedules(of.store, heard)
        await of.outbox.schedules_listed(await connect(of, "beat", BEAT), listing("celery_beat", entry()))
        await leave(of, "beat")
        assert await duty.find_missed(DUE + SETTLE_US) == 1
        assert heard == ["schedules"]
        [fire] = await of.fires((await by_key(of, "nightly")).id)
        assert (fire.due_at, fire.outcome) == (DUE, "missed")
        assert await duty.find_missed(DUE + SETTLE_US) == 0
        assert heard == ["schedules"]


async def test_after_a_restart_agents_have_time_to_reconnect_first(tmp_path: Path) -> None:
    async with house(tmp_path) as of:
        await of.outbox.schedules_listed(await connect(of, "beat", BEAT), listing("celery_beat", entry()))
        await leave(of, "beat")
        of.move(3_600)
        heard = Heard()
        duty = OverdueSchedules(of.store, heard)  # the server starts an hour later
        assert await duty.find_missed(of.at + SETTLE_US - 1) == 0
        assert await of.fires((await by_key(of, "nightly")).id) == []
        assert await duty.find_missed(of.at + SETTLE_US) > 0
        assert heard == ["schedules"]


async def test_with_no_schedules_nothing_is_announced(tmp_path: Path) -> None:
    async with house(tmp_path) as of:
        heard = Heard()
        assert await OverdueSchedules(of.store, heard).find_missed(NOON + 86_400 * SECOND) == 0
        assert heard == []
