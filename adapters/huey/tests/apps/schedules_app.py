# SPDX-License-Identifier: Apache-2.0
# mypy: disable-error-code="untyped-decorator"
"""The Huey application of the schedules' contract, whose consumer asks for periodic tasks every second instead of every minute: Huey has
that as an attribute of its scheduler's class, and a consumer may have a class of its own (huey/consumer.py).
"""

from __future__ import annotations

import os

if os.environ.get("HUEY_WORKERS") == "greenlet":
    from gevent import monkey

    monkey.patch_all()

import datetime
from typing import Any

import huey as engine
from huey.consumer import Consumer, Scheduler

import z4j_huey


class EverySecond(Scheduler):
    periodic_task_seconds = 1


class QuickConsumer(Consumer):
    scheduler_class = EverySecond


class QuickHuey(engine.PriorityRedisHuey):
    def create_consumer(self, **options: Any) -> Consumer:
        return QuickConsumer(self, **options)


is_slow = bool(os.environ.get("HUEY_SLOW"))
make = engine.PriorityRedisHuey if is_slow else QuickHuey
huey = make("work", host="127.0.0.1", port=int(os.environ["HUEY_AT"]), utc=not os.environ.get("HUEY_LOCAL"))
z4j_huey.install(huey)


@huey.periodic_task(engine.crontab(minute="30", hour="2"))
def succeed(value: Any = None) -> Any:
    return value


def always(moment: datetime.datetime) -> bool:
    return moment.second >= 0


@huey.periodic_task(engine.crontab() if is_slow else always)
def every() -> None:
    pass


calls: list[datetime.datetime] = []


def counting(moment: datetime.datetime) -> bool:
    calls.append(moment)
    return False


@huey.periodic_task(counting)
def opaque() -> None:
    pass


@huey.task()
def login(user: str, password: str) -> str:
    return user
