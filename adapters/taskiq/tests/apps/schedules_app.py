# SPDX-License-Identifier: Apache-2.0
# mypy: disable-error-code="untyped-decorator, misc"
"""The taskiq application of the schedules' contract. SOURCES says where entries come from: labels, redis, or both. `python
schedules_app.py seed` puts two entries into Redis, as an application does once; any other word is done there by taskiq's own API.
"""

from __future__ import annotations

import asyncio
import os
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

from taskiq import ScheduledTask, ScheduleSource, SimpleRetryMiddleware, TaskiqEvents, TaskiqScheduler, TaskiqState
from taskiq.exceptions import ScheduledTaskCancelledError
from taskiq.schedule_sources import LabelScheduleSource
from taskiq_redis import ListQueueBroker, ListRedisScheduleSource

import z4j_taskiq

URL, SOURCES = os.environ["BROKER_URL"], os.environ.get("SOURCES", "labels")
HAS_LABELS, HAS_REDIS = SOURCES in ("labels", "both"), SOURCES in ("redis", "both")
ZONE = "Europe/Berlin"

broker = ListQueueBroker(URL, queue_name="work", socket_timeout=None)
broker.add_middlewares(SimpleRetryMiddleware())
z4j_taskiq.install(broker)


def labels(*entries: dict[str, Any]) -> list[dict[str, Any]]:
    return list(entries) if HAS_LABELS else []


@broker.task(
    "succeed",
    schedule=labels(
        {"cron": "30 2 * * *", "cron_offset": ZONE, "schedule_id": "nightly"},
        {"interval": 1, "schedule_id": "every", "args": [1]},
    ),
)
async def succeed(value: Any = None) -> Any:
    return value


@broker.task("login")
async def login(user: str, password: str) -> str:
    return user


MORE = (
    {"cron": "0 12 * * 1"},
    {"cron": "0 12 */10 * 5"},
    {"cron": "0 12 13 * 5", "cron_offset": timedelta(hours=2)},
    {"cron": "0 12 * jan *"},
    {"cron": "0 12 * * * *"},
    {"interval": timedelta(minutes=90)},
    {"time": datetime(2035, 1, 1, tzinfo=UTC), "schedule_id": "new-year"},
)


@broker.task("more", schedule=labels(*MORE) if os.environ.get("MORE") else [], priority=3)
async def more() -> None:
    pass


class Holding(LabelScheduleSource):
    """One that cancels what it does not want sent."""

    def pre_send(self, task: ScheduledTask) -> None:
        if task.labels.get("held"):
            raise ScheduledTaskCancelledError


@broker.task("held", held="yes", schedule=labels({"interval": 1, "schedule_id": "held"}) if os.environ.get("MORE") else [])
async def held() -> None:
    pass


redis_source = ListRedisScheduleSource(URL)
sources: list[ScheduleSource] = [*([Holding(broker)] if HAS_LABELS else []), *([redis_source] if HAS_REDIS else [])]
scheduler = TaskiqScheduler(broker, sources)


@broker.on_event(TaskiqEvents.WORKER_STARTUP)
async def stay_awake(state: TaskiqState) -> None:
    loop = asyncio.get_running_loop()

    def wake() -> None:
        state.waker = loop.call_later(0.1, wake)

    wake()


if os.environ.get("SENDS"):

    @broker.on_event(TaskiqEvents.CLIENT_STARTUP)
    async def send_at_start(state: TaskiqState) -> None:
        """Also in the scheduler's process, before its loop is made."""
        await succeed.kiq("begin")


def entry(**more: Any) -> ScheduledTask:
    return ScheduledTask(**{"task_name": "succeed", "labels": {}, "args": [], "kwargs": {}, **more})


async def act(what: str) -> None:
    await broker.startup()
    if what == "seed":
        await redis_source.add_schedule(entry(schedule_id="every", interval=1))
        await redis_source.add_schedule(entry(schedule_id="nightly", cron="30 2 * * *", cron_offset=ZONE))
    elif what == "ahead":
        await redis_source.add_schedule(entry(schedule_id="ahead", time=datetime(2035, 1, 1, 12, tzinfo=UTC)))
        await redis_source.add_schedule(entry(schedule_id="retry", time=datetime(2035, 1, 1, tzinfo=UTC), labels={"_retries": 1}))
    elif what == "shown":
        print(sorted(task.schedule_id for task in await redis_source.get_schedules()), flush=True)
    await broker.shutdown()


if __name__ == "__main__":
    asyncio.run(act(sys.argv[1]))
