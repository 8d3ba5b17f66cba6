# SPDX-License-Identifier: Apache-2.0
# mypy: disable-error-code="untyped-decorator"
"""An application that enqueues its interrupted tasks again, as Huey's documentation shows, and takes its time over it."""

from __future__ import annotations

import os
import time
from typing import Any

import huey as engine
from huey.signals import SIGNAL_INTERRUPTED

import z4j_huey

huey = engine.RedisHuey("work", host="127.0.0.1", port=int(os.environ["TWO_PORT"]))
z4j_huey.install(huey)


@huey.task()
def nap(seconds: float) -> float:
    time.sleep(seconds if not os.environ.get("AGAIN_SHORT") else 0)
    return seconds


@huey.signal(SIGNAL_INTERRUPTED)
def again(signal: str, task: Any, *args: Any) -> None:
    huey.enqueue(task)
    time.sleep(float(os.environ.get("AGAIN_SLOW", "0")))
