# SPDX-License-Identifier: AGPL-3.0-or-later
"""The warehouse's cron process: a real APScheduler, with its jobs in memory. A reset brings them back."""

from __future__ import annotations

import random
import time
from pathlib import Path

from apscheduler.schedulers.blocking import BlockingScheduler

import z4j_apscheduler
from z4j_demo.brief import read_brief
from z4j_demo.connect import exit_on_sigterm, set_environment


def main(folder: Path) -> None:
    """Runs the scheduler until SIGTERM."""
    exit_on_sigterm()
    set_environment(read_brief(folder), "warehouse")
    scheduler = BlockingScheduler(timezone="Europe/Berlin")
    scheduler.add_job(read_sensors, "interval", ["hall-2"], seconds=20, id="sensors", name="sensors of hall 2")
    scheduler.add_job(poll_carrier, "cron", ["northwind"], minute="*/5", id="carrier", name="poll the carrier")
    scheduler.add_job(close_books, "cron", hour=5, minute=0, day_of_week="sat", id="books", name="close the books")
    z4j_apscheduler.install(scheduler, functions=[read_sensors, poll_carrier, close_books])
    scheduler.start()


def read_sensors(site: str) -> None:
    """Reads the sensors of a hall, which do not always answer."""
    time.sleep(random.uniform(0.01, 0.1))  # noqa: S311 -- simulated work
    if random.random() < 0.1:  # noqa: S311
        raise TimeoutError(f"{site} did not answer")


def poll_carrier(carrier: str) -> int:
    """Asks a carrier for parcels."""
    time.sleep(0.2)
    return 3


def close_books() -> None:
    """Runs once a week."""
    time.sleep(0.2)
