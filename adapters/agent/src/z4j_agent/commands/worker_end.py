# SPDX-License-Identifier: Apache-2.0
"""What a worker is asked about itself: to end once it has answered, and to take nothing from a queue while that is paused."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from typing import Final

from z4j_agent.commands.paused_queues import paused_queues_of

ANSWER_S: Final = 0.3
"""So long the answer to a command has before the process it came from begins to end."""
Switch = Callable[[bool], object]
"""Has this process's workers take from the queue (True) or not, where the engine has a switch for it."""


def signal_after_answer(number: int = signal.SIGTERM, pid: int = 0) -> None:
    """Sends the signal when the answer to this command has had time to leave; to this process where no other is named."""
    threading.Timer(ANSWER_S, os.kill, (pid or os.getpid(), number)).start()


def is_paused(engine: str, queue: str, identify: Callable[[], str]) -> bool:
    """Whether workers must not take tasks from that queue of that broker. `identify` gives the broker's identity, which takes time to find
    out; it is not called while nothing is paused."""
    paused_queues = paused_queues_of(engine)
    return not paused_queues.is_empty() and paused_queues.is_paused(queue, identify())


def pause(engine: str, queue: str, broker: str, set_live: Switch = bool) -> None:
    """In one broker, in every one where none is named. Raises OSError where it cannot be kept."""
    paused_queues_of(engine).pause(queue, broker)
    set_live(False)


def resume(engine: str, queue: str, broker: str, set_live: Switch = bool, own: str = "") -> None:
    """The reverse. `own` is the broker of this process's workers: another pause may still hold the queue there. Raises OSError."""
    paused_queues = paused_queues_of(engine)
    paused_queues.resume(queue, broker)
    if not paused_queues.is_paused(queue, own):
        set_live(True)


def pause_again(engine: str, queue: str, identify: Callable[[], str], set_live: Switch) -> None:
    """For a worker that has just begun: what was paused stays so."""
    if is_paused(engine, queue, identify):
        set_live(False)
