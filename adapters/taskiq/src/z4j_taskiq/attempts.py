# SPDX-License-Identifier: Apache-2.0
"""One delivery of a message in the process that takes it, and the wrapper of its function."""

from __future__ import annotations

import asyncio
import functools
import inspect
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextvars import ContextVar
from typing import Any

from z4j_agent.capture import run_usage
from z4j_agent.capture.current_run import CurrentRun
from z4j_agent.capture.hooks import now
from z4j_agent.wire import records
from z4j_taskiq.messages import MARK


class Run:
    """One run, from the receiver's taking a message to the last event of it."""

    __slots__ = (
        "ack",
        "attempt",
        "began_ns",
        "coroutine",
        "current_run",
        "error",
        "is_ackable",
        "is_cancelled",
        "is_marked",
        "is_receipt_reported",
        "is_reported",
        "is_stopped",
        "message",
        "meta",
        "name",
        "next_attempt",
        "next_eta",
        "queue",
        "raw",
        "receipt_meta",
        "received_at",
        "requeues",
        "started_at",
        "target",
        "task",
        "task_id",
        "token",
    )  # fmt: skip

    def __init__(self, raw: bytes, *, is_ackable: bool) -> None:
        self.raw = raw
        self.is_ackable = is_ackable
        self.received_at = now()
        self.task_id = self.name = self.queue = ""
        self.attempt = self.requeues = self.began_ns = 0
        self.started_at: int | None = None
        self.meta = records.NO_META
        self.message: Any = None
        self.ack: Any = None
        self.target: Any = None
        self.task: asyncio.Task[Any] | None = None
        self.current_run: CurrentRun | None = None
        self.coroutine: Any = None
        """The coroutine of the task's own function, once it was called; None for a plain function."""
        self.error: BaseException | None = None
        """What the function raised. The retry middlewares replace it in the result."""
        self.next_attempt: int | None = None
        """Set when this task was sent again while it ran: a retry."""
        self.next_eta: int | None = None
        self.is_marked = raw.endswith(MARK)
        """Whether its producer has reported its arguments."""
        self.is_cancelled = self.is_stopped = self.is_reported = self.is_receipt_reported = False
        self.receipt_meta = records.NO_META
        self.token: Any = None

    def begin(self) -> None:
        """Sets the start of the function."""
        self.started_at, self.began_ns = now(), time.perf_counter_ns()

    def runtime(self) -> int | None:
        """Microseconds since the start, by this process's monotonic clock; None when it never started."""
        return (time.perf_counter_ns() - self.began_ns) // 1000 if self.began_ns else None

    def is_in_its_own_code(self) -> bool:
        """Whether the task's coroutine is waiting now. Call it in the loop's thread."""
        return self.coroutine is not None and inspect.getcoroutinestate(self.coroutine) == inspect.CORO_SUSPENDED

    def will_be_delivered_again(self) -> bool:
        """Whether the broker still has the message."""
        return self.is_ackable and not getattr(self.ack, "is_acked", False)


CURRENT: ContextVar[Run | None] = ContextVar("z4j_taskiq_run", default=None)
"""The run in whose context this code executes: the parent of tasks that it sends. Threads of taskiq's pool get a copy."""


def is_coroutine_function(function: Any) -> bool:
    """Whether a function is a coroutine function, as taskiq determines it on every version of Python."""
    return inspect.iscoroutinefunction(function) or getattr(function, "_is_coroutine", None) is not None


def watched(run: Run, target: Callable[..., Any], executor: Any, begin: Callable[[Run], object], *, is_known: bool) -> Callable[..., Any]:
    """Wraps `target`, so that `begin(run)` is called right before it. A coroutine's own frames are unchanged.

    In a process pool the function is sent to another process and must not be wrapped: there `begin` is called now. `is_known`: the
    receiver has already read the signature; otherwise the wrapper must have the signature of the wrapped function.
    """
    if is_coroutine_function(target):

        def start(*args: Any, **kwargs: Any) -> Any:
            begin(run)
            run.coroutine = target(*args, **kwargs)
            return run.coroutine

        return _marked(start if is_known else functools.wraps(target)(start))
    if isinstance(executor, ProcessPoolExecutor):
        begin(run)
        return target

    def call(*args: Any, **kwargs: Any) -> Any:
        begin(run)
        try:
            return target(*args, **kwargs)
        finally:
            run_usage.measure(run.current_run)  # here, because the end is reported in the thread of the event loop

    return call if is_known else functools.wraps(target)(call)


def starts_at_once(receiver: Any, target: Callable[..., Any], name: str) -> bool:
    """Whether nothing of the application's is awaited between `run_task` and the function: it is a coroutine function, which needs no
    thread of the pool, and has no dependencies (taskiq/receiver/receiver.py: `run_task`)."""
    if not is_coroutine_function(target):
        return False
    graph = getattr(receiver, "dependency_graphs", {}).get(name)
    return graph is not None and bool(graph.is_empty())


def _marked(function: Callable[..., Any]) -> Callable[..., Any]:
    """Marks a plain function that returns a coroutine as a coroutine function."""
    if sys.version_info >= (3, 12):
        return inspect.markcoroutinefunction(function)
    function._is_coroutine = asyncio.coroutines._is_coroutine  # type: ignore[attr-defined]
    return function
