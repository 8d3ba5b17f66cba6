# SPDX-License-Identifier: AGPL-3.0-or-later
"""The demo's arq application: webhooks. `main()` enqueues until SIGTERM; `arq arq_shop.WorkerSettings` runs the tasks."""

from __future__ import annotations

import asyncio
import os
import random
from typing import Any, ClassVar

from arq import Retry, create_pool, cron
from arq.connections import RedisSettings
from words import happens, seconds, token

import z4j_arq

REDIS = RedisSettings.from_dsn(os.environ["ARQ_URL"])


async def deliver_webhook(ctx: dict[str, Any], endpoint: str, event: str, webhook_secret: str) -> int:
    """Calls a customer's address; it is tried three times."""
    await asyncio.sleep(seconds(20, 150))
    if happens(0.2) and ctx["job_try"] < 3:
        raise Retry(defer=ctx["job_try"] * 2)
    if happens(0.04):
        raise ConnectionError(f"{endpoint} answered 502 to {event}")
    return 200


async def enrich_lead(ctx: dict[str, Any], lead: int) -> dict[str, Any]:
    await asyncio.sleep(seconds(40, 200))
    if lead % 17 == 0:
        raise ValueError(f"lead {lead} has no country")
    return {"lead": lead, "score": lead % 100}


async def sweep_drafts(ctx: dict[str, Any]) -> int:
    await asyncio.sleep(seconds(5, 30))
    return 3


class WorkerSettings:
    redis_settings = REDIS
    functions: ClassVar[list[Any]] = [deliver_webhook, enrich_lead]
    cron_jobs: ClassVar[list[Any]] = [cron(sweep_drafts, second={0, 30})]
    max_tries = 3
    job_completion_wait = 5


z4j_arq.install(WorkerSettings)


async def produce() -> None:
    pool = await create_pool(REDIS)
    for number in range(1, 1_000_000_000):
        event = random.choice(("order.paid", "order.sent", "refund.created"))
        await pool.enqueue_job("deliver_webhook", f"https://hooks.example/{number % 40}", event, webhook_secret=token())
        if number % 2:
            await pool.enqueue_job("enrich_lead", number)
        if number % 7 == 0:
            await pool.enqueue_job("enrich_lead", number, _defer_by=12)
        await asyncio.sleep(0.9)


def main() -> None:
    asyncio.run(produce())
