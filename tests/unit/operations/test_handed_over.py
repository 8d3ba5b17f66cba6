# SPDX-License-Identifier: AGPL-3.0-or-later
"""What is handed to an agent was first marked as handed, in the transaction that found it still waiting: what was stopped or handed to
another since it was read is not sent."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.database import SECOND
from tests.support.scheduling import NOON, House, house
from tests.unit.operations.test_plans import ALL, OLGA, stage
from z4j.agents.connections import AgentLink
from z4j.rules.plans import Pace
from z4j.store.operations import commands
from z4j.store.operations.commands import CommandRow
from z4j.store.sqlite.db import Store

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def busy_writer(store: Store) -> AsyncIterator[None]:
    """Reads go on, and what is to be written waits in order."""
    is_held, is_free = threading.Event(), threading.Event()

    def hold(db: object) -> None:
        is_held.set()
        assert is_free.wait(30)

    work = asyncio.ensure_future(store.write(hold))
    assert await asyncio.to_thread(is_held.wait, 30)
    try:
        yield
    finally:
        is_free.set()
        await work


async def settle() -> None:
    """Whatever can go on without the writer has done so."""
    await asyncio.sleep(0.4)


@pytest.mark.parametrize("change", ["abort", "pause"])
async def test_items_of_a_plan_that_was_stopped_meanwhile_are_not_sent(tmp_path: Path, change: str) -> None:
    async with stage(tmp_path) as on:
        await on.fail(40)
        row = await on.plans.freeze(OLGA, "retry_task", {}, ALL)
        await on.plans.execute(OLGA, row.id, row.digest, Pace(per_minute=600))
        async with asyncio.timeout(20):
            while len(on.agent.frames) < 3:
                await asyncio.sleep(0.01)
        async with busy_writer(on.store):
            stopping = asyncio.ensure_future(getattr(on.plans, change)(OLGA, row.id))
            await settle()  # the run has listed its next items meanwhile, and waits for the writer
        await stopping
        await settle()
        account = await on.account(row)
        assert len(on.agent.frames) == account["done"] < 40
        assert account == {"done": len(on.agent.frames), "aborted" if change == "abort" else "waiting": 40 - len(on.agent.frames)}


async def test_tasks_of_a_plan_that_was_aborted_meanwhile_are_not_deleted(tmp_path: Path) -> None:
    async with stage(tmp_path) as on:
        await on.fail(40)
        row = await on.plans.freeze(OLGA, "delete_task", {}, ALL)
        await on.plans.execute(OLGA, row.id, row.digest, Pace(per_minute=600))
        async with asyncio.timeout(20):
            while not (await on.account(row)).get("done"):
                await asyncio.sleep(0.01)
        async with busy_writer(on.store):
            abort = asyncio.ensure_future(on.plans.abort(OLGA, row.id))
            await settle()  # the run has listed its next items meanwhile, and waits for the writer
        await abort
        await settle()
        account = await on.account(await on.wait(row, "aborted"))
        assert account["aborted"] > 0
        [(left,)] = await on.store.fetch_all("SELECT count(*) FROM task")
        assert left == account["aborted"]


async def connect_two(of: House, connected: Callable[[AgentLink], Awaitable[None]]) -> None:
    """Two agents connect while what waits for one of them cannot be marked; the first has left when the second is told."""
    async with busy_writer(of.store):
        first = of.agent("first", spool="one")
        telling = [asyncio.ensure_future(connected(first))]
        await settle()
        of.hub.disconnect(first)
        telling.append(asyncio.ensure_future(connected(of.agent("second", spool="two"))))
        await settle()
    await asyncio.gather(*telling)


async def add_waiting(of: House) -> CommandRow:
    facts: dict[str, Any] = {"task": None, "task_id": "", "params": {"queue": "work"}, "target": "", "status": "waiting", "detail": {}}
    times: dict[str, Any] = {"created_at": NOON, "expires_at": NOON + 60 * SECOND, "sent_at": None, "ended_at": None}
    row = CommandRow(id="c" * 32, app_id=1, engine="celery", action="run_task", asked_by="ann", reason="", spool="", **facts, **times)
    await of.store.write(lambda db: commands.add_command(db, row))
    return row


async def test_a_command_goes_to_one_folder_though_two_agents_connect_at_once(tmp_path: Path) -> None:
    async with house(tmp_path) as of:
        await add_waiting(of)
        await connect_two(of, of.outbox.agent_connected)
        assert len(of.sent) == 1
        assert await of.store.fetch_all("SELECT status, spool FROM command") == [("sent", "one")]


async def test_a_command_that_ended_meanwhile_is_not_sent(tmp_path: Path) -> None:
    async with house(tmp_path) as of:
        row = await add_waiting(of)
        async with busy_writer(of.store):
            ending = asyncio.ensure_future(of.store.write(lambda db: commands.finish_command(db, 1, row.id, NOON, "expired", {})))
            await settle()
            telling = asyncio.ensure_future(of.outbox.agent_connected(of.agent()))
            await settle()
        await asyncio.gather(ending, telling)
        assert of.sent == []


async def test_a_fire_goes_to_one_folder_though_two_agents_connect_at_once(tmp_path: Path) -> None:
    async with house(tmp_path) as of:
        id = await of.make(catch_up="once")
        await of.go(60)
        assert await of.outcomes(id) == [(60, "waiting")]
        await connect_two(of, of.outbox.agent_connected)
        assert len(of.sent) == 1
        assert await of.store.fetch_all("SELECT outcome, spool FROM fire") == [("handed", "one")]
