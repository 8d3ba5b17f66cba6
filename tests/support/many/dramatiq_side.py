# SPDX-License-Identifier: AGPL-3.0-or-later
"""Orders with Dramatiq: `dramatiq tests.support.many.dramatiq_side`."""

from __future__ import annotations

import os

import dramatiq
from dramatiq.brokers.redis import RedisBroker

import z4j_dramatiq
from tests.support.many.orders import execute

broker = RedisBroker(url=os.environ["BROKER_URL"])
z4j_dramatiq.install(broker)
dramatiq.set_broker(broker)


@dramatiq.actor(queue_name="orders", max_retries=0)
def dramatiq_order(number: int) -> None:
    execute("dramatiq", number)
