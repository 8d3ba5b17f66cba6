# SPDX-License-Identifier: AGPL-3.0-or-later
"""Orders with arq, one at a time: `arq tests.support.many.arq_side.WorkerSettings`; `python -m … QUEUE N` enqueues."""

from __future__ import annotations

import asyncio
import os
import sys
from typing import Any, ClassVar

from arq import create_pool
from arq.connections import RedisSettings

import z4j_agent
import z4j_arq
from tests.support.many.orders import execute

REDIS = RedisSettings.from_dsn(os.environ["BROKER_URL"])


async def arq_order(ctx: dict[str, Any], number: int) -> int:
    return execute("arq", number)


class WorkerSettings:
    functions: ClassVar = [arq_order]
    redis_settings = REDIS
    queue_name = "arq:orders"  # Celery has a key of the plain name in the same Redis
    poll_delay = 0.05
    max_jobs = 1


z4j_arq.install(WorkerSettings)


async def main() -> None:
    pool = await create_pool(REDIS, default_queue_name=f"arq:{sys.argv[1]}")
    for number in range(int(sys.argv[2])):
        await pool.enqueue_job("arq_order", number)
        await asyncio.sleep(0.002)  # jobs of one millisecond have no order
    agent = z4j_agent.current()
    assert agent is not None
    agent.flush(20.0)


if __name__ == "__main__":
    asyncio.run(main())
