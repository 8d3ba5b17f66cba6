# SPDX-License-Identifier: Apache-2.0
"""The jobs in a scheduler's stores, read without changing them; what a store is called, and whether it outlives the process.

APScheduler's stores DELETE what they cannot restore as soon as they are asked for all jobs (jobstores/sqlalchemy.py, `_get_jobs`, and
the others alike): a job whose function a newer release of the application has, or an older one had. Left alone, a scheduler does that
only when the job is due; a list every few seconds must not do it earlier.
"""

from __future__ import annotations

import copy
import functools
from typing import Any, NamedTuple

from apscheduler.jobstores.memory import MemoryJobStore


class Unreadable:
    """Stands for a job that cannot be restored in this process. The stores look at nothing else while they sort."""

    next_run_time = None


class Read(NamedTuple):
    jobs: list[Any]
    unreadable: int


def read_jobs(scheduler: Any, store: Any) -> Read:
    """Every job of a started store. Asks a copy of it, so that the store itself goes on as it is."""
    if not hasattr(store, "_reconstitute_job"):
        with scheduler._jobstores_lock:
            return Read(list(store.get_all_jobs()), 0)
    asked = copy.copy(store)
    asked._reconstitute_job = functools.partial(_restore, store._reconstitute_job)
    stored = list(asked.get_all_jobs())
    jobs = [job for job in stored if not isinstance(job, Unreadable)]
    return Read(jobs, len(stored) - len(jobs))


def _restore(original: Any, *args: Any, **kwargs: Any) -> Any:
    try:
        return original(*args, **kwargs)
    except (Exception, SystemExit):  # whatever the application's module raises when it is imported
        return Unreadable()


def is_memory(store: Any) -> bool:
    return isinstance(store, MemoryJobStore)


def kind_of(store: Any) -> str:
    """`memory`, `sqlalchemy`, `redis`, …: the name of its class without the rest."""
    name = type(store).__name__.lower()
    return name.removesuffix("jobstore") or name
