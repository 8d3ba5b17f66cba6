# SPDX-License-Identifier: AGPL-3.0-or-later
"""Enqueues one order under the id that every night's order has: `python -m tests.support.many.same_id ENGINE NUMBER`."""

from __future__ import annotations

import asyncio
import importlib
import os
import sys
from typing import Any

import z4j_agent

ID = "6f1d2f0a-7c1e-4b7a-9d3a-2f60c0ffee01"


def by_celery(side: Any, number: int) -> None:
    side.order.apply_async((number,), task_id=ID, queue="orders")


def by_rq(side: Any, number: int) -> None:
    connection = side.Redis.from_url(os.environ["BROKER_URL"])
    side.Queue("orders", connection=connection).enqueue("tests.support.many.rq_side.rq_order", number, job_id=ID)


def by_huey(side: Any, number: int) -> None:
    task = side.huey_order.s(number)
    task.id = ID
    side.huey.enqueue(task)


def by_dramatiq(side: Any, number: int) -> None:
    side.broker.enqueue(side.dramatiq_order.message(number).copy(message_id=ID))


def by_arq(side: Any, number: int) -> None:
    async def enqueue() -> None:
        pool = await side.create_pool(side.REDIS, default_queue_name="arq:orders")
        await pool.delete(f"arq:result:{ID}")  # arq takes an id again when its result is gone
        assert await pool.enqueue_job("arq_order", number, _job_id=ID) is not None

    asyncio.run(enqueue())


def by_taskiq(side: Any, number: int) -> None:
    async def enqueue() -> None:
        await side.broker.startup()
        await side.taskiq_order.kicker().with_task_id(ID).kiq(number)
        await side.broker.shutdown()

    asyncio.run(enqueue())


if __name__ == "__main__":
    engine, number = sys.argv[1], int(sys.argv[2])
    globals()[f"by_{engine}"](importlib.import_module(f"tests.support.many.{engine}_side"), number)
    if (agent := z4j_agent.current()) is not None:
        agent.flush(20.0)
