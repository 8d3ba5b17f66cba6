# SPDX-License-Identifier: AGPL-3.0-or-later
"""Actions of users when the demo opens: plans, a paused queue and schedules of z4j's own, through the same operations as the pages."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from z4j import clock, logs
from z4j.agents.connections import Need
from z4j.clock import DAY_US
from z4j.exceptions import Z4jError
from z4j.operations.commands import CommandRequest
from z4j.operations.plans import Source
from z4j.operations.schedule_request import ScheduleRequest
from z4j.rules.plans import Pace
from z4j.store.fleet import apps
from z4j.store.tasks.task_search import TaskFilter
from z4j.web.auth.authentication import Identity

if TYPE_CHECKING:
    from z4j.app import Server

AMELIA: Final = Identity("amelia", "operator", "session", "127.0.0.1")
JONAS: Final = Identity("jonas", "operator", "session", "127.0.0.1")
AGENTS: Final = 18
"""Connected agents that are waited for, of 20."""
WAIT_S: Final = 30.0
OWN: Final = (
    ScheduleRequest(
        "warehouse", "production", "z4j", "huey", "warm the front page", "interval", "60", "", "warehouse.warm_cache", args=["/start"]
    ),
    ScheduleRequest("media", "production", "z4j", "taskiq", "train for the weekend", "cron", "30 17 * * fri", "Europe/Berlin",
                    "recommend.train", args=["weekend"], catch_up="once", overlap="skip"),
)  # fmt: skip


async def open_demo(server: Server) -> None:
    """Begins once the server listens, and returns at once."""
    task = asyncio.create_task(_open(server))
    task.add_done_callback(_ended)
    server.background_tasks.add(task)


def _ended(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        logs.unexpected("-", "demo", error)


async def _open(server: Server) -> None:
    until = clock.ticks() + int(WAIT_S * 1_000_000)
    while len(server.hub.all()) < AGENTS and clock.ticks() < until:  # noqa: ASYNC110 -- once, at the start of a demo
        await asyncio.sleep(0.1)
    await asyncio.sleep(0.5)  # discoveries follow the hello
    for step in (_retry_invoices, _cancel_mails, _prepare_charges, _pause_images, _own_schedules):
        try:
            await step(server)
        except Z4jError as error:  # a visitor was faster, or an agent is late: the demo continues without this step
            logs.unexpected("-", f"demo: {step.__name__}", error)


async def _retry_invoices(server: Server) -> None:
    """A plan that was executed."""
    since = clock.now() - 9 * DAY_US
    found = TaskFilter(states=("failed",), name="documents.render_invoice", environment="production", since=since)
    source = Source("state:failed name:documents.render_invoice env:production, last 9 days", found)
    plan = await server.plans.freeze(AMELIA, "retry_task", {}, source, "the disk has room again")
    await server.plans.execute(AMELIA, plan.id, plan.digest, Pace(per_minute=20))


async def _cancel_mails(server: Server) -> None:
    """A plan that can be undone."""
    found = TaskFilter(states=("queued",), queue="emails", environment="production")
    plan = await server.plans.freeze(JONAS, "cancel_task", {}, Source("state:queued queue:emails env:production", found), "wrong template")
    await server.plans.execute(JONAS, plan.id, plan.digest, Pace())


async def _prepare_charges(server: Server) -> None:
    """A plan that waits until a user executes it: the tasks that failed in the bad release."""
    now = clock.now()
    found = TaskFilter(states=("failed",), name="billing.charge", environment="production", since=now - 4 * DAY_US, until=now - 2 * DAY_US)
    await server.plans.freeze(
        AMELIA, "retry_task", {}, Source("state:failed name:billing.charge env:production", found), "2026.12.0 was taken back"
    )


async def _pause_images(server: Server) -> None:
    media = next(app.id for app in await apps.list_apps(server.store) if app.name == "media")
    need = Need(media, "dramatiq", "pause_queue", "production", queue="images")
    await server.dispatch.submit(
        JONAS, CommandRequest(need, "queue dramatiq:images", {"queue": "images"}, reason="maintenance of the store")
    )


async def _own_schedules(server: Server) -> None:
    for request in OWN:
        await server.schedules.create(AMELIA, request)
