# SPDX-License-Identifier: Apache-2.0
"""One run of a task in a worker's thread, from the message's arrival to its end, and stopping a run."""

from __future__ import annotations

import contextvars
import threading
import time
from typing import Any

from dramatiq.middleware import Interrupt
from dramatiq.threading import raise_thread_exception

from z4j_agent.capture.current_run import CurrentRun
from z4j_agent.capture.hooks import now
from z4j_agent.wire import records
from z4j_dramatiq.encoding import message_marks
from z4j_dramatiq.messages import attempt_of, queue_of

REDELIVERED = '{"redelivered":true}'


class Stopped(Interrupt):
    """An operator stopped this task from z4j."""


class Run:
    """Created before any middleware has decided about the message. The attempt is read at once: Retries changes it in the message."""

    __slots__ = (
        "again",
        "attempt",
        "began_ns",
        "current_run",
        "ended_at",
        "is_sent_again",
        "is_skipped",
        "is_stopped",
        "meta",
        "name",
        "queue",
        "received_at",
        "retry_eta",
        "runtime",
        "started_at",
        "task_id",
        "thread",
        "throws",
    )  # fmt: skip

    def __init__(self, message: Any) -> None:
        self.received_at = now()
        self.task_id: str = message.message_id
        self.again = message_marks.of(message).again
        """How many times the actor has sent this message again."""
        self.attempt = attempt_of(message.options) + self.again
        self.name: str = message.actor_name
        self.queue = queue_of(message.queue_name)
        self.thread = threading.get_ident()
        self.meta = REDELIVERED if getattr(message, "redelivered", False) else records.NO_META
        self.began_ns = 0
        self.current_run: CurrentRun | None = None
        self.started_at: int | None = None
        self.ended_at: int | None = None
        self.runtime: int | None = None
        self.is_skipped = False
        """Whether an operator cancelled it before its start."""
        self.is_stopped = False
        self.throws: Any = None
        """The option before a stop added its own exception."""
        self.is_sent_again = False
        """Whether this attempt's failure has put the next one into the queue."""
        self.retry_eta: int | None = None

    def begins(self) -> None:
        """Stores the start, by the wall clock (microseconds UTC) and the monotonic clock."""
        self.began_ns = time.perf_counter_ns()
        self.started_at = now()

    def ends(self) -> None:
        """Stores the end; only the first one counts, because an exception in a middleware makes Dramatiq report a second one."""
        if self.ended_at is None and self.started_at is not None:
            self.runtime = (time.perf_counter_ns() - self.began_ns) // 1000
            self.ended_at = now()


current: contextvars.ContextVar[Run | None] = contextvars.ContextVar("z4j_dramatiq_run", default=None)
"""The run in this thread; a coroutine of an async actor inherits it, although it runs in another thread."""


class Running:
    """The running tasks of this worker's threads, between the last hook before a task's function and the first one after it."""

    def __init__(self) -> None:
        self._runs: dict[str, tuple[Run, Any]] = {}
        self._lock = threading.Lock()

    def begin(self, run: Run, message: Any) -> None:
        """From now on the run can be stopped."""
        with self._lock:
            self._runs[run.task_id] = run, message

    def end(self, run: Run) -> None:
        """After this the run cannot be stopped."""
        with self._lock:
            entry = self._runs.get(run.task_id)
            if entry is not None and entry[0] is run:
                del self._runs[run.task_id]

    def get(self, task_id: str) -> Run | None:
        """Returns the run of a task, None if none of these threads runs it."""
        entry = self._runs.get(task_id)
        return entry[0] if entry is not None else None

    def all(self) -> list[Run]:
        """Returns a copy; the dictionary is copied in one step of the interpreter, so no lock is needed."""
        return [run for run, _ in list(self._runs.values())]

    def stop(self, task_id: str) -> bool:
        """Raises `Stopped` in the thread that runs the task; False when none does.

        The lock keeps that thread from leaving the task meanwhile. With `throws` the Retries middleware does not retry it.
        """
        with self._lock:
            entry = self._runs.get(task_id)
            if entry is None:
                return False
            run, message = entry
            if not run.is_stopped:
                run.is_stopped = True
                run.throws = message.options.get("throws")
                message.options["throws"] = Stopped
            raise_thread_exception(run.thread, Stopped)
            return True
