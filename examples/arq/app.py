# SPDX-License-Identifier: Apache-2.0
import os

from arq.connections import RedisSettings

import z4j_arq


async def add(ctx: dict[str, object], a: int, b: int) -> int:
    return a + b


class WorkerSettings:
    functions = (add,)
    redis_settings = RedisSettings.from_dsn(os.environ.get("BROKER_URL", "redis://127.0.0.1:6379/0"))


z4j_arq.install(WorkerSettings)
