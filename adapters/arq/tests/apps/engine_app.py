# SPDX-License-Identifier: Apache-2.0
"""The arq application of the contract: one function per way a job can end. `python engine_app.py` enqueues what it reads on stdin:
a line of JSON `[kind, args, kwargs, options]` is answered with the task id.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import os
import sys
from typing import Any, ClassVar

from arq import Retry, create_pool, func
from arq.connections import RedisSettings

import z4j_agent
import z4j_arq
from z4j_agent.conformance import other_tools

REDIS = RedisSettings.from_dsn(os.environ["BROKER_URL"])
QUEUE = "work"


async def succeed(ctx: dict[str, Any], value: Any) -> Any:
    return value


async def fail(ctx: dict[str, Any], value: str) -> None:
    raise ValueError(value)


async def retry(ctx: dict[str, Any]) -> str:
    if ctx["job_try"] == 1:
        try:
            raise ConnectionError("mail host refused")
        except ConnectionError as error:
            raise Retry(defer=0.1) from error
    return "second"


async def wait(ctx: dict[str, Any], seconds: float) -> float:
    """Waits for the given time, in seconds."""
    await asyncio.sleep(seconds)
    return seconds


async def log(ctx: dict[str, Any], number: int, password: str) -> int:
    logging.getLogger("shop.orders").warning("charging order %s", number)
    logging.getLogger("shop.orders").error("password=%s", password)
    return number


async def secret(ctx: dict[str, Any], user: str, password: str) -> dict[str, str]:
    return {"user": user, "password": password, "proof": hashlib.sha256(password.encode()).hexdigest()[:8]}


async def spawn(ctx: dict[str, Any]) -> str:
    job = await ctx["redis"].enqueue_job("contract.succeed", "child")
    return str(job.job_id)


async def note(ctx: dict[str, Any], order: int, password: str) -> int:
    z4j_agent.annotate(order=order, password=password)
    z4j_agent.progress(1, 2, "half")
    await asyncio.sleep(0)
    z4j_agent.progress(2, 2, "all")
    return order


async def limit(ctx: dict[str, Any]) -> None:
    await asyncio.sleep(30)


async def unkept(ctx: dict[str, Any]) -> Any:
    return lambda: None


FUNCTIONS = (succeed, fail, retry, wait, log, secret, spawn, note, unkept)


class WorkerSettings:
    functions: ClassVar = [
        *(func(function, name=f"contract.{function.__name__}") for function in FUNCTIONS),
        func(limit, name="contract.limit", timeout=0.3),
    ]
    redis_settings = REDIS
    queue_name = QUEUE
    poll_delay = 0.05
    max_jobs = int(os.environ.get("MAX_JOBS", "10"))


OTHER_SETTINGS = {"functions": WorkerSettings.functions, "redis_settings": REDIS, "queue_name": "other", "poll_delay": 0.05}


def instrument() -> None:
    """A span around each job, in the hooks of arq."""
    spans = other_tools.OwnSpans()

    async def begin(ctx: dict[Any, Any]) -> None:
        spans.begin()

    async def end(ctx: dict[Any, Any]) -> None:
        spans.end()

    WorkerSettings.on_job_start, WorkerSettings.on_job_end = staticmethod(begin), staticmethod(end)  # type: ignore[attr-defined]


other_tools.use(other_tools.BEFORE, instrument)
if "unknowing" not in sys.argv:
    z4j_arq.install(WorkerSettings)
else:
    z4j_arq.install()
other_tools.use(other_tools.AFTER, instrument)


async def serve() -> None:
    pool = await create_pool(REDIS, default_queue_name=QUEUE)
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        kind, args, kwargs, options = json.loads(line)
        job = await pool.enqueue_job(f"contract.{kind}", *args, **kwargs, **options)
        print(job.job_id if job else "none", flush=True)


if __name__ == "__main__":
    asyncio.run(serve())
