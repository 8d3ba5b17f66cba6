# SPDX-License-Identifier: Apache-2.0
"""Reads RQ's own data: a job's function, times and origin. Without I/O."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from rq.exceptions import DeserializationError
from rq.job import Job, JobStatus, get_current_job

from z4j_agent.capture import hooks
from z4j_agent.wire import records

ENGINE = "rq"
_WAITING_STATUS = ("QUEUED", "SCHEDULED", "DEFERRED", "RATE_LIMITED", "READY_TO_ENQUEUE")
WAITING = frozenset(status for status in JobStatus if status.name in _WAITING_STATUS)
"""Statuses of a job that no worker has taken; RQ 2 has no rate limits."""
ENDED = frozenset({JobStatus.FINISHED, JobStatus.FAILED, JobStatus.STOPPED, JobStatus.CANCELED})
_SKIPPED = frozenset({"rq", "redis", "z4j_rq", "click", "rq_scheduler", "flask_rq2", "django_rq"})
_COMMANDS = ("/rq", "/rq/cli/__main__.py", "/rqscheduler")


def job_in(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Job | None:
    """Returns the job among a method's arguments, which differ between RQ 2 and 3."""
    return next((value for value in (*args, *kwargs.values()) if isinstance(value, Job)), None)


def to_us(moment: datetime | None) -> int | None:
    """Returns a datetime as microseconds UTC; RQ's naive ones are UTC."""
    if moment is None:
        return None
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1_000_000)


def name_of(job: Job) -> str:
    """Returns the task name; "" for a job that cannot be read here."""
    try:
        return str(job.func_name or "")
    except DeserializationError:
        return ""


def function_of(name: str) -> Callable[..., Any] | None:
    """Returns the function of this name, if its module is already loaded. Imports nothing."""
    module, _, rest = name.rpartition(".")
    while module:
        if module in sys.modules:
            value: Any = sys.modules[module]
            for part in rest.split("."):
                value = getattr(value, part, None)
            return value if callable(value) else None
        module, _, part = module.rpartition(".")
        rest = f"{part}.{rest}"
    return None


def sent_meta(job: Job, retry_of: Any = None, **more: Any) -> str:
    """Returns the origin of a task, as the meta of a record."""
    parent = get_current_job()
    return records.meta(
        {
            "parent_id": parent.id if parent is not None and parent.id != job.id else None,
            "group_id": getattr(job, "group_id", None),
            "retry_of": retry_of,
            "code": hooks.calling_code(_SKIPPED, depth=3, commands=_COMMANDS),
            "route": hooks.route(),
            "expires": hooks.now() + int(job.ttl * 1_000_000) if isinstance(job.ttl, int | float) and job.ttl > 0 else None,
            **more,
        }
    )


def is_import_error(error: BaseException) -> bool:
    """Whether RQ did not find the task's function. An import error inside the function does not count."""
    trace = error.__traceback__
    if not isinstance(error, ImportError | AttributeError | ValueError):
        return False
    while trace is not None:
        if trace.tb_frame.f_code.co_name == "import_attribute" and trace.tb_frame.f_globals.get("__name__") == "rq.utils":
            return True
        trace = trace.tb_next
    return False


def is_spawning(worker: Any) -> bool:
    """Whether this worker's horses are new interpreters and not forks. Compared by class name: RQ 2.0 and 2.1 have no such worker."""
    return any(owner.__name__ == "SpawnWorker" for owner in type(worker).__mro__)


def status_text(returned: int | None) -> str:
    """How a child process ended, from the status of `wait4`."""
    if returned is None:
        return "its process no longer exists"
    if os.WIFSIGNALED(returned):
        return f"its process was killed by signal {os.WTERMSIG(returned)}"
    return f"its process ended with {os.waitstatus_to_exitcode(returned)} before the task did"
