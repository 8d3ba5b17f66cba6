# SPDX-License-Identifier: Apache-2.0
"""What only arq has: aborted jobs, jobs that are gone when a worker comes to them, cron, ids that come again, other serialisers.

`python own_app.py` enqueues what it reads on stdin: a line of JSON `[name, args, options]` is answered with the job's id, "none" where arq
refused it. Every kind of value JSON has no word for is spelled `{"set": […]}`.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any, ClassVar

from arq import Retry, create_pool, cron, func
from arq.connections import RedisSettings
from arq.jobs import Job
from arq.worker import Function

import z4j_arq

REDIS = RedisSettings.from_dsn(os.environ["BROKER_URL"])
FOLDER = Path(os.environ["FOLDER"])


async def echo(ctx: dict[str, Any], value: Any) -> Any:
    return value


async def kind_of(ctx: dict[str, Any], value: Any) -> str:
    return type(value).__name__


async def login(ctx: dict[str, Any], user: str, password: str) -> str:
    return user


async def spend(ctx: dict[str, Any], basket: dict[str, int]) -> int:
    """Changes what it was given."""
    total = sum(basket.values())
    basket.clear()
    return total


async def again(ctx: dict[str, Any]) -> None:
    raise Retry


async def wait(ctx: dict[str, Any], seconds: float) -> str:
    await asyncio.sleep(seconds)
    return f"try {ctx['job_try']}"


async def stubborn(ctx: dict[str, Any]) -> str:
    try:
        await asyncio.sleep(30)
    except asyncio.CancelledError:
        return "cleaned up"
    return "never"


async def cancel_itself(ctx: dict[str, Any]) -> str:
    if ctx["job_try"] == 1:
        raise asyncio.CancelledError
    return "second"


class Unshowable:
    def __repr__(self) -> str:
        raise RuntimeError("no words for this")


async def unshowable(ctx: dict[str, Any]) -> Unshowable:
    return Unshowable()


async def ask_in_vain(ctx: dict[str, Any]) -> None:
    try:
        raise ConnectionError("mail host refused")
    except ConnectionError:
        raise Retry  # noqa: B904 -- as it is often written


async def leave(ctx: dict[str, Any]) -> None:
    raise SystemExit(3)


async def tick(ctx: dict[str, Any]) -> str:
    return "tick"


FUNCTIONS: list[Function] = [
    *(func(function) for function in (echo, kind_of, login, spend, wait, stubborn, cancel_itself, unshowable, ask_in_vain, leave)),
    func(again, max_tries=2),
    func(echo, name="once", keep_result=0),
    func(wait, name="brief", timeout=0.2, keep_result=0),
]


class WorkerSettings:
    functions = FUNCTIONS
    redis_settings = REDIS
    queue_name = "work"
    poll_delay = 0.05
    allow_abort_jobs = True


class CronSettings(WorkerSettings):
    cron_jobs: ClassVar = [cron(tick, second=None, microsecond=1), cron(tick, name="fixed", second=None, job_id="fixed")]
    functions = FUNCTIONS
    redis_settings = REDIS
    queue_name = "cron"
    poll_delay = 0.05


async def refuse_to_start(ctx: dict[str, Any]) -> None:
    if (FOLDER / "hold").exists():
        (FOLDER / "held").touch()
        await asyncio.sleep(30)
    if (FOLDER / "refuse").exists():
        raise LookupError("the database is away")


class HookSettings:
    functions = FUNCTIONS
    redis_settings = REDIS
    queue_name = "hooked"
    poll_delay = 0.05
    on_job_start = refuse_to_start


class OnceSettings:
    functions = FUNCTIONS
    redis_settings = REDIS
    queue_name = "once"
    poll_delay = 0.05
    retry_jobs = False


def write_json(message: dict[str, Any]) -> bytes:
    if not message.keys() <= {"t", "f", "a", "k", "et", "s", "r", "st", "ft", "q", "id"}:
        raise TypeError("a strict serialiser")
    return json.dumps(message, default=str).encode()


class JsonSettings:
    functions = FUNCTIONS
    redis_settings = REDIS
    queue_name = "json"
    poll_delay = 0.05
    job_serializer = staticmethod(write_json)
    job_deserializer = staticmethod(json.loads)


z4j_arq.install(None if "unknowing" in sys.argv else WorkerSettings)


async def serve() -> None:
    pool = await create_pool(REDIS, default_queue_name="work")
    as_json = await create_pool(REDIS, default_queue_name="json", job_serializer=write_json, job_deserializer=json.loads)
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        name, args, options = json.loads(line)
        if name == "abort":
            queue = options.get("_queue_name", "work")
            print(await Job(args[0], pool, _queue_name=queue).abort(timeout=10, poll_delay=0.05), flush=True)
            continue
        args = [set(arg["set"]) if isinstance(arg, dict) and "set" in arg else arg for arg in args]
        job = await (as_json if options.pop("json", False) else pool).enqueue_job(name, *args, **options)
        print(job.job_id if job else "none", flush=True)


if __name__ == "__main__":
    asyncio.run(serve())
