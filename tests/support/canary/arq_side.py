# SPDX-License-Identifier: AGPL-3.0-or-later
"""arq with a cron job: `arq tests.support.canary.arq_side.WorkerSettings`; `python -m …` enqueues."""

from __future__ import annotations

import asyncio
import os
from typing import Any, ClassVar

from arq import create_pool, cron
from arq.connections import RedisSettings

import z4j_agent
import z4j_arq
from tests.support.canary.host import KNOWN, SIGNATURE, documented, execute, log_everything

REDIS = RedisSettings.from_dsn(os.environ["BROKER_URL"])
QUEUE = "arq:canary"


@documented
async def arq_login(
    ctx: dict[str, Any], user: str = "nobody", password: str = SIGNATURE["token"], link: str = "", bundle: Any = None,
    dsn: str = SIGNATURE["dsn"],
) -> Any:  # fmt: skip
    return execute("arq", user, password, link, bundle)


class WorkerSettings:
    functions: ClassVar = [arq_login]
    cron_jobs: ClassVar = [cron(arq_login, name="nightly", hour=2, minute=30)]
    redis_settings = REDIS
    queue_name = QUEUE
    poll_delay = 0.05
    max_tries = 1


log_everything("arq")
z4j_arq.install(WorkerSettings)


async def main() -> None:
    pool = await create_pool(REDIS, default_queue_name=QUEUE)
    sent = KNOWN["produced"]["arq"]
    await pool.enqueue_job("arq_login", *sent["args"], **sent["kwargs"])
    agent = z4j_agent.current()
    assert agent is not None
    agent.flush(20.0)


if __name__ == "__main__":
    asyncio.run(main())
