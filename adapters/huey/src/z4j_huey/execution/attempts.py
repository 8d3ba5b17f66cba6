# SPDX-License-Identifier: Apache-2.0
"""One run of a task, from the moment a worker has taken it to its end, and how one is stopped in this process."""

from __future__ import annotations

import contextvars
import ctypes
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from huey.exceptions import CancelExecution

from z4j_agent.capture.hooks import now
from z4j_huey.messages import attempt_of, name_of


class Stopped(CancelExecution):
    """An operator stopped this task from z4j. Huey takes it for the task's own wish to be cancelled, not to be tried again."""

    def __init__(self, *_: Any) -> None:
        super().__init__(retry=False)


class Run:
    """Made when Huey begins to look at a task. The attempt is read at once: Huey counts retries in the task itself."""

    __slots__ = (
        "attempt",
        "began_ns",
        "ended_at",
        "error",
        "greenlet",
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
        self.thread = 0
        self.greenlet: Any = None
        self.began_ns = 0
        self.started_at: int | None = None
        self.ended_at: int | None = None
        self.runtime: int | None = None
        self.outcome = ""
        """Huey's signal for the way it ended, where it has one."""
        self.error: BaseException | None = None
        self.is_reported = False
        """Whether its end was written."""
        self.is_sent_again = False
        """Whether the application has enqueued this very task anew while it ran, or because it was interrupted."""

    def begins(self) -> None:
        self.began_ns, self.started_at = time.perf_counter_ns(), now()

    def ends(self) -> None:
        """The first end counts."""
        if self.ended_at is None and self.started_at is not None:
            self.runtime = (time.perf_counter_ns() - self.began_ns) // 1000
            self.ended_at = now()


current: contextvars.ContextVar[Run | None] = contextvars.ContextVar("z4j_huey_run", default=None)
"""What runs in this thread or greenlet."""
retry_of: contextvars.ContextVar[str] = contextvars.ContextVar("z4j_huey_retry_of", default="")
"""The task that a task enqueued here repeats, set by the command that repeats it."""


class Running:
    """What this process runs, between the moment before a task's function is called and the moment after."""

    def __init__(self) -> None:
        self._runs: dict[str, Run] = {}
        self._lock = threading.Lock()

    def begin(self, run: Run) -> None:
        run.thread, run.greenlet = threading.get_ident(), _greenlet()
        with self._lock:
            self._runs[run.task_id] = run

    def end(self, run: Run) -> None:
        """After this nobody stops it any more. A stop that comes in the middle of this still counts: Huey waits for it here."""
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
        return self._runs.get(task_id)

    def all(self) -> list[Run]:
        """A copy; the dictionary is copied in one step of the interpreter, so no lock is needed."""
        return list(self._runs.values())

    def stop(self, task_id: str) -> bool:
        """Raises `Stopped` where the task runs; False when it does not.

        The lock keeps its thread from leaving the task meanwhile. For a greenlet, call it in one of the same hub: it is thrown into
        from the hub itself, where nothing else runs in between.
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
    """Stands in for Huey's own set of running tasks.

    Huey puts a task in right before it calls the function and takes it out right after, in every version. No public hook is that close:
    hooks that run before the call may still veto it, and those after it run when its result was stored.
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
