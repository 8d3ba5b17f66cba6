# SPDX-License-Identifier: AGPL-3.0-or-later
"""The demo's APScheduler: scheduled functions that one process runs, without a task engine."""

from __future__ import annotations

import random
import time

from apscheduler.schedulers.blocking import BlockingScheduler

import z4j_apscheduler


def read_sensors(site: str) -> None:
    time.sleep(random.uniform(0.01, 0.1))
    if random.random() < 0.1:
        raise TimeoutError(f"{site} did not answer")


def close_books() -> None:
    time.sleep(0.2)


def main() -> None:
    scheduler = BlockingScheduler(timezone="Europe/Berlin")
    scheduler.add_job(read_sensors, "interval", ["hall-2"], seconds=20, id="sensors", name="sensors of hall 2")
    scheduler.add_job(close_books, "cron", hour=5, minute=0, day_of_week="sat", id="books", name="close the books")
    z4j_apscheduler.install(scheduler)
    scheduler.start()
