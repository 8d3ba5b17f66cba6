# SPDX-License-Identifier: AGPL-3.0-or-later
"""A database with alerts: a channel, a rule, and looks at findings."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tests.support.database import database
from tests.unit.rules.alerts.examples import T, at_once, finding
from z4j import clock
from z4j.live import Live
from z4j.operations.alerts.actions import AlertActions
from z4j.operations.alerts.delivery import Delivery
from z4j.operations.alerts.service import Alerts
from z4j.rules.findings.finding import Finding, Scope
from z4j.store.access.audit import AuditLog
from z4j.store.alerts import alerts, messages
from z4j.store.alerts.alerts import StoredAlert
from z4j.store.alerts.messages import Message
from z4j.store.sqlite.db import Store


@dataclass(frozen=True)
class Person:
    name: str = "ann"
    role: str = "admin"
    address: str = ""


ANN = Person()
OLGA = Person("olga", "operator")
VERA = Person("vera", "viewer")


def at(finding: Finding, since: int = T, found_at: int | None = None) -> Finding:
    return replace(finding, since=since, found_at=found_at or since)


@dataclass
class Stage:
    store: Store
    live: Live
    actions: AlertActions
    alerts: Alerts
    delivery: Delivery

    async def channel(self, url: str = "http://127.0.0.1:9/x", name: str = "hook", **more: Any) -> int:
        return await self.actions.put_channel(ANN, None, **{"name": name, "kind": "webhook", "url": url, "key": "secret"} | more)

    async def rule(self, *channels: int, **more: Any) -> int:
        return await self.actions.put_rule(ANN, None, at_once(**{"channels": channels} | more))

    async def look(self, found: Iterable[Finding] = (), time: int = T) -> None:
        await self.alerts.round(tuple(found), time)

    async def open(self) -> list[StoredAlert]:
        return await alerts.list_open(self.store)

    async def all(self) -> list[StoredAlert]:
        return await alerts.list_alerts(self.store, None)

    async def messages(self) -> list[Message]:
        """In the order in which they were made."""
        return sorted(await messages.list_messages(self.store, None), key=lambda each: (each.created_at, each.due_at, each.channel))

    async def deliver(self, time: int | None = None) -> None:
        await self.delivery.round(time or clock.now())
        await self.delivery.settle()


@asynccontextmanager
async def stage(folder: Path) -> AsyncIterator[Stage]:
    async with database(folder) as store:
        live, log = Live(), AuditLog(folder)
        await log.start(store, T)
        actions = AlertActions(store, live, log, folder)
        delivery = Delivery(store, live, lambda: "https://z4j.example", actions.link_to_acknowledge)
        try:
            yield Stage(store, live, actions, Alerts(store, live), delivery)
        finally:
            await delivery.close()
            await log.close(store, T)


EMAILS = at(finding())
OTHER = at(finding(scope=Scope("other", "production", "rq")))
