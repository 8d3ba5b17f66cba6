# SPDX-License-Identifier: Apache-2.0
import os

import dramatiq
from dramatiq.brokers.redis import RedisBroker

import z4j_dramatiq

broker = RedisBroker(url=os.environ.get("BROKER_URL", "redis://127.0.0.1:6379/0"))
z4j_dramatiq.install(broker)
dramatiq.set_broker(broker)


@dramatiq.actor
def add(a: int, b: int) -> None:
    print(a + b)
