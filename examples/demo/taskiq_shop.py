# SPDX-License-Identifier: AGPL-3.0-or-later
"""The demo's taskiq application: recommendations. `main()` enqueues until SIGTERM; `taskiq worker taskiq_shop:broker` runs the tasks."""

from __future__ import annotations

import asyncio
import os
from typing import Any

from taskiq import SimpleRetryMiddleware
from taskiq_redis import ListQueueBroker, RedisAsyncResultBackend
from words import happens, seconds, token

import z4j_taskiq

URL = os.environ["TASKIQ_URL"]
results: RedisAsyncResultBackend[Any] = RedisAsyncResultBackend(URL, result_ex_time=300)
# Without the socket timeout of redis-py, which would end an idle worker.
queue = ListQueueBroker(URL, queue_name="recommend", socket_timeout=None)
broker = queue.with_result_backend(results).with_middlewares(SimpleRetryMiddleware(2))
z4j_taskiq.install(broker)


@broker.task("recommend.rank", retry_on_error=True, max_retries=2)
async def rank(customer: int, limit: int) -> list[int]:
    """Orders products for a customer; the model server sometimes restarts."""
    await asyncio.sleep(seconds(30, 140))
    if happens(0.1):
        raise ConnectionError("model-server:8500 is restarting")
    return [customer % 7, customer % 11][:limit]


@broker.task("recommend.train")
async def train(segment: str, password: str) -> float:
    await asyncio.sleep(seconds(200, 900))
    if happens(0.12):
        raise ArithmeticError(f"loss of segment {segment} is not a number")
    return 0.93


@broker.task("recommend.forget")
async def forget(customer: int) -> None:
    await asyncio.sleep(seconds(5, 20))


async def produce() -> None:
    await broker.startup()
    for number in range(1, 1_000_000_000):
        await rank.kiq(70_000 + number, limit=2)
        if number % 4 == 0:
            await train.kiq(("new", "loyal", "lost")[number % 3], password=token())
        if number % 9 == 0:
            await forget.kiq(70_000 + number)
        await asyncio.sleep(1.0)


def main() -> None:
    asyncio.run(produce())
