# SPDX-License-Identifier: Apache-2.0
"""The tasks of the schedules' contract, and what starts rq-scheduler: `python schedules_app.py [seconds between looks]`, the user's own
start module, which installs z4j and runs the package's command. `python schedules_app.py enter` makes the two entries beforehand,
`break` one that cannot be sent, and `shop` is an application that makes entries and stays. `rqscheduler -j schedules_app.Job` is the
package's own command, which imports this module for its class of jobs.
"""

from __future__ import annotations

import os
import sys
import time
from datetime import UTC, datetime
from typing import Any

from redis import Redis
from rq import Queue
from rq.job import Job  # noqa: F401 -- `rqscheduler -j` names it

import z4j_rq

connection = Redis.from_url(os.environ["BROKER_URL"])


def succeed(value: Any = None) -> Any:
    return value


def every() -> None:
    pass


def login(user: str, password: str) -> str:
    return user


def enter() -> None:
    """Not watched: most applications make their entries in a process that has ended long ago."""
    from rq_scheduler import Scheduler

    scheduler = Scheduler("work", connection=connection)
    scheduler.schedule(datetime.now(UTC), "schedules_app.succeed", interval=1, id="every")
    scheduler.cron("30 2 * * *", "schedules_app.succeed", id="nightly")


def break_one() -> None:
    """Its queue is of a class that nobody can import."""
    from rq_scheduler import Scheduler

    Scheduler("work", connection=connection).schedule(
        datetime.now(UTC), "schedules_app.succeed", interval=60, id="broken", meta={"queue_class_name": "nowhere.Queue"}
    )


def shop() -> None:
    from rq_scheduler import Scheduler

    scheduler = Scheduler("work", connection=connection)
    scheduler.cron("0 0 1 1 *", "schedules_app.succeed", id="yearly")
    Queue("work", connection=connection).enqueue("schedules_app.succeed")
    while True:
        time.sleep(60)


if __name__ != "__main__":
    z4j_rq.install()
elif sys.argv[1:] in (["enter"], ["break"]):
    {"enter": enter, "break": break_one}[sys.argv[1]]()
else:
    sys.modules["schedules_app"] = sys.modules["__main__"]  # the tasks are here, under the name that the workers import
    z4j_rq.install()
    if sys.argv[1:] == ["shop"]:
        shop()
    from rq_scheduler.scripts.rqscheduler import main

    sys.argv[1:] = ["-i", sys.argv[1] if len(sys.argv) > 1 else "1", "--url", os.environ["BROKER_URL"]]
    main()
