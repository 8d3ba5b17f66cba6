# SPDX-License-Identifier: Apache-2.0
"""Small readings of RQ's own data: which attempt a job is at, its function, its times. No I/O.

RQ keeps no count of attempts: `retries_left` says nothing without the number it began with, and `requeue` tells nothing at all. So the
count travels in the job's own `meta`, under MARK, with the start of the last run: a job that is enqueued again after another run is at
its next attempt; one that only moved from a registry to its queue is not.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from rq.exceptions import DeserializationError
from rq.job import Job, JobStatus, get_current_job

from z4j_agent import hooks, records

ENGINE = "rq"
MARK = "z4j"
"""Key in a job's meta: {"n": attempt, "after": start of the run before, "of": the task it repeats, "told": by its producer}."""
NEW = "z4j_is_new"
"""Attribute of a job object whose arguments this process is about to tell."""
RUN = "z4j_run"
"""Attribute of a job object that is run in this process: its `ends.Run`."""
KILLED = "z4j_killed"
"""Attribute of a job object whose horse was killed: how."""
_WAITING_STATUS = ("QUEUED", "SCHEDULED", "DEFERRED", "RATE_LIMITED", "READY_TO_ENQUEUE")
WAITING = frozenset(status for status in JobStatus if status.name in _WAITING_STATUS)
"""What RQ calls a job that no worker has yet; RQ 2 knows no rate limits."""
ENDED = frozenset({JobStatus.FINISHED, JobStatus.FAILED, JobStatus.STOPPED, JobStatus.CANCELED})
_SKIPPED = frozenset({"rq", "redis", "z4j_rq", "click", "rq_scheduler", "flask_rq2", "django_rq"})
_COMMANDS = ("/rq", "/rq/cli/__main__.py", "/rqscheduler")


def job_in(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Job | None:
    """The job among a method's arguments: RQ 2 and 3 pass it in different company."""
    return next((value for value in (*args, *kwargs.values()) if isinstance(value, Job)), None)


def to_us(moment: datetime | None) -> int | None:
    """A datetime as microseconds UTC; RQ's naive ones are UTC."""
    if moment is None:
        return None
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1_000_000)


def mark_of(job: Job) -> dict[str, Any]:
    """What travels in the meta; {} for a job whose producer is not watched."""
    mark = job.meta.get(MARK) if isinstance(job.meta, dict) else None
    return mark if isinstance(mark, dict) else {}


def attempt_of(job: Job) -> int:
    """From 0. Of a job whose producer is not watched: how often it has returned a Retry."""
    count = mark_of(job).get("n", getattr(job, "number_of_retries", 0))
    return count if isinstance(count, int) and count >= 0 else 0


def mark_sent(job: Job) -> None:
    """To be called before a job is written to Redis: counts its attempts, and decides who tells its arguments.

    A secret may be passed by position; only the signature tells that it is one. What this process has not loaded is left to the horse.
    """
    if not isinstance(job.meta, dict):
        return
    ran = job.started_at.isoformat() if job.started_at else ""
    run = job.__dict__.get(RUN)
    mark = dict(mark_of(job)) or {"n": run.attempt if run is not None else attempt_of(job), "after": ""}
    # `requeue` forgets when the job ran, so that alone does not tell
    is_sent_again = job._status in ENDED or (job.enqueued_at is not None and not ran)
    if is_sent_again or mark.get("after", "") != ran:
        mark |= {"n": int(mark["n"]) + 1, "after": ran}
    if not is_told(job) and function_of(name_of(job)) is not None:
        mark["told"] = 1
        setattr(job, NEW, True)
    job.meta[MARK] = mark


def is_told(job: Job) -> bool:
    """Whether another process has written this job's arguments, or has just decided to."""
    return "told" in mark_of(job)


def name_of(job: Job) -> str:
    """The task name; "" of a job that cannot be read here."""
    try:
        return str(job.func_name or "")
    except DeserializationError:
        return ""


def function_of(name: str) -> Callable[..., Any] | None:
    """The function of this name, if its module is loaded already: nothing is imported for us."""
    module, _, rest = name.rpartition(".")
    while module:
        if module in sys.modules:
            found: Any = sys.modules[module]
            for part in rest.split("."):
                found = getattr(found, part, None)
            return found if callable(found) else None
        module, _, part = module.rpartition(".")
        rest = f"{part}.{rest}"
    return None


def sent_meta(job: Job, **more: Any) -> str:
    """Where a task comes from, as the meta of a record."""
    parent = get_current_job()
    return records.meta(
        {
            "parent_id": parent.id if parent is not None and parent.id != job.id else None,
            "group_id": getattr(job, "group_id", None),
            "retry_of": mark_of(job).get("of"),
            "code": hooks.calling_code(_SKIPPED, depth=3, commands=_COMMANDS),
            "route": hooks.route(),
            "expires": hooks.now() + int(job.ttl * 1_000_000) if isinstance(job.ttl, int | float) and job.ttl > 0 else None,
            **more,
        }
    )


def is_import_error(error: BaseException) -> bool:
    """Whether RQ did not find the task's function, as opposed to the function not finding something."""
    trace = error.__traceback__
    if not isinstance(error, ImportError | AttributeError | ValueError):
        return False
    while trace is not None:
        if trace.tb_frame.f_code.co_name == "import_attribute" and trace.tb_frame.f_globals.get("__name__") == "rq.utils":
            return True
        trace = trace.tb_next
    return False


def is_spawning(worker: Any) -> bool:
    """Whether this worker's horses are new interpreters and not forks of it. By name: RQ 2.0 and 2.1 have no such worker."""
    return any(owner.__name__ == "SpawnWorker" for owner in type(worker).__mro__)


def status_text(returned: int | None) -> str:
    """What became of a child, from the number `wait4` gave."""
    if returned is None:
        return "its process is gone"
    if os.WIFSIGNALED(returned):
        return f"its process was killed by signal {os.WTERMSIG(returned)}"
    return f"its process ended with {os.waitstatus_to_exitcode(returned)} before the task did"
