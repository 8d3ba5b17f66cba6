# SPDX-License-Identifier: Apache-2.0
"""The application of `engine_app.py` with what only RQ has. `python own_app.py` does what it reads on stdin: a line of JSON
`[action, *arguments]` is answered with a line of JSON. `rq worker -c own_app` runs it.
"""

from __future__ import annotations

import json
import os
import sys
from datetime import timedelta
from typing import Any

from engine_app import connection
from rq import Queue, Retry
from rq.exceptions import InvalidJobOperation
from rq.job import Job

import z4j_rq


class OwnJob(Job):
    """A job class of the application's."""


SERIALIZER = os.environ.get("ENGINE_SERIALIZER")
queue = Queue("work", connection=connection, serializer=SERIALIZER, job_class=OwnJob if SERIALIZER else None)


def leave_politely() -> None:
    sys.exit(3)


def whoami(value: Any) -> str:
    """The class of its job, and what of its meta is the application's."""
    from rq import get_current_job

    job = get_current_job()
    assert job is not None
    return f"{type(job).__name__} {value} {sorted(job.meta.keys() - {'z4j'})}"


def send(name: str, args: list[Any], options: dict[str, Any]) -> str:
    delay_s, at = options.pop("delay_s", 0), name if "." in name else f"engine_app.{name}"
    if "retry" in options:
        options["retry"] = Retry(**options["retry"])
    if "repeat" in options:
        from rq import Repeat

        options["repeat"] = Repeat(**options["repeat"])
    if options.pop("is_eager", False):
        return str(Queue("work", connection=connection, is_async=False).enqueue(at, args=args, **options).id)
    if delay_s:
        return str(queue.enqueue_in(timedelta(seconds=delay_s), at, args=args, **options).id)
    return str(queue.enqueue(at, args=args, **options).id)


def many(first: str) -> list[str]:
    """Two jobs at once, the second waits for `first`."""
    made = [
        Queue.prepare_data("engine_app.succeed", ["many"]),
        Queue.prepare_data("engine_app.succeed", ["after"], depends_on=Job.fetch(first, connection=connection)),
    ]
    return [job.id for job in queue.enqueue_many(made)]


def operate(task_id: str, action: str) -> str:
    """`cancel`, `delete` or `requeue` by RQ's own means."""
    job = queue.job_class.fetch(task_id, connection=connection, serializer=queue.serializer)
    if action == "restore":
        queue.canceled_job_registry.requeue(task_id)
    else:
        getattr(job, action)()
    return str(job.get_status(refresh=True) if action != "delete" else "gone")


def stop(task_id: str) -> None:
    from rq.command import send_stop_job_command

    send_stop_job_command(connection, task_id)


def cancel_twice(task_id: str) -> str:
    job = Job.fetch(task_id, connection=connection)
    job.cancel()
    try:
        job.cancel()
    except InvalidJobOperation as error:
        return str(error)
    return ""


def unfinished() -> list[str]:
    """A job in a pipeline that is never executed, and how many wait then."""
    with connection.pipeline() as pipeline:
        job = Queue("nowhere", connection=connection).enqueue("engine_app.succeed", 1, pipeline=pipeline)
    return [job.id, str(Queue("nowhere", connection=connection).count)]


def twice(task_id: str) -> str:
    """The class of the exception for a second job of that id."""
    try:
        queue.enqueue("engine_app.succeed", 2, job_id=task_id, unique=True)
    except Exception as error:
        return type(error).__name__
    return ""


def scheduled_runs(count: int) -> str:
    """What a pass of rq-scheduler does with an entry, so many times, each after the end of the one before."""
    import time
    from datetime import UTC, datetime

    from rq_scheduler import Scheduler

    scheduler = Scheduler("work", connection=connection)
    task_id = str(scheduler.schedule(datetime.now(UTC), "engine_app.succeed", args=["run"], interval=3600).id)
    for _ in range(count):
        scheduler.enqueue_job(Job.fetch(task_id, connection=connection))
        ends = time.monotonic() + 20
        while Job.fetch(task_id, connection=connection).get_status() != "finished" and time.monotonic() < ends:
            time.sleep(0.05)
    return task_id


def limited(count: int) -> list[str]:
    """Jobs that may only run one at a time."""
    from rq import RateLimit

    return [queue.enqueue("engine_app.wait", 0.3, rate_limit=RateLimit(key="one", concurrency=1)).id for _ in range(count)]


def depart() -> str:
    z4j_rq.uninstall()
    return "gone"


if __name__ == "__main__":
    for line in sys.stdin:
        action, *given = json.loads(line)
        print(json.dumps(globals()[action](*given)), flush=True)
