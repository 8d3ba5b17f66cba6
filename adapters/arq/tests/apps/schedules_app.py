# SPDX-License-Identifier: Apache-2.0
"""The arq application of the schedules' contract: a worker with cron jobs."""

from __future__ import annotations

import os
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

from arq import cron
from arq.connections import RedisSettings

import z4j_arq


async def succeed(ctx: dict[str, Any], value: Any = None) -> Any:
    return value


async def every(ctx: dict[str, Any]) -> None:
    """Every other second."""


async def login(ctx: dict[str, Any], user: str, password: str) -> str:
    return user


class WorkerSettings:
    functions: ClassVar = [login]
    cron_jobs: ClassVar = [cron(succeed, hour=2, minute=30), cron(every, second=set(range(0, 60, 2)))]
    redis_settings = RedisSettings.from_dsn(os.environ["BROKER_URL"])
    queue_name = "work"
    poll_delay = 0.1
    timezone = ZoneInfo("UTC")


def refuse(message: Any) -> bytes:
    raise ValueError("no serialiser for it")


async def started(ctx: dict[str, Any]) -> None:
    """At every start, and in the night."""


class BrokenSettings(WorkerSettings):
    """What its cron enqueues cannot be written."""

    functions: ClassVar = WorkerSettings.functions
    cron_jobs: ClassVar = WorkerSettings.cron_jobs
    redis_settings = WorkerSettings.redis_settings
    queue_name = "broken"
    poll_delay = 0.1
    job_serializer = refuse


class LocalSettings:
    """Without a zone of its own, and with a job that runs at the start."""

    cron_jobs: ClassVar = [cron(started, hour=4, run_at_startup=True), cron(succeed, weekday="sun", second={5, 70})]
    redis_settings = WorkerSettings.redis_settings
    queue_name = "work"


class TwiceSettings:
    """One function at two times, for which arq has one name."""

    cron_jobs: ClassVar = [cron(every, second=set(range(0, 60, 4))), cron(every, second=set(range(2, 60, 4)))]
    redis_settings = WorkerSettings.redis_settings
    queue_name = "work"
    timezone = WorkerSettings.timezone


z4j_arq.install(WorkerSettings)
