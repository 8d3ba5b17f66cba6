# SPDX-License-Identifier: Apache-2.0
"""Commands to a worker itself: ending after its answer, and pausing queues."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from typing import Final

from z4j_agent.commands.paused_queues import paused_queues_of

ANSWER_S: Final = 0.3
"""Seconds between the answer to a command and the end of the process, so that the answer can be sent."""
Switch = Callable[[bool], object]
"""Starts (True) or stops taking tasks from the queue in this process's workers, if the engine can do that."""


def signal_after_answer(number: int = signal.SIGTERM, pid: int = 0) -> None:
    """Sends a signal after ANSWER_S to a process, by default this one."""
    threading.Timer(ANSWER_S, os.kill, (pid or os.getpid(), number)).start()


def is_paused(engine: str, queue: str, identify: Callable[[], str]) -> bool:
    """Whether workers must not take tasks from that queue of that broker. `identify` returns the broker's identity, which takes time; it is
    not called while nothing is paused."""
    paused_queues = paused_queues_of(engine)
    return not paused_queues.is_empty() and paused_queues.is_paused(queue, identify())


def pause(engine: str, queue: str, broker: str, set_live: Switch = bool) -> None:
    """Pauses a queue in one broker, or in every broker if none is named. Raises OSError if it cannot be stored."""
    paused_queues_of(engine).pause(queue, broker)
    set_live(False)


def resume(engine: str, queue: str, broker: str, set_live: Switch = bool, own: str = "") -> None:
    """Resumes a queue. `own` is the broker of this process's workers, where another pause may still apply. Raises OSError."""
    paused_queues = paused_queues_of(engine)
    paused_queues.resume(queue, broker)
    if not paused_queues.is_paused(queue, own):
        set_live(True)


def reapply_pause(engine: str, queue: str, identify: Callable[[], str], set_live: Switch) -> None:
    """Applies stored pauses to a worker that has just started."""
    if is_paused(engine, queue, identify):
        set_live(False)
