# SPDX-License-Identifier: Apache-2.0
"""Stopping a running task, and remembering that it was asked for: the child that is interrupted does not know why."""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
from pathlib import Path

from huey.exceptions import CancelExecution

from z4j_agent.agent import Agent


class Stopped(CancelExecution):
    """Raised in the thread of a task that an operator stops. Huey takes it for the task's own wish to be cancelled for good."""

    def __init__(self) -> None:
        super().__init__("stopped by an operator", retry=False)


def _mark(agent: Agent, task_id: str) -> Path | None:
    folder = agent.shipper.folder
    return None if folder is None else folder / f"stop-{hashlib.sha256(task_id.encode()).hexdigest()[:24]}"


def ask(agent: Agent, task_id: str) -> None:
    """Notes for the children of this consumer that a task was asked to stop. Raises OSError."""
    mark = _mark(agent, task_id)
    if mark is not None:
        mark.touch(mode=0o600)


def was_asked(agent: Agent, task_id: str) -> bool:
    """Whether somebody asked, once: the note is taken away."""
    mark = _mark(agent, task_id)
    if mark is None:
        return False
    with contextlib.suppress(FileNotFoundError):
        mark.unlink()
        return True
    return False


def raise_in(thread: int) -> bool:
    """Has `Stopped` raised in a thread of this process at its next Python instruction. False when there is no such thread."""
    return bool(ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(Stopped)) == 1)
