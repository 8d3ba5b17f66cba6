# SPDX-License-Identifier: Apache-2.0
"""Shared types of adapters, schedulers and the agent: actions, capabilities, refusals, findings. Imports nothing of the agent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Action = Literal[
    "retry_task", "edit_task", "restore_task", "run_task", "cancel_task", "terminate_task", "move_task", "prioritise_task",
    "release_task", "lookup_task", "inspect_task", "peek_queue", "purge_queue", "pause_queue", "resume_queue", "shutdown_worker",
    "restart_worker", "resize_worker", "consume_queue", "leave_queue", "limit_name",
]  # fmt: skip
"""Actions that an operator can request. Each name is the name of a method of `Adapter`; `inspect_task` is executed by the agent."""

Scope = Literal["any", "worker", "scheduler"]
"""Who can execute it: any process of the app, only the worker that owns the task, or only the scheduler."""

Certainty = Literal["exact", "best_effort"]

ACTION_LEVEL: dict[str, str] = {
    "lookup_task": "read", "inspect_task": "read", "peek_queue": "read",
    "retry_task": "operate", "edit_task": "operate", "restore_task": "operate", "run_task": "operate", "cancel_task": "operate",
    "move_task": "operate", "prioritise_task": "operate", "release_task": "operate",
    "pause_queue": "operate", "resume_queue": "operate", "consume_queue": "operate", "leave_queue": "operate",
    "terminate_task": "all", "purge_queue": "all", "shutdown_worker": "all", "restart_worker": "all", "resize_worker": "all",
    "limit_name": "all",
}  # fmt: skip
"""The `allow` level an owner must have granted (`read` < `operate` < `all`) before the agent executes an action."""


class Unsupported(Exception):
    """The engine does not support the action. The message is shown on the page."""


class Refused(Exception):
    """The engine supports the action, but not now or not for this task (already gone, too late, too large). The message is shown on the
    page.

    `check` names the safety check that refused the action ("task.unknown", "queue.unknown", "original.altered", ...), "" for other reasons.
    """

    def __init__(self, message: str = "", *, check: str = "") -> None:
        super().__init__(message)
        self.check = check


@dataclass(frozen=True, slots=True)
class Capability:
    """One action that an adapter can execute, in which processes, and how certain its result is."""

    action: str
    scope: Scope
    certainty: Certainty
    states: tuple[str, ...] = ()
    """Task states in which it makes sense; empty means any."""
    note: str = ""
    """One sentence for the page, shown before the action is requested."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A result of a check of an engine or the agent in this environment."""

    level: Literal["ok", "warning", "error"]
    what: str
    """One sentence: what was found, and what it leads to."""
    remedy: str = ""
    """One sentence: what to do."""
