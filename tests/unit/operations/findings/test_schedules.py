# SPDX-License-Identifier: AGPL-3.0-or-later
"""Schedules of a real database, from the scheduler that lists them to the finding that it is silent."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.database import SECOND
from tests.support.scheduling import NOON, house
from tests.unit.operations.test_schedules import BEAT, connect, entry, leave, listing
from z4j.operations.findings import schedules
from z4j.store.schedules import overdue

pytestmark = pytest.mark.anyio


async def test_a_beat_that_is_gone_and_comes_back(tmp_path: Path) -> None:
    async with house(tmp_path) as of:
        assert await schedules.find(of.store, NOON) == []
        listed = listing("celery_beat", entry("a"), entry("b"), entry("odd", kind="other", expression="at noon", next_at=None))
        await of.outbox.schedules_listed(await connect(of, "beat", BEAT), listed)
        assert await schedules.find(of.store, of.at) == []
        await leave(of, "beat")
        assert await schedules.find(of.store, of.at + 44 * SECOND) == []
        await of.store.write(lambda db: overdue.write_missed(db, NOON + 90 * SECOND))
        [finding] = await schedules.find(of.store, NOON + 90 * SECOND)
        assert (finding.kind, finding.scope) == ("silent_scheduler", ("shop", "production", ""))
        assert finding.text.endswith("it runs 3 schedules, 2 of which were due since")
        await of.outbox.schedules_listed(await connect(of, "beat2", BEAT), listed)
        kinds = [each.kind for each in await schedules.find(of.store, NOON + 91 * SECOND)]
        assert "silent_scheduler" not in kinds
        assert set(kinds) == {"missed_schedule"}, "what was missed meanwhile is for a person to run"
