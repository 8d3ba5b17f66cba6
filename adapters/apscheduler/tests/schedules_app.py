# SPDX-License-Identifier: Apache-2.0
"""The APScheduler application of the contract. `python schedules_app.py` runs one scheduler: APS_KIND says which (background, blocking,
asyncio), APS_STORE where its jobs lie (sqlalchemy, memory); jobs that are in the store already are left as they are.
"""

from __future__ import annotations

import asyncio
import importlib
import os
import signal
import sys
import threading
import time
from datetime import timedelta
from typing import Any

from apscheduler.events import EVENT_SCHEDULER_STARTED
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.schedulers.blocking import BlockingScheduler
from apscheduler.triggers.combining import OrTrigger
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.date import DateTrigger
from apscheduler.triggers.interval import IntervalTrigger

import z4j_apscheduler

KINDS: dict[str, Any] = {"background": BackgroundScheduler, "blocking": BlockingScheduler, "asyncio": AsyncIOScheduler}
NIGHTLY_ZONE = "America/New_York"


def succeed(value: Any = None) -> Any:
    return value


async def succeed_async(value: Any = None) -> Any:
    return value


def fail(password: str = "") -> None:
    raise ValueError(f"no such door, password={password}")


def slow(seconds: float) -> None:
    time.sleep(seconds)


def login(user: str, password: str) -> None:
    with open(os.environ["APS_OUT"], "a") as file:
        file.write(f"{user} {password}\n")


class Clinic:
    def open(self) -> None:
        print("the clinic is open", flush=True)


def fill(scheduler: Any) -> None:
    """What an application adds at its start, without overwriting what an operator has changed."""
    every: dict[str, Any] = {"trigger": "interval", "seconds": 1}
    jobs_to_add: dict[str, dict[str, Any]] = {
        "every": {"func": "schedules_app:succeed", **every, "misfire_grace_time": 30},
        "nightly": {"func": "schedules_app:succeed", "trigger": CronTrigger(hour=2, minute=30, timezone=NIGHTLY_ZONE)},
    }
    if os.environ.get("APS_MORE"):
        day = {"trigger": "interval", "days": 1}
        both = OrTrigger([CronTrigger(hour=3, timezone="UTC"), CronTrigger(hour=5, timezone="UTC")])
        jobs_to_add |= {
            "login": {"func": login, **day, "args": ["eve", "hunter2"], "kwargs": {}},
            "failing": {"func": fail, **every, "args": ["hunter2"], "misfire_grace_time": 30},
            "busy": {"func": slow, **every, "args": [3], "misfire_grace_time": 30},
            "late": {"func": succeed, **every, "coalesce": False, "misfire_grace_time": 1, "executor": "narrow"},
            "narrowing": {"func": slow, "trigger": "interval", "seconds": 4, "args": [3], "executor": "narrow"},
            "either": {"func": succeed, "trigger": both},
            "last-day": {"func": succeed, "trigger": CronTrigger(day="last", hour=1, timezone="UTC")},
            "yearly": {"func": succeed, "trigger": CronTrigger(year="2030-2040", timezone="UTC")},
            "numbered": {"func": succeed, "trigger": CronTrigger(day_of_week="0,6", hour="*/6", timezone="UTC")},
            "quick": {"func": succeed, "trigger": CronTrigger(second="*/20", timezone="UTC"), "next_run_time": None},
            "jittery": {"func": succeed, "trigger": CronTrigger(hour=4, jitter=30, end_date="2040-01-01", timezone="UTC")},
            "once": {"func": succeed, "trigger": DateTrigger("2035-01-01T00:00:00", timezone="Europe/Berlin")},
            "in-time": {"func": succeed, "trigger": IntervalTrigger(hours=36)},
        }
    for id, job in jobs_to_add.items():
        if scheduler.get_job(id) is None:
            scheduler.add_job(id=id, **job)
    if scheduler.get_job("bound", "memory") is None:
        scheduler.add_job(lambda: None, "interval", days=1, id="lambda", jobstore="memory")
        scheduler.add_job(Clinic().open, "interval", days=1, id="bound", jobstore="memory")


def make() -> Any:
    kind, store = os.environ.get("APS_KIND", "background"), os.environ.get("APS_STORE", "sqlalchemy")
    stores: dict[str, Any] = {"memory": {"type": "memory"}}
    if store == "sqlalchemy":
        stores["default"] = {"type": "sqlalchemy", "url": f"sqlite:///{os.environ['APS_FILE']}"}
    executors: dict[str, Any] = {"narrow": {"type": "threadpool", "max_workers": 1}}
    scheduler = KINDS[kind](jobstores=stores, executors=executors, timezone="UTC")
    scheduler.add_listener(lambda event: fill(scheduler), EVENT_SCHEDULER_STARTED)
    z4j_apscheduler.install(scheduler, functions=[login, succeed_async, "schedules_app:fail"])
    return scheduler


def say_ready() -> None:
    print("the scheduler runs", flush=True)


def second() -> Any:
    """Another scheduler in the same process, with a job of the same id."""
    other = BackgroundScheduler(timezone="Asia/Kolkata")
    z4j_apscheduler.install(other, name="reports")
    other.add_job(succeed, "cron", hour=2, minute=30, id="nightly")
    other.start()
    return other


def fork() -> None:
    """What a forked child knows of the scheduler that its parent runs."""
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        return
    from z4j_agent import current

    agent = current()
    assert agent is not None
    scheduler_part = agent.schedulers[0]
    print("child of the fork:", scheduler_part.is_here(), scheduler_part.is_firing(), agent.role, flush=True)
    os._exit(0)


async def serve(scheduler: Any) -> None:
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, sys.exit)
    scheduler.start()
    say_ready()
    await asyncio.sleep(timedelta(hours=1).total_seconds())


def main() -> None:
    app = importlib.import_module("schedules_app")  # under its own name: jobs of a store name their functions by it
    scheduler = app.make()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    if isinstance(scheduler, AsyncIOScheduler):
        asyncio.run(app.serve(scheduler))
    elif isinstance(scheduler, BackgroundScheduler):
        scheduler.start()
        if os.environ.get("APS_TWO"):
            app.second()
        if os.environ.get("APS_FORKS"):
            app.fork()
            signal.signal(signal.SIGUSR1, lambda *_: scheduler.pause())
        say_ready()
        threading.Event().wait()
    else:
        scheduler.add_listener(lambda event: say_ready(), EVENT_SCHEDULER_STARTED)
        scheduler.start()


if __name__ == "__main__":
    main()
