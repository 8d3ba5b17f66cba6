# SPDX-License-Identifier: Apache-2.0
"""Data of one job while it is enqueued, and while a worker has it. Used in one event loop."""

from __future__ import annotations

import contextvars
import time
from collections.abc import Mapping
from typing import Any

from z4j_agent.capture.current_run import CurrentRun
from z4j_arq.messages import ENGINE, MARK, now, task_id_of

UNKNOWN_ATTEMPT = -1
_KEYS = frozenset({"t", "f", "a", "k", "et"})
_YEAR_2001_MS = 10**12


class Sending:
    """One call of `enqueue_job`, until arq has stored the job."""

    __slots__ = ("at", "body", "code", "enqueued_ms", "is_marked", "names", "parent_id")

    def __init__(self, code: str, parent_id: str) -> None:
        self.at = now()
        self.code = code
        self.parent_id = parent_id
        self.enqueued_ms = 0
        self.body = b""
        self.names: tuple[str, ...] | None = None
        """Positional parameters of the task's function; None if this process does not have it; then the worker reports the arguments."""
        self.is_marked = False


class Run:
    """One run, from the worker's taking the job to its end. `attempt` is UNKNOWN_ATTEMPT until arq has determined the try."""

    __slots__ = (
        "args",
        "attempt",
        "began_ns",
        "body",
        "current_run",
        "did_return",
        "enqueued_ms",
        "error",
        "error_fields",
        "failure",
        "has_ended",
        "has_message",
        "has_verdict",
        "is_aborted",
        "is_asked_to_stop",
        "is_finishing",
        "is_kept",
        "is_marked",
        "is_receipt_reported",
        "is_stopping",
        "job_id",
        "kwargs",
        "limit_s",
        "malformed",
        "name",
        "queue",
        "received_at",
        "result",
        "runtime",
        "started_at",
        "task_id",
        "worker",
    )  # fmt: skip

    def __init__(self, worker: Any, job_id: str, score: int) -> None:
        self.worker = worker
        self.job_id = job_id
        self.queue = str(worker.queue_name)
        self.received_at = now()
        self.attempt = UNKNOWN_ATTEMPT
        self.is_receipt_reported = False
        self.name = ""
        self.args: Any = ()
        self.kwargs: Any = {}
        self.enqueued_ms = score if score > _YEAR_2001_MS else 0  # until the message is read: the score of a job that was not deferred
        self.task_id = task_id_of(job_id, self.enqueued_ms)
        self.body = b""
        self.is_marked = False
        """Whether the producer has reported its arguments."""
        self.has_message = False
        self.malformed: BaseException | None = None
        self.limit_s: float | None = None
        self.started_at: int | None = None
        self.began_ns = 0
        self.current_run: CurrentRun | None = None
        self.runtime: int | None = None
        self.did_return = False
        self.result = ""
        self.error: BaseException | None = None
        """The exception of the task's function."""
        self.error_fields = ("", "", "")
        """Its type, message and traceback."""
        self.failure: BaseException | None = None
        """arq's own error of a failure, if it stores one."""
        self.has_verdict = False
        self.is_kept = True
        """False once arq could not serialise the result."""
        self.is_aborted = False
        self.is_asked_to_stop = False
        self.is_stopping = False
        self.is_finishing = False
        self.has_ended = False

    def read(self, body: bytes, message: Any) -> None:
        """arq's message: `f` name, `a` and `k` arguments, `t` the first try, `et` when it was enqueued (jobs.py:serialize_job)."""
        self.body = body
        if isinstance(message, Mapping) and message.keys() >= _KEYS:
            self.name, self.args, self.kwargs = str(message["f"]), message["a"], message["k"]
            self.is_marked, self.has_message, enqueued_ms = MARK in message, True, int(message["et"] or 0)
            if enqueued_ms != self.enqueued_ms:
                self.enqueued_ms, self.task_id = enqueued_ms, task_id_of(self.job_id, enqueued_ms)

    def begin(self) -> int:
        """Sets the start of the function, by the wall clock and the monotonic clock, and returns it in microseconds UTC."""
        self.began_ns = time.perf_counter_ns()
        self.started_at = now()
        return self.started_at

    def stop_clock(self) -> None:
        """Stores the runtime in microseconds, by the monotonic clock."""
        self.runtime = (time.perf_counter_ns() - self.began_ns) // 1000

    def head(self, at: int, token: str) -> tuple[str, str, int, int, str, str, str]:
        """Returns the common fields of this run's records."""
        return ENGINE, self.task_id, max(self.attempt, 0), at, token, self.name, self.queue


current: contextvars.ContextVar[Run | None] = contextvars.ContextVar("z4j_arq_run", default=None)
"""The run whose code is executing; asyncio copies it into the tasks that a job starts, so that jobs enqueued there have their parent."""
sent: contextvars.ContextVar[Sending | None] = contextvars.ContextVar("z4j_arq_sending", default=None)
