# SPDX-License-Identifier: Apache-2.0
import asyncio

from app import WorkerSettings
from arq import create_pool


async def main() -> None:
    redis = await create_pool(WorkerSettings.redis_settings)
    job = await redis.enqueue_job("add", 2, 3)
    print(await job.result(timeout=20) if job else "it is enqueued already")


asyncio.run(main())
