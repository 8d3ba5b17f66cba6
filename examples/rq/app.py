# SPDX-License-Identifier: Apache-2.0
import os

from redis import Redis
from rq import Queue

import z4j_rq

z4j_rq.install()
queue = Queue("sums", connection=Redis.from_url(os.environ.get("BROKER_URL", "redis://127.0.0.1:6379/0")))


def add(a: int, b: int) -> int:
    return a + b
