# SPDX-License-Identifier: AGPL-3.0-or-later
"""Before a task is called lost its engine is asked, and what it says is believed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.database import SECOND, T, database, task, tell
from tests.unit.background.test_lost_tasks import LATER, gone
from tests.unit.background.workers import Heard, beat, connect_agent, hear, leave, states
from z4j.agents.command_results import Answer
from z4j.agents.connections import AgentLink, Hub
from z4j.agents.outbox import Outbox
from z4j.agents.reconcile import AGAIN_US, ANSWER_US, OUTSTANDING, Reconcile
from z4j.background.duties import BackgroundDuties
from z4j.background.lost_tasks import SETTLE_US
from z4j.exceptions import StoreError
from z4j.rules.command_ids import parse
from z4j.store.sqlite.db import Store
from z4j.store.tasks.tasks import get_task

pytestmark = pytest.mark.anyio
AT = LATER + SETTLE_US + 3


class Asked(list[dict[str, Any]]):
    """What an agent was sent."""

    def ids(self) -> dict[str, str]:
        """Task id → id of the newest question about it."""
        return {frame["params"]["task_id"]: frame["id"] for frame in self}


def agent(hub: Hub, boot: str = "newer", environment: str = "production", app_id: int = 1) -> Asked:
    asked = Asked()
    hub.connect(
        AgentLink(
            app_id, boot, "s1", "worker", "w1", "read", frozenset(), "", True, asked.append, lambda code, why: None,
            {("celery", "lookup_task"): "any"}, environment,
        )
    )  # fmt: skip
    return asked


class House:
    """Background duties that query engines, over a database with one vanished process."""

    def __init__(self, store: Store) -> None:
        self.store, self.hub = store, Hub()
        self.outbox = Outbox(store, self.hub)
        self.reconcile = Reconcile(self.outbox, Heard())
        self.keeping = BackgroundDuties(store, Heard(), reconcile=self.reconcile)

    async def answer(self, app_id: int, id: str, status: str, fields: dict[str, Any], spool: str = "s1") -> None:
        """An agent of this app and folder answers."""
        found = parse(id)
        assert found is not None
        await self.outbox.answered(app_id, [Answer(found, status, fields, spool)])

    async def look(self, at: int) -> int:
        await hear(self.store, "newer", at, beat())
        return await self.keeping.lost_tasks.find_lost(at)


async def test_what_the_engine_knows_becomes_the_end(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        house = House(store)
        asked = agent(house.hub)
        await gone(store)
        assert await house.look(AT) == 0
        assert set(asked.ids()) == {"a", "b"}
        assert {frame["action"] for frame in asked} == {"lookup_task"}
        assert all(frame["id"].startswith("lookup.") for frame in asked)
        assert await house.look(AT + SECOND) == 0
        assert len(asked) == 2, "each is asked about once at a time"
        await house.answer(1, asked.ids()["a"], "accepted", {})
        await house.answer(1, asked.ids()["a"], "done", {"state": "succeeded"})
        await house.answer(1, asked.ids()["b"], "done", {"state": "failed", "engine_state": "FAILURE"})
        assert await states(store) == {"a": "succeeded", "b": "failed", "c": "succeeded"}
        detail = await get_task(store, 2)
        assert detail is not None
        assert "before it reported the reason" in detail.row.error
        assert await house.look(AT + 2 * SECOND) == 0


async def test_what_lies_in_the_broker_waits_again(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        house = House(store)
        asked = agent(house.hub)
        await gone(store)
        await house.look(AT)
        for id in asked.ids().values():
            await house.answer(1, id, "done", {"state": "queued"})
        assert await states(store) == {"a": "queued", "b": "queued", "c": "succeeded"}
        await tell(store, task("started", "a", LATER + 60 * SECOND, run="newer.9"))
        assert (await states(store))["a"] == "running"


@pytest.mark.parametrize(("status", "facts", "words"), [
    ("done", {"state": "unknown", "engine_state": "PENDING"}, "does not have the task: PENDING"),
    ("refused", {"error": "too busy"}, "does not have the task: too busy"),
    (None, {}, "did not respond"),
])  # fmt: skip
async def test_what_nobody_knows_is_lost_with_the_evidence(tmp_path: Path, status: str | None, facts: dict[str, Any], words: str) -> None:
    async with database(tmp_path) as store:
        house = House(store)
        asked = agent(house.hub)
        await gone(store)
        assert await house.look(AT) == 0
        if status is not None:
            await house.answer(1, asked.ids()["a"], status, facts)
            await house.answer(1, asked.ids()["b"], status, facts)
        assert await house.look(AT + ANSWER_US + 1) == 2
        detail = await get_task(store, 1)
        assert detail is not None
        assert detail.row.state == "lost"
        assert detail.row.error.startswith("The process of the task has ended")
        assert "on h1: connection lost." in detail.row.error
        assert words in detail.row.error


async def test_without_anybody_to_ask_it_is_lost_at_once(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        house = House(store)
        strangers = [agent(house.hub, "staging", "staging"), agent(house.hub, "other", app_id=2)]
        await gone(store)
        assert await house.look(AT) == 2
        assert strangers == [[], []]
        detail = await get_task(store, 1)
        assert detail is not None
        assert "No connected agent" in detail.row.error


async def test_what_still_runs_is_asked_again_later_and_not_called_lost(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        house = House(store)
        asked = agent(house.hub)
        await gone(store)
        await house.look(AT)
        for id in asked.ids().values():
            await house.answer(1, id, "done", {"state": "running"})
        assert await house.look(AT + 2 * ANSWER_US) == 0
        assert len(asked) == 2
        assert await house.look(max(AT, 0) + 10**15) == 0, "its hour has come"
        assert len(asked) == 4
        assert (await states(store))["a"] == "running"


async def test_a_process_that_left_is_asked_about_without_proof_and_never_called_lost_for_it(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        house = House(store)
        asked = agent(house.hub, "producer")
        await connect_agent(store, "b00t", T)
        await tell(store, task("started", "a", T + SECOND))
        await leave(store, "b00t", LATER)
        assert await house.keeping.lost_tasks.find_lost(LATER + SETTLE_US) == 0
        assert asked == [], "it may come back"
        assert await house.keeping.lost_tasks.find_lost(LATER + SETTLE_US + 1) == 0
        assert list(asked.ids()) == ["a"]
        await house.answer(1, asked.ids()["a"], "done", {"state": "unknown"})
        assert await house.keeping.lost_tasks.find_lost(LATER + SETTLE_US + AGAIN_US) == 0
        assert (await states(store))["a"] == "running"
        await tell(store, task("succeeded", "a", LATER, started_at=T + SECOND))
        await house.keeping.lost_tasks.find_lost(LATER + SETTLE_US + AGAIN_US)
        assert not house.reconcile._questions, "what has ended is forgotten"


async def test_an_engine_is_not_flooded(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        house = House(store)
        asked = agent(house.hub)
        await gone(store)
        await tell(store, *(task("started", f"t{number}", T + SECOND) for number in range(3 * OUTSTANDING)))
        assert await house.look(AT) == 0
        assert len(asked) == OUTSTANDING
        for id in asked.ids().values():
            await house.answer(1, id, "done", {"state": "succeeded"})
        assert await house.look(AT + SECOND) == 0
        assert len(asked) == 2 * OUTSTANDING


async def test_answers_nobody_waits_for_change_nothing(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        house = House(store)
        asked = agent(house.hub)
        await gone(store)
        await house.look(AT)
        before = await states(store)
        await house.answer(2, asked.ids()["a"], "done", {"state": "succeeded"})
        await house.answer(1, asked.ids()["a"], "done", {"state": "succeeded"}, spool="another")
        await house.answer(1, "lookup.made-up", "done", {"state": "succeeded"})
        assert await states(store) == before


async def test_a_full_disk_is_no_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with database(tmp_path) as store:
        house = House(store)
        asked = agent(house.hub)
        await gone(store)
        await house.look(AT)

        async def fail(*_: Any, **__: Any) -> Any:
            raise StoreError("The disk is full.")

        with monkeypatch.context() as full:
            full.setattr(store, "write", fail)
            await house.answer(1, asked.ids()["a"], "done", {"state": "succeeded"})
        assert (await states(store))["a"] == "running"
        await house.look(AT + SECOND)
        assert len(asked) == 3, "asked again"
