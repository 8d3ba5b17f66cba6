# SPDX-License-Identifier: Apache-2.0
import os

from huey import RedisHuey

import z4j_huey

huey = RedisHuey("sums", url=os.environ.get("BROKER_URL", "redis://127.0.0.1:6379/0"))
z4j_huey.install(huey)


@huey.task()
def add(a: int, b: int) -> int:
    return a + b
