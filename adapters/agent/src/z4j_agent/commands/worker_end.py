# SPDX-License-Identifier: Apache-2.0
"""Commands to a worker itself: ending after its answer."""

from __future__ import annotations

import os
import signal
import threading
from typing import Final

ANSWER_S: Final = 0.3
"""Seconds between the answer to a command and the end of the process, so that the answer can be sent."""


def signal_after_answer(number: int = signal.SIGTERM, pid: int = 0) -> None:
    """Sends a signal to a process, by default this one, after ANSWER_S seconds in a thread of `threading.Timer`. Returns at once. Raises
    RuntimeError if no thread can be started."""
    threading.Timer(ANSWER_S, os.kill, (pid or os.getpid(), number)).start()
