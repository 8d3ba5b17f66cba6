# SPDX-License-Identifier: AGPL-3.0-or-later
"""The demo's taskiq scheduler: `taskiq scheduler taskiq_schedules:scheduler`. Labels in code, and entries in a Redis store."""

from __future__ import annotations

from taskiq import TaskiqScheduler
from taskiq.schedule_sources import LabelScheduleSource
from taskiq_redis import ListRedisScheduleSource
from taskiq_shop import URL, broker


@broker.task("recommend.refresh", schedule=[{"cron": "*/2 * * * *", "args": []}, {"cron": "0 5 * * *", "cron_offset": "Europe/Berlin"}])
async def refresh() -> int:
    return 1


scheduler = TaskiqScheduler(broker, [LabelScheduleSource(broker), ListRedisScheduleSource(URL)])
