# SPDX-License-Identifier: AGPL-3.0-or-later
"""Executed cancellations are sent to each process that connects, as long as their task waits."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.database import SECOND, T, origin, task, tell
from tests.support.scheduling import NOON, Person, house
from tests.unit.operations.test_plans import ALL, OLGA, stage
from z4j import clock
from z4j.rules.commands import RULES
from z4j.rules.plans import Pace
from z4j.store.tasks.tasks import get_task

pytestmark = pytest.mark.anyio
CAN_CANCEL = {("celery", "cancel_task"): "any"}


async def test_a_command_is_repeated_until_its_task_ends(tmp_path: Path) -> None:
    async with house(tmp_path) as of:
        of.agent("one", CAN_CANCEL)
        await tell(of.store, origin(), task("enqueued", "t", NOON))
        found = await get_task(of.store, 1)
        assert found is not None
        row = await of.dispatch.ask(Person(), "cancel_task", found)
        started = of.agent("two", CAN_CANCEL)
        assert await of.dispatch.list_copies(started, of.at) == [], "it was not executed yet"
        await of.answer(of.sent[0])
        [copy] = await of.dispatch.list_copies(started, of.at)
        assert (copy.need.action, copy.need.app_id, copy.task) == ("cancel_task", 1, None)
        assert (copy.id.kind, copy.id.owner, copy.id.process) == ("command", row.id, "two")
        await tell(of.store, task("cancelled", "t", NOON + SECOND, None, None, "revoked"))
        assert await of.dispatch.list_copies(started, of.at) == []


async def test_an_item_of_a_plan_is_repeated_under_an_id_of_its_own_for_the_process(tmp_path: Path) -> None:
    async with stage(tmp_path) as on:
        await tell(on.store, origin(), task("enqueued", "q", T))
        row = await on.plans.freeze(OLGA, "cancel_task", {}, ALL)
        await on.plans.execute(OLGA, row.id, row.digest, Pace())
        await on.wait(row, "done")
        at, started = clock.now(), on.agent.link("b2", "s2")
        [copy] = await on.plans.list_copies(started, at)
        assert (copy.id.kind, copy.id.process, copy.params) == ("plan_item", "b2", {"task_id": "q"})
        assert (copy.need.action, copy.need.engine, copy.need.environment) == ("cancel_task", "celery", "production")
        assert copy.expires_at == at + RULES["cancel_task"].expires_us
        assert await on.plans.list_copies(started, at + RULES["cancel_task"].expires_us + 60 * SECOND) == [], "it has expired"
        await tell(on.store, task("cancelled", "q", T + SECOND, None, None, "revoked"))
        assert await on.plans.list_copies(started, at) == []
