# SPDX-License-Identifier: Apache-2.0
"""A task that dumps all it can read of its own job, recursively. `python equal_app.py LIST` enqueues it
with each of the options in the list (JSON), and prints the IDs."""

from __future__ import annotations

import json
import os
import sys
from typing import Any

from redis import Redis
from rq import Queue, Retry, get_current_job
from rq.job import Job

import z4j_rq

connection = Redis.from_url(os.environ["BROKER_URL"])
queue = Queue("work", connection=connection)
z4j_rq.install()
VOLATILE = ("id", "_id", "created_at", "enqueued_at", "started_at", "ended_at", "last_heartbeat", "worker_name", "connection")
"""Differ between any two runs."""


def dump(value: Any, depth: int = 0) -> Any:
    """Type and content of everything below, to a depth at which RQ's own data end."""
    if depth > 6 or isinstance(value, str | int | float | bool | type(None)):
        return repr(value)
    if isinstance(value, dict):
        return {repr(key): dump(item, depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple | set):
        return [type(value).__name__, *(dump(item, depth + 1) for item in value)]
    return type(value).__name__


def reveal(*_args: Any, **_kwargs: Any) -> str:
    job = get_current_job()
    assert job is not None
    first = job.meta.get("tries", 0)
    job.meta["tries"] = first + 1
    job.save_meta()
    if job.retries_left:
        raise ConnectionError("once more")
    fresh = Job.fetch(job.id, connection=job.connection)
    seen = {"current": vars(job), "fetched": vars(fresh), "to_dict": fresh.to_dict()}
    return json.dumps({name: dump({k: v for k, v in job.items() if k not in VOLATILE}) for name, job in seen.items()}, sort_keys=True)


def fail() -> None:
    raise ValueError("no such door")


if __name__ == "__main__":
    for options in json.loads(sys.argv[1]):
        if "retry" in options:
            options["retry"] = Retry(**options["retry"])
        print(queue.enqueue("equal_app.reveal", "argument", key=[1, {"deep": None}], **options).id)
