# SPDX-License-Identifier: Apache-2.0
"""One run of a task, from a worker's taking it to its end, stopping a run in this process, and the signals of Huey that tell of it."""

from __future__ import annotations

import contextvars
import ctypes
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from huey import signals
from huey.exceptions import CancelExecution

from z4j_agent.capture.current_run import CurrentRun
from z4j_agent.capture.hooks import now
from z4j_huey.messages import attempt_of, is_reported, name_of

REASONS = {
    signals.SIGNAL_CANCELED: "by_itself",
    signals.SIGNAL_LOCKED: "locked",
    "timeout": "time_limit",
    "rate-limited": "rate_limited",
}
"""Signals for the end of an attempt, and the reason in its record. The last two are newer than Huey 2.5."""
SIGNALS = (
    signals.SIGNAL_EXECUTING,
    signals.SIGNAL_REVOKED,
    signals.SIGNAL_EXPIRED,
    signals.SIGNAL_INTERRUPTED,
    *REASONS,
)
"""Huey calls receivers of a named signal before those of all signals: an interrupted task is reported before the application's own
receivers run, during which this process may be killed."""
REFUSED = frozenset({signals.SIGNAL_LOCKED, "rate-limited"})


class Stopped(CancelExecution):
    """An operator stopped this task from z4j. Huey treats it like a task that cancels itself, and does not retry it."""

    def __init__(self, *_: Any) -> None:
        super().__init__(retry=False)


class Run:
    """Created when Huey starts to process a task. The attempt is read at once: Huey counts retries in the task itself."""

    __slots__ = (
        "attempt",
        "began_ns",
        "current_run",
        "ended_at",
        "error",
        "greenlet",
        "has_arguments",
        "is_reported",
        "is_sent_again",
        "name",
        "outcome",
        "queue",
        "received_at",
        "runtime",
        "started_at",
        "task",
        "task_id",
        "thread",
    )  # fmt: skip

    def __init__(self, task: Any, queue: str) -> None:
        self.received_at = now()
        self.task, self.queue = task, queue
        self.task_id: str = task.id
        self.attempt = attempt_of(task)
        self.name = name_of(task)
        self.has_arguments = is_reported(task)
        """Whether its producer reports the arguments."""
        self.thread = 0
        self.greenlet: Any = None
        self.began_ns = 0
        self.current_run: CurrentRun | None = None
        self.started_at: int | None = None
        self.ended_at: int | None = None
        self.runtime: int | None = None
        self.outcome = ""
        """Huey's signal for its outcome, if there is one."""
        self.error: BaseException | None = None
        self.is_reported = False
        """Whether its end was reported."""
        self.is_sent_again = False
        """Whether the application has enqueued this task object again while it ran, or because it was interrupted."""

    def begins(self) -> None:
        """Stores the start, by the wall clock (microseconds UTC) and the monotonic clock."""
        self.began_ns, self.started_at = time.perf_counter_ns(), now()

    def ends(self) -> None:
        """Stores the end; only the first one counts."""
        if self.ended_at is None and self.started_at is not None:
            self.runtime = (time.perf_counter_ns() - self.began_ns) // 1000
            self.ended_at = now()


current: contextvars.ContextVar[Run | None] = contextvars.ContextVar("z4j_huey_run", default=None)
"""The run in this thread or greenlet."""
retry_of: contextvars.ContextVar[str] = contextvars.ContextVar("z4j_huey_retry_of", default="")
"""The task that is being repeated, set by the command that repeats it."""


class Running:
    """The running tasks of this process, from just before a task's function is called until just after."""

    def __init__(self) -> None:
        self._runs: dict[str, Run] = {}
        self._lock = threading.Lock()

    def begin(self, run: Run) -> None:
        """From now on the run can be stopped: its thread or greenlet is known."""
        run.thread, run.greenlet = threading.get_ident(), _greenlet()
        with self._lock:
            self._runs[run.task_id] = run

    def end(self, run: Run) -> None:
        """Ends the period in which a task can be stopped. A stop that has already begun still counts: Huey's thread waits for it here."""
        try:
            with self._lock:
                self._forget(run)
        except Stopped:
            self._forget(run)
            raise

    def _forget(self, run: Run) -> None:
        if self._runs.get(run.task_id) is run:
            del self._runs[run.task_id]

    def get(self, task_id: str) -> Run | None:
        """Returns the run of a task, None if it does not run in this process."""
        return self._runs.get(task_id)

    def all(self) -> list[Run]:
        """A copy; the dictionary is copied in one step of the interpreter, so no lock is needed."""
        return list(self._runs.values())

    def stop(self, task_id: str) -> bool:
        """Raises `Stopped` in the running task. Returns False if it does not run.

        The lock keeps its thread from leaving the task meanwhile. For a greenlet, call this in a greenlet of the same hub: the exception
        is thrown from the hub, so that nothing else runs in between.
        """
        with self._lock:
            run = self._runs.get(task_id)
            if run is None:
                return False
            if run.greenlet is None:
                ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(run.thread), ctypes.py_object(Stopped))
                return True
        sys.modules["gevent"].get_hub().loop.run_callback(self._throw, run)
        return True

    def _throw(self, run: Run) -> None:
        if self._runs.get(run.task_id) is run:
            run.greenlet.throw(Stopped)


class InFlight(set[Any]):
    """Replaces Huey's own set of running tasks.

    Huey adds a task right before it calls the function and removes it right after, in every version. No public hook is as close: hooks
    before the call may still cancel it, and those after it run when its result was stored.
    """

    def __init__(self, tasks: set[Any], begins: Callable[[Any], object], ends: Callable[[Any], object]) -> None:
        super().__init__(tasks)
        self._begins, self._ends = begins, ends

    def add(self, task: Any) -> None:
        super().add(task)
        self._begins(task)

    def remove(self, task: Any) -> None:
        self._ends(task)
        super().discard(task)  # it may have been popped already, as interrupted

    def discard(self, task: Any) -> None:
        self._ends(task)
        super().discard(task)


def _greenlet() -> Any:
    """The greenlet that runs this, None where threads are Python's own."""
    monkey = sys.modules.get("gevent.monkey")
    return sys.modules["gevent"].getcurrent() if monkey is not None and monkey.is_module_patched("threading") else None
