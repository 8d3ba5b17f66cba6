# SPDX-License-Identifier: Apache-2.0
import os

from taskiq_redis import RedisAsyncResultBackend, RedisStreamBroker

import z4j_taskiq

URL = os.environ.get("BROKER_URL", "redis://127.0.0.1:6379/0")
results = RedisAsyncResultBackend(URL, result_ex_time=3600)
broker = RedisStreamBroker(URL, socket_timeout=None, maxlen=100_000, unacknowledged_lock_timeout=60).with_result_backend(results)
z4j_taskiq.install(broker)


@broker.task
async def add(a: int, b: int) -> int:
    return a + b
