# SPDX-License-Identifier: AGPL-3.0-or-later
"""A scheduler and its desk over a real database, with agents that note what they are sent, and a clock the test moves."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.support.database import SECOND, T, database, tell
from z4j import clock
from z4j.agents.connections import AgentLink, Hub
from z4j.agents.outbox import Outbox
from z4j.live import Live
from z4j.operations.commands import Dispatch
from z4j.operations.schedule_request import ScheduleRequest
from z4j.operations.scheduler import Scheduler
from z4j.operations.schedules import ScheduleService
from z4j.store.access.audit import AuditLog
from z4j.store.schedules import fires, schedules
from z4j.store.schedules.fires import FireRow
from z4j.store.schedules.schedules import ScheduleRow
from z4j.store.sqlite.db import Store

NOON = T // (86_400 * SECOND) * 86_400 * SECOND + 43_200 * SECOND
"""Noon of the day of `T`."""


class Person:
    """Who asks."""

    def __init__(self, role: str = "operator", name: str = "ann") -> None:
        self.name, self.role, self.address = name, role, "127.0.0.1"


class House:
    """Everything that schedules need, without a network."""

    def __init__(self, store: Store, folder: Path) -> None:
        self.store, self.hub, self.live = store, Hub(), Live()
        self.outbox = Outbox(store, self.hub)
        self.dispatch = Dispatch(self.outbox, self.live, AuditLog(folder))
        self.scheduler = Scheduler(self.outbox, self.live.changed)
        self.desk = ScheduleService(self.dispatch, self.scheduler)
        self.at = NOON
        self.sent: list[dict[str, Any]] = []

    def agent(
        self, boot: str = "agent", capabilities: Mapping[tuple[str, str], str] | None = None, environment: str = "production",
        spool: str = "s1", allow: str = "all",
    ) -> AgentLink:  # fmt: skip
        """A connected agent; its frames go to `sent`."""
        able = {("celery", "run_task"): "any"} if capabilities is None else dict(capabilities)
        link = AgentLink(
            1, boot, spool, "worker", "w1", allow, frozenset(), "", True, self.sent.append, lambda code, why: None, able, environment
        )
        self.hub.connect(link)
        return link

    def move(self, seconds: float) -> int:
        """The clock goes on, or back."""
        self.at += int(seconds * SECOND)
        return self.at

    async def go(self, seconds: float = 0) -> None:
        """The clock goes on, and what is due is decided."""
        self.move(seconds)
        while await self.scheduler.fire_due(self.at):
            pass

    async def make(self, **changes: Any) -> int:
        """A schedule of z4j's own, every minute unless said otherwise."""
        id = await self.desk.create(Person(), schedule_request(**changes))
        assert id is not None
        return id

    async def row(self, id: int) -> ScheduleRow:
        found = await schedules.get_schedule(self.store, id)
        assert found is not None
        return found

    async def fires(self, id: int) -> list[FireRow]:
        """Oldest first."""
        return (await fires.list_fires(self.store, id))[::-1]

    async def outcomes(self, id: int) -> list[tuple[int, str]]:
        """(seconds after noon, outcome), oldest first."""
        return [((of.due_at - NOON) // SECOND, of.outcome) for of in await self.fires(id)]

    async def answer(self, frame: dict[str, Any], status: str = "done", **facts: Any) -> None:
        await tell(self.store, ["command", frame["id"], self.at, status, facts], at=self.at)


def schedule_request(**changes: Any) -> ScheduleRequest:
    made: dict[str, Any] = {
        "app": "shop", "environment": "production", "scheduler": "z4j", "engine": "celery", "name": "report", "kind": "interval",
        "expression": "60", "timezone": "UTC", "task_name": "shop.report", "args": [1], "kwargs": {"fast": True}, "queue": "work",
    }  # fmt: skip
    return ScheduleRequest(**(made | changes))


@asynccontextmanager
async def house(folder: Path) -> AsyncIterator[House]:
    async with database(folder) as store:
        made = House(store, folder)
        clock.use(lambda: made.at * 1_000)
        try:
            yield made
        finally:
            clock.use()
