# SPDX-License-Identifier: Apache-2.0
"""One delivery of a message in the process that takes it, and how its function is watched while it runs."""

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

from z4j_agent.capture.hooks import now
from z4j_agent.wire import records
from z4j_taskiq.messages import MARK


class Run:
    """From the moment the receiver takes a message until nothing more is known of it."""

    __slots__ = (
        "ack",
        "attempt",
        "began_ns",
        "coroutine",
        "error",
        "is_ackable",
        "is_cancelled",
        "is_marked",
        "is_reported",
        "is_stopped",
        "message",
        "meta",
        "name",
        "next_attempt",
        "next_eta",
        "queue",
        "raw",
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
        self.coroutine: Any = None
        """The coroutine of the task's own function, once it was called; None for a plain function."""
        self.error: BaseException | None = None
        """What the function raised. The retry middlewares replace it in the result."""
        self.next_attempt: int | None = None
        """Set when this very task was sent again while it ran: a retry."""
        self.next_eta: int | None = None
        self.is_marked = raw.endswith(MARK)
        """Whether its producer has told its arguments."""
        self.is_cancelled = self.is_stopped = self.is_reported = False
        self.token: Any = None

    def begin(self) -> None:
        """The function is about to be called."""
        self.started_at, self.began_ns = now(), time.perf_counter_ns()

    def runtime(self) -> int | None:
        """Microseconds since the start, by this process's monotonic clock; None when it never started."""
        return (time.perf_counter_ns() - self.began_ns) // 1000 if self.began_ns else None

    def is_in_its_own_code(self) -> bool:
        """Whether the task's coroutine waits for something right now. To be asked in the loop's thread."""
        return self.coroutine is not None and inspect.getcoroutinestate(self.coroutine) == inspect.CORO_SUSPENDED

    def will_be_delivered_again(self) -> bool:
        """Whether the broker still holds the message."""
        return self.is_ackable and not getattr(self.ack, "is_acked", False)


CURRENT: ContextVar[Run | None] = ContextVar("z4j_taskiq_run", default=None)
"""The run in whose context this code executes: the parent of what it sends. Threads of taskiq's pool get a copy."""


def is_coroutine_function(function: Any) -> bool:
    """As taskiq decides it on every Python."""
    return inspect.iscoroutinefunction(function) or getattr(function, "_is_coroutine", None) is not None


def watched(run: Run, target: Callable[..., Any], executor: Any, begin: Callable[[Run], object], *, is_known: bool) -> Callable[..., Any]:
    """`target`, calling `begin(run)` right before it is called. A coroutine's own frames stay as they were.

    In a process pool the function travels to another process and must stay what it is: there `begin` is called now. `is_known` says that
    the receiver has read the signature already; a function it has not met must show the one it wraps.
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
        return target(*args, **kwargs)

    return call if is_known else functools.wraps(target)(call)


def _marked(function: Callable[..., Any]) -> Callable[..., Any]:
    """A plain function that returns a coroutine, known as one that does."""
    if sys.version_info >= (3, 12):
        return inspect.markcoroutinefunction(function)
    function._is_coroutine = asyncio.coroutines._is_coroutine  # type: ignore[attr-defined]
    return function
