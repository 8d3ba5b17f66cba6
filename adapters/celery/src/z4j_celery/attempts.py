# SPDX-License-Identifier: Apache-2.0
"""One run of a task in the process that executes it, with the data that Celery's signals do not contain."""

from __future__ import annotations

import sys
import time
import traceback as tracebacks
from typing import Any

from celery.exceptions import Reject

from z4j_agent.capture import display
from z4j_agent.capture.current_run import CurrentRun
from z4j_agent.capture.hooks import TRACEBACK_LIMIT
from z4j_agent.wire import records
from z4j_celery.messages import now

NEAR = 6
"""Frames between a receiver and the function of Celery that sends the signal."""
REDELIVERED = '{"redelivered":true}'


class Run:
    """One run of a task: its start, by the wall clock and the monotonic clock."""

    __slots__ = ("attempt", "began_ns", "current_run", "meta", "name", "outer", "queue", "sent_again", "started_at", "stored", "task_id")

    def __init__(self, request: Any, name: str, queue: str) -> None:
        self.began_ns = time.perf_counter_ns()
        self.started_at = now()
        self.name = name
        self.attempt = int(request.retries or 0)
        self.task_id = request.id
        self.outer = sys.exc_info()[1]
        """The exception that the caller was handling at the start; an eager task may be called from an `except` block."""
        self.sent_again: int | None = None
        """When it is due again (microseconds UTC), if the task has sent its own ID again: a retry that does not raise, or a replacement."""
        self.stored: tuple[str, Any] | None = None
        """State and meta that the task itself has stored."""
        info = request.delivery_info
        self.queue = queue
        self.current_run: CurrentRun | None = None
        self.meta = REDELIVERED if info and info.get("redelivered") else records.NO_META

    def runtime(self) -> int:
        """Microseconds since the start, by this process's monotonic clock."""
        return (time.perf_counter_ns() - self.began_ns) // 1000

    def interrupted_by(self) -> Exception | None:
        """Returns the exception that is passing through Celery's tracer now; None if Celery handles the task's end itself.

        Called from `task_postrun`, which is sent in a `finally`. Such an exception comes from the handling of the end, for instance
        because the result backend is unreachable, and then no other signal reports the task's end.
        """
        passing = sys.exc_info()[1]
        if passing is self.outer or not isinstance(passing, Exception) or isinstance(passing, Reject | MemoryError):
            return None
        return passing


def delivery_mode_of_publish() -> Any:
    """Returns the delivery mode of the message being published; None if unknown. The signal does not contain it."""
    frame: Any = sys._getframe(2)
    for _ in range(NEAR):
        if frame is None:
            return None
        if frame.f_code.co_name == "send_task_message":  # celery/app/amqp.py: `_create_task_sender`
            return frame.f_locals.get("delivery_mode")
        frame = frame.f_back
    return None


def traceback_of(einfo: Any) -> str:
    """Returns the masked traceback of Celery's `ExceptionInfo`, "" without one."""
    text = getattr(einfo, "traceback", None)
    return display.show_error(str(text), TRACEBACK_LIMIT) if text else ""


def text_of_traceback(error: BaseException | None) -> str:
    """Returns the traceback as Python prints it, not yet redacted."""
    return "".join(tracebacks.format_exception(error)) if error is not None else ""
