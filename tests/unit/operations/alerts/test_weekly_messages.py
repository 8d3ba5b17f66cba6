# SPDX-License-Identifier: AGPL-3.0-or-later
"""The weekly message of a channel."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.operations.alerts.examples import stage
from tests.unit.rules.alerts.examples import MINUTE
from z4j import clock
from z4j.operations.alerts.weekly_messages import WEEK_US, make_weekly

pytestmark = pytest.mark.anyio


async def test_a_weekly_message_is_made_once_a_week(tmp_path: Path) -> None:
    async with stage(tmp_path) as on:
        await on.channel(is_weekly=True)
        await on.channel(name="other")
        now = clock.now()
        await make_weekly(on.store, now)
        assert await on.messages() == []
        for _ in range(2):
            await make_weekly(on.store, now + WEEK_US + MINUTE)
        [alive] = await on.messages()
        assert (alive.kind, alive.channel, alive.alert_id) == ("alive", "hook", None)
        assert "No alert fired" in alive.body["text"]
