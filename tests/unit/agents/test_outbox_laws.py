# SPDX-License-Identifier: AGPL-3.0-or-later
"""The laws of the outbox, for every kind of command: never twice, never elsewhere, `unknown` when in doubt, each answer to its owner."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import pytest

from tests.support.database import SECOND
from tests.support.outbox_world import FORGED, OLD_COMMAND, OLD_PLAN, SPECS, World, world
from z4j.agents.outbox import Outbox
from z4j.exceptions import AgentGone, Unsupported, WrongState
from z4j.rules.command_ids import parse
from z4j.store.schedules import schedules

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(300)]
STEPS = 70
DAY = 86_400 * SECOND
REFUSED = (AgentGone, WrongState, Unsupported)


def asks(of: World) -> list[Callable[[], Awaitable[None]]]:
    """What makes a command, of every kind."""
    actions = ("retry_task", "cancel_task")
    return [
        of.run_task, of.leave_waiting, of.fire, of.override, of.override, partial(of.pause, "pause_queue"),
        partial(of.pause, "resume_queue"), *(partial(of.ask_task, action) for action in actions),
        *(partial(of.plan, action) for action in actions),
    ]  # fmt: skip


async def step(of: World) -> None:
    """One thing that happens."""
    rng = of.rng
    match rng.choices(("ask", "join", "leave", "work", "ship", "forge", "kill", "time"), (22, 14, 6, 28, 14, 8, 4, 4))[0]:
        case "ask":
            if rng.random() < 0.15:
                of.look_up()
                return
            try:
                await rng.choice(asks(of))()
            except REFUSED:
                pass  # nobody is connected who can, which is no command
        case "join":
            together = rng.sample(SPECS, rng.choice((1, 1, 2, 3)))
            await asyncio.gather(*(of.join(spec) for spec in together), of.outbox.retry(of.at + 6 * SECOND))
        case "leave" if of.connected:
            of.leave(rng.choice(list(of.connected)))
        case "work":
            busy = [agent for agent in of.connected.values() if agent.inbox]
            if busy:
                agent, how = rng.choice(busy), rng.choices(("", "slow", "begun", "done"), (7, 3, 1, 1))[0]
                agent.work(how)
                if how in ("begun", "done"):
                    of.leave(agent.spec.name)
            elif of.slow:
                of.end_slow()
        case "ship":
            await of.ship(of.folders[rng.choice(list(of.folders))], is_acked=rng.random() < 0.7)
        case "forge":
            await of.forge()
        case "kill":
            await of.kill_server(rng.choice(asks(of))())
        case "time":
            of.at += rng.choice((1, 6, 60, 1_000)) * SECOND
            await of.outbox.retry(of.at)
            await of.expire()


async def settle(of: World) -> None:
    """Every agent comes, does what it is sent, and says so; then the time of everything is over."""
    for _ in range(3):
        while of.slow:
            of.end_slow()
        for spec in SPECS:
            await of.join(spec)
        for agent in list(of.connected.values()):
            while agent.inbox:
                agent.work()
        for folder in of.folders.values():
            while folder.answers:
                await of.ship(folder)
    for _ in range(2):
        of.at += 2 * DAY
        await of.expire()


async def check_what_became_of_it(of: World) -> None:
    rows = await of.store.fetch_all("SELECT id, status, coalesce(spool, '') FROM command")
    items = await of.store.fetch_all(
        "SELECT p.key, i.seq, i.status, coalesce(i.spool, '') FROM plan_item AS i JOIN plan AS p ON p.id = i.plan_id"
    )
    words = {0: "waiting", 1: "sent", 2: "done", 3: "changed", 4: "refused", 5: "failed", 6: "expired", 7: "unknown", 8: "aborted"}
    prefix = {key: key if key == OLD_PLAN else f"plan_item.{key}" for key, *_ in items}
    fires = await of.store.fetch_all("SELECT task_id, outcome, coalesce(spool, '') FROM fire WHERE task_id != ''")
    outcomes = {"sent": "done", "handed": "sent", "missed": "expired"}
    found: list[tuple[str, str, str]] = [(id if id == OLD_COMMAND else f"command.{id}", str(status), spool) for id, status, spool in rows]
    found += [(f"{prefix[key]}.{seq}", str(words[status]), spool) for key, seq, status, spool in items]
    found += [(f"fire.{task_id}", str(outcomes.get(outcome, outcome)), spool) for task_id, outcome, spool in fires]
    for id, status, spool in found:
        ran = of.executed.get(id, [])
        assert len(ran) <= 1, f"{id} ran {len(ran)} times"
        assert set(ran) <= {spool}, f"{id} is marked for {spool} and ran in {ran}"
        shipped = {said for folder in of.folders.values() for of_id, said in folder.shipped if of_id == id}
        if status == "done":
            assert ran, f"{id} is done and nobody did it"
            assert "done" in shipped, f"{id} is done and nobody said so"
        if "done" in shipped:
            assert status == "done", f"{id} was done and is {status}: {shipped}"
        if spool and not shipped - {"accepted"}:
            assert status == "unknown", f"{id} was handed over, nobody answered, and it is {status}"
        assert status not in ("sent", "accepted"), f"{id} never ends"


async def check_nothing_was_forged(of: World) -> None:
    for sql in ("SELECT detail FROM command", "SELECT coalesce(detail, '') FROM plan_item", "SELECT error FROM fire"):
        assert not [text for (text,) in await of.store.fetch_all(sql) if FORGED in text]
    assert await of.store.fetch_all("SELECT id FROM task WHERE state = 12") == [], "another agent answered a question to an engine"


async def check_overrides_arrived(of: World) -> None:
    for name in ("beat", "other beat"):
        agent = of.connected[name]
        stored = await schedules.list_overrides(of.store, 1, agent.spec.environment, "celery_beat")
        assert (agent.overrides or []) == [row.to_wire() for row in stored]


@pytest.mark.parametrize("seed", range(12))
async def test_whatever_happens_no_kind_of_command_breaks_a_law(tmp_path: Path, seed: int) -> None:
    async with world(tmp_path, seed) as of:
        for _ in range(STEPS):
            await step(of)
        await settle(of)
        await check_what_became_of_it(of)
        await check_nothing_was_forged(of)
        await check_overrides_arrived(of)


async def test_the_schedules_reach_every_kind(tmp_path: Path) -> None:
    """Or the law would say nothing of a kind that was never sent."""
    kinds: set[str] = set()
    for seed in range(4):
        (folder := tmp_path / str(seed)).mkdir()
        async with world(folder, seed) as of:
            for _ in range(STEPS):
                await step(of)
            await settle(of)
            kinds |= {found.kind for id in [*of.frames, *of.executed] if (found := parse(id)) is not None}
            ended = {folder.ledger.get(OLD_COMMAND) for folder in of.folders.values()}
            assert "done" in ended
    assert kinds == {"command", "plan_item", "fire", "pause", "overrides", "lookup"}


async def test_the_kinds_that_are_stored_expire(tmp_path: Path) -> None:
    """A pause, an override and a lookup never expire, so they have no duty."""
    async with world(tmp_path, 0) as of:
        running = asyncio.create_task(of.outbox.run())
        await asyncio.sleep(0)
        names = {duty.name for duty in of.outbox.duties.all()}
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running
    assert names == {"delivery of waiting commands", "expiry of command", "expiry of plan_item", "expiry of fire"}


async def test_a_kind_has_one_owner(tmp_path: Path) -> None:
    async with world(tmp_path, 0) as of:
        with pytest.raises(ValueError, match="have an owner already"):
            of.outbox.register(of.dispatch)
        assert isinstance(of.outbox, Outbox)
