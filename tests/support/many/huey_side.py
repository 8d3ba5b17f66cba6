# SPDX-License-Identifier: AGPL-3.0-or-later
"""Orders with Huey: `huey_consumer tests.support.many.huey_side.huey`; `python -m tests.support.many.huey_produce QUEUE N` enqueues."""

from __future__ import annotations

import os

from huey import PriorityRedisHuey, RedisHuey

import z4j_huey
from tests.support.many.orders import execute

kind = PriorityRedisHuey if os.environ.get("HUEY_KIND") == "priority" else RedisHuey
huey = kind(os.environ.get("HUEY_QUEUE", "orders"), url=os.environ["BROKER_URL"])
z4j_huey.install(huey)


@huey.task()
def huey_order(number: int) -> int:
    return execute("huey", number)
