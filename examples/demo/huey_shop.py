# SPDX-License-Identifier: AGPL-3.0-or-later
"""The demo's Huey application: housekeeping. `main()` enqueues until SIGTERM; `huey_consumer huey_shop.huey` runs the tasks."""

from __future__ import annotations

import os
import time

from huey import RedisHuey, crontab
from words import happens, seconds, ticks, token

import z4j_huey

huey = RedisHuey("housekeeping", url=os.environ["HUEY_URL"])
z4j_huey.install(huey)


@huey.task(retries=2, retry_delay=2)
def warm_cache(page: str) -> int:
    time.sleep(seconds(20, 90))
    if happens(0.15):
        raise OSError(111, "Connection refused", f"cache-2:{page}")
    return len(page)


@huey.task()
def rotate_key(service: str, access_token: str) -> str:
    """Replaces a key; the old one must not be shown to anybody."""
    time.sleep(seconds(10, 50))
    return f"{service} has a new key"


@huey.task()
def compress_logs(day: int) -> int:
    time.sleep(seconds(100, 600))
    if happens(0.1):
        raise MemoryError(f"day {day} does not fit")
    return day * 1_024


@huey.periodic_task(crontab(minute="*"))
def count_sessions() -> int:
    time.sleep(seconds(5, 20))
    return 240


def main() -> None:
    for number in ticks(1.0):
        warm_cache(f"/products/{number % 90}")
        if number % 3 == 0:
            rotate_key("search", access_token=token())
        if number % 6 == 0:
            compress_logs(number % 365)
        if number % 10 == 0:
            warm_cache.schedule((f"/seasonal/{number}",), delay=15)
