# SPDX-License-Identifier: Apache-2.0
"""The SAQ application of the contract. `python app.py` enqueues what it reads: a line of JSON `[kind, kwargs]` is answered with the key."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import os
import sys
from typing import Any

import z4j_saq
from saq import Queue

import z4j_agent

queue = Queue.from_url(os.environ["BROKER_URL"], name="work")
z4j_saq.install(queue)


async def succeed(ctx: dict[str, Any], *, value: Any) -> Any:
    return value


async def fail(ctx: dict[str, Any], *, value: str) -> None:
    raise ValueError(value)


async def retry(ctx: dict[str, Any]) -> str:
    if ctx["job"].attempts == 1:
        raise ConnectionError("mail host refused")
    return "second"


async def wait(ctx: dict[str, Any], *, seconds: float) -> float:
    await asyncio.sleep(seconds)
    return seconds


async def log(ctx: dict[str, Any], *, number: int, password: str) -> int:
    logging.getLogger("shop.orders").warning("charging order %s", number)
    logging.getLogger("shop.orders").error("password=%s", password)
    return number


async def secret(ctx: dict[str, Any], *, user: str, password: str) -> dict[str, str]:
    return {"user": user, "password": password, "proof": hashlib.sha256(password.encode()).hexdigest()[:8]}


async def note(ctx: dict[str, Any], *, order: int, password: str) -> int:
    z4j_agent.annotate(order=order, password=password)
    z4j_agent.progress(1, 2, "half")
    z4j_agent.progress(2, 2, "all")
    return order


async def spawn(ctx: dict[str, Any]) -> str:
    job = await queue.enqueue("succeed", value="child")
    return job.key if job else ""


FUNCTIONS = [succeed, fail, retry, wait, log, secret, spawn, note]
settings = {"queue": queue, "functions": FUNCTIONS, "timers": {"schedule": 1, "abort": 0.2}}


async def serve() -> None:
    await queue.connect()
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        kind, kwargs = json.loads(line)
        job = await queue.enqueue(kind, **kwargs)
        print(job.key if job else "none", flush=True)
    await queue.disconnect()


if __name__ == "__main__":
    asyncio.run(serve())
