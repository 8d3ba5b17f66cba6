# SPDX-License-Identifier: AGPL-3.0-or-later
"""Plans against a real database; the agent at the other end of the link is the test itself, and answers as the wire says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.support.contents import connect, recount
from tests.support.database import SECOND, T, database, life, origin, task, tell
from z4j.agents.connections import AgentLink, Hub
from z4j.agents.ingest import ingest_batch
from z4j.agents.outbox import Outbox
from z4j.exceptions import BadInput, NotAllowed, WrongState
from z4j.live import Live
from z4j.operations.plan_runner import new_id
from z4j.operations.plans import Plans, Source
from z4j.rules.plans import Pace
from z4j.rules.queries.parse import parse
from z4j.store.access.audit import AuditLog
from z4j.store.operations import commands, plans
from z4j.store.operations.plans import PlanRow
from z4j.store.sqlite.db import Store
from z4j.store.tasks.tasks import TaskFilter, get_task, list_tasks
from z4j_agent import wire

pytestmark = pytest.mark.anyio
ACTIONS = ("retry_task", "cancel_task", "restore_task", "move_task", "prioritise_task")


@dataclass(frozen=True)
class Person:
    name: str = "olga"
    role: str = "operator"
    address: str = ""


OLGA = Person()


@dataclass
class Agent:
    """Takes frames and answers them with `answer`; None stays silent."""

    store: Store
    answer: Callable[[dict[str, Any]], str | None] = lambda frame: "done"
    frames: list[dict[str, Any]] = field(default_factory=list)
    outbox: Outbox | None = None
    tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def link(self, boot: str = "b1", spool: str = "s1", **facts: Any) -> AgentLink:
        given: dict[str, Any] = {
            "app_id": 1, "boot": boot, "spool": spool, "role": "worker", "worker": "w1", "allow": "all", "denied": frozenset(),
            "seal_key": "", "is_secure": True, "send": self.take, "close": lambda code, reason: None,
            "capabilities": {("celery", action): "any" for action in ACTIONS}, "environment": "production",
        }  # fmt: skip
        return AgentLink(**(given | facts))

    def take(self, frame: dict[str, Any]) -> None:
        self.frames.append(frame)
        status = self.answer(frame)
        if status is not None:
            work = asyncio.ensure_future(self.say(frame["id"], status))
            self.tasks.add(work)
            work.add_done_callback(self.tasks.discard)

    async def say(self, id: str, status: str) -> None:
        records = [["command", id, T, "accepted", {}], ["command", id, T + 1, status, {"error": "so it is"}]]
        done = await ingest_batch(self.store, 1, b"".join(map(wire.encode_record, records)), at=T)
        if self.outbox is not None:
            await self.outbox.answered(1, done.answers)

    def items(self) -> list[str]:
        return [frame["params"]["task_id"] for frame in self.frames]


@dataclass
class Stage:
    store: Store
    plans: Plans
    hub: Hub
    agent: Agent
    folder: Path

    async def fail(self, count: int, **head: Any) -> list[str]:
        """So many failed tasks with an original, oldest first."""
        ids = [f"{head.get('name', 't')}-{number}" for number in range(count)]
        for number, id in enumerate(ids):
            payload = task("payload", id, T + number, 2, f"[{number}]", False, [None, "AHt9"], "plain", **head)
            await tell(self.store, origin(), *life(id, T + number * SECOND, "failed", **head), payload)
        return ids

    async def wait(self, row: PlanRow, *status: str) -> PlanRow:
        async with asyncio.timeout(20):
            while (found := await self.plans.get(row.id)).status not in status:
                await asyncio.sleep(0.01)
        return found

    async def account(self, row: PlanRow) -> dict[str, int]:
        found = {word: items for word, items in (await plans.account(self.store, row.id)).items() if items}
        assert sum(found.values()) == row.items
        return found

    async def audit(self) -> list[tuple[str, str]]:
        return [(row[0], row[1]) for row in await self.store.fetch_all("SELECT action, outcome FROM audit ORDER BY seq")]


@asynccontextmanager
async def stage(folder: Path) -> AsyncIterator[Stage]:
    async with database(folder) as store:
        hub, agent = Hub(), Agent(store)
        agent.outbox = Outbox(store, hub)
        made = Plans(agent.outbox, Live(), AuditLog(folder))
        hub.connect(agent.link())
        await made.start()
        try:
            yield Stage(store, made, hub, agent, folder)
        finally:
            await made.stop()


ALL = Source("", TaskFilter())


async def test_a_plan_is_exact_about_what_it_holds_and_what_not(tmp_path: Path) -> None:
    async with stage(tmp_path) as on:
        await on.fail(3, name="shop.ship")
        await on.fail(2, name="shop.bill", queue="money")
        await tell(on.store, origin(), *life("fine", T))
        await tell(on.store, origin(), *life("bare", T, "failed"))
        await tell(on.store, origin(), *life("other", T, "failed", engine="rq"))
        await tell(on.store, origin(), task("payload", "other", T, 2, "[]", False, [None, "AHt9"], "plain", engine="rq"))
        row = await on.plans.freeze(OLGA, "retry_task", {}, Source("all", TaskFilter(states=("failed", "succeeded"))), "because")
        assert (row.status, row.items, row.author, row.reason, row.source) == ("frozen", 5, "olga", "because", "all")
        assert len(row.digest) == 64
        assert [(group.engine, group.queue, group.name, group.items) for group in await plans.list_groups(on.store, row.id)] == [
            ("celery", "work", "shop.ship", 3), ("celery", "money", "shop.bill", 2),
        ]  # fmt: skip
        reasons = dict(row.excluded)
        assert reasons.pop("no rq agent with this capability is connected in production") == 1
        assert sum(reasons.values()) == 2
        assert {sample["task_id"] for sample in row.samples} == {"shop.ship-0", "shop.ship-1", "shop.ship-2", "shop.bill-0", "shop.bill-1"}
        assert await on.account(row) == {"waiting": 5}
        assert on.agent.frames == []


async def test_executing_needs_the_hash_that_was_seen(tmp_path: Path) -> None:
    async with stage(tmp_path) as on:
        await on.fail(2)
        row = await on.plans.freeze(OLGA, "retry_task", {}, ALL)
        with pytest.raises(BadInput):
            await on.plans.execute(OLGA, row.id, "0" * 64, Pace())
        with pytest.raises(NotAllowed):
            await on.plans.execute(Person("vera", "viewer"), row.id, row.digest, Pace())
        assert on.agent.frames == []
        await on.plans.execute(OLGA, row.id, row.digest, Pace())
        with pytest.raises(WrongState):
            await on.plans.execute(OLGA, row.id, row.digest, Pace())
        ended = await on.wait(row, "done")
        assert await on.account(ended) == {"done": 2}
        assert on.agent.items() == ["t-0", "t-1"], "oldest first"
        assert [frame["params"]["new_id"] for frame in on.agent.frames] == [new_id(row.key, 1), new_id(row.key, 2)]
        assert {frame["params"]["original"] for frame in on.agent.frames} == {"AHt9"}
        for _ in range(200):  # the plan's end is a row a moment after its state
            if len(rows := [word for word in await on.audit() if word[0].endswith("plan")]) == 3:
                break
            await asyncio.sleep(0.02)
        assert rows == [("freeze_plan", "done"), ("execute_plan", "done"), ("end_plan", "done")]


async def test_a_plan_takes_everything_that_matches_a_query_whatever_its_order(tmp_path: Path) -> None:
    async with stage(tmp_path) as on:
        await on.fail(30)
        query = parse("state:failed -name:other order:ran")
        row = await on.plans.freeze(OLGA, "retry_task", {}, Source("", TaskFilter(terms=query.terms, order=query.order)))
        assert row.items == 30


async def test_a_second_plan_does_not_run_again_what_was_run_again(tmp_path: Path) -> None:
    async with stage(tmp_path) as on:
        await on.fail(2)
        await tell(on.store, origin(), task("enqueued", "again", T, None, {"retry_of": "t-0"}))
        row = await on.plans.freeze(OLGA, "retry_task", {}, Source("", TaskFilter(states=("failed",))))
        assert (row.items, row.excluded) == (1, {"already retried": 1})


async def test_what_was_cancelled_is_put_back_in_order(tmp_path: Path) -> None:
    async with stage(tmp_path) as on:
        ids = [f"q-{number}" for number in range(3)]
        for number, id in enumerate(ids):
            at = T + number * SECOND
            await tell(
                on.store, origin(), task("enqueued", id, at, None, {"priority": 7}),
                task("payload", id, at, 2, "[]", False, [None, "AHt9"], "plain"),
            )  # fmt: skip
        row = await on.plans.freeze(OLGA, "cancel_task", {}, ALL)
        with pytest.raises(BadInput):
            await on.plans.execute(OLGA, row.id, "", Pace())
        await on.plans.execute(OLGA, row.id, row.digest, Pace())
        await on.wait(row, "done")
        found = await list_tasks(on.store, TaskFilter())
        assert all(of.cancel_asked_at for of in found.rows)
        assert await plans.list_cancelled(on.store, 1, 0) != []
        await tell(on.store, *(task("cancelled", id, T + 50 * SECOND, None, None, "revoked") for id in ids))
        assert await plans.list_cancelled(on.store, 1, 0) == []
        on.agent.frames.clear()
        back = await on.plans.undo(OLGA, row.id)
        assert (back.action, back.items, back.undo_of) == ("restore_task", 3, f"plan {row.id}")
        await on.plans.execute(OLGA, back.id, back.digest, Pace())
        await on.wait(back, "done")
        assert on.agent.items() == ids
        assert [frame["params"]["priority"] for frame in on.agent.frames] == [7, 7, 7]
        with pytest.raises(WrongState):
            await on.plans.undo(OLGA, back.id)


async def test_what_was_deleted_comes_back_as_it_was(tmp_path: Path) -> None:
    async with stage(tmp_path) as on:
        ids = await on.fail(5)
        await tell(on.store, origin(), task("enqueued", "child", T, None, {"parent_id": ids[0]}))
        before = [await get_task(on.store, id) for id in range(1, 6)]
        row = await on.plans.freeze(OLGA, "delete_task", {}, ALL)
        assert (row.items, row.excluded) == (5, {"state: queued": 1})
        await on.plans.execute(OLGA, row.id, row.digest, Pace())
        assert await on.account(await on.wait(row, "done")) == {"done": 5}
        assert [of.task_id for of in (await list_tasks(on.store, TaskFilter())).rows] == ["child"]
        assert on.agent.frames == []
        kept, counted = recount(connect(tmp_path / "z4j.db"))
        assert kept == counted
        back = await on.plans.undo(OLGA, row.id)
        await on.plans.execute(OLGA, back.id, back.digest, Pace())
        assert await on.account(await on.wait(back, "done")) == {"done": 5}
        assert [await get_task(on.store, id) for id in range(1, 6)] == before
        kept, counted = recount(connect(tmp_path / "z4j.db"))
        assert kept == counted


async def test_half_frozen_plans_do_not_outlive_a_restart(tmp_path: Path) -> None:
    async with stage(tmp_path) as on:
        fields: plans.NewPlan = {
            "key": "k" * 16,
            "action": "retry_task",
            "params": "{}",
            "source": "",
            "author": "",
            "reason": "",
            "undo_of": "",
            "at": T,
        }
        await on.store.write(lambda db: plans.add_plan(db, **fields))
        await on.plans.start()
        assert await on.store.fetch_all("SELECT id FROM plan") == []


@pytest.mark.parametrize(
    ("action", "params"),
    [("launch_rocket", {}), ("undelete_task", {"of": 1}), ("prioritise_task", {"level": "best"}), ("move_task", {"queue": " "})],
)
async def test_what_makes_no_sense_is_refused(tmp_path: Path, action: str, params: dict[str, Any]) -> None:
    async with stage(tmp_path) as on:
        with pytest.raises(BadInput):
            await on.plans.freeze(OLGA, action, params, ALL)
        assert await on.store.fetch_all("SELECT id FROM plan") == []


async def test_a_viewer_freezes_nothing_and_that_is_audited(tmp_path: Path) -> None:
    async with stage(tmp_path) as on:
        with pytest.raises(NotAllowed):
            await on.plans.freeze(Person("vera", "viewer"), "retry_task", {}, ALL)
        assert await on.audit() == [("retry_task", "refused")]


async def test_only_a_purge_that_was_done_can_be_undone(tmp_path: Path) -> None:
    async with stage(tmp_path) as on:
        row = commands.CommandRow(
            "c1", 1, "celery", "purge_queue", None, "", {}, "", "refused", {}, "olga", "", T, T, None, "", None, "production", "work"
        )
        with pytest.raises(WrongState):
            await on.plans.undo_purge(OLGA, row)
