# SPDX-License-Identifier: AGPL-3.0-or-later
"""Orders with taskiq: `taskiq worker tests.support.many.taskiq_side:broker`."""

from __future__ import annotations

import os

from taskiq_redis import ListQueueBroker

import z4j_taskiq
from tests.support.many.orders import execute

# Without the socket timeout of redis-py, which would end an idle worker's wait for work.
broker = ListQueueBroker(os.environ["BROKER_URL"], queue_name="taskiq:orders", socket_timeout=None)
z4j_taskiq.install(broker)


@broker.task("taskiq_order")
async def taskiq_order(number: int) -> int:
    return execute("taskiq", number)
