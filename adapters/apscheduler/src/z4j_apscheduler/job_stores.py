# SPDX-License-Identifier: Apache-2.0
"""The jobs in a scheduler's stores, read without changing them; the name of a store, and whether it outlives the process.

APScheduler's stores DELETE jobs that they cannot restore whenever all jobs are read (jobstores/sqlalchemy.py, `_get_jobs`, and the
others alike): jobs whose function exists only in a newer or an older release of the application. A scheduler itself does that only when
the job is due; a list every few seconds must not do it earlier.
"""

from __future__ import annotations

import copy
import functools
from typing import Any, NamedTuple

from apscheduler.jobstores.memory import MemoryJobStore


class Unreadable:
    """Represents a job that cannot be restored in this process. The stores read only this attribute when they sort."""

    next_run_time = None


class Read(NamedTuple):
    jobs: list[Any]
    unreadable: int


def read_jobs(scheduler: Any, store: Any) -> Read:
    """Returns every job of a started store. Reads a copy of it, so that the store itself is not changed."""
    if not hasattr(store, "_reconstitute_job"):
        with scheduler._jobstores_lock:
            return Read(list(store.get_all_jobs()), 0)
    store_copy = copy.copy(store)
    store_copy._reconstitute_job = functools.partial(_restore, store._reconstitute_job)
    stored = list(store_copy.get_all_jobs())
    jobs = [job for job in stored if not isinstance(job, Unreadable)]
    return Read(jobs, len(stored) - len(jobs))


def _restore(original: Any, *args: Any, **kwargs: Any) -> Any:
    try:
        return original(*args, **kwargs)
    except (Exception, SystemExit):  # any exception of the application's module at its import
        return Unreadable()


def is_memory(store: Any) -> bool:
    return isinstance(store, MemoryJobStore)


def kind_of(store: Any) -> str:
    """`memory`, `sqlalchemy`, `redis`, …: from the name of its class."""
    name = type(store).__name__.lower()
    return name.removesuffix("jobstore") or name
