# SPDX-License-Identifier: AGPL-3.0-or-later
from __future__ import annotations

import asyncio
import errno
from collections import Counter
from contextlib import suppress
from pathlib import Path

import pytest

from tests.support.database import T, database
from tests.unit.background.workers import Heard, connect_agent
from z4j.background.duties import BackgroundDuties, Work
from z4j.exceptions import StoreError
from z4j.store.fleet import agents
from z4j.store.tasks.bulk_deletion import Retention

pytestmark = pytest.mark.anyio


async def test_a_duty_that_fails_keeps_none_of_the_others_from_running(tmp_path: Path) -> None:
    """Not one that raises what nobody expected either, and it runs again by itself."""
    rounds = Counter[str]()

    class House(BackgroundDuties):
        def table(self) -> list[tuple[str, float, Work]]:
            return [(name, 0.01, self.counted(name, work)) for name, _, work in super().table()]

        def counted(self, name: str, work: Work) -> Work:
            async def run(at: int) -> None:
                rounds[name] += 1
                if name == "due tasks" and rounds[name] <= 3:
                    raise [StoreError("the disk is full"), KeyError("a defect"), OSError(errno.EMFILE, "too many")][rounds[name] - 1]
                await work(at)

            return run

    async with database(tmp_path) as store:
        await connect_agent(store, "b00t", T)
        house = House(store, Heard(), Retention(days=36_500))  # the agent came at a fixed time
        running = asyncio.ensure_future(house.run())
        duty = house.duties.add("due tasks", 0.01)
        async with asyncio.timeout(30):
            while duty.failures < 2:
                await asyncio.sleep(0.01)
            assert duty.state == "failing"
            seen = dict(rounds)
            while duty.succeeded_at is None:
                await asyncio.sleep(0.01)
            while any(rounds[name] <= seen[name] for name, _, _ in house.table()):
                await asyncio.sleep(0.01)
        assert [of.name for of in house.duties.unhealthy] == []
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
        [agent] = await agents.list_agents(store)
        assert agent.left_reason == "server restarted"
