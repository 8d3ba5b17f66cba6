# SPDX-License-Identifier: Apache-2.0
"""The words that adapters, schedulers and the agent share: actions, capabilities, refusals, findings. Imports nothing of the agent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Action = Literal[
    "retry_task", "edit_task", "restore_task", "run_task", "cancel_task", "terminate_task", "move_task", "prioritise_task",
    "release_task", "lookup_task", "peek_queue", "purge_queue", "pause_queue", "resume_queue", "shutdown_worker", "restart_worker",
    "resize_worker", "consume_queue", "leave_queue", "limit_name",
]  # fmt: skip
"""What an operator can ask of an engine. Names are imperative and equal to the method names of `Adapter`."""

Scope = Literal["any", "worker", "scheduler"]
"""Who can carry it out: any process of the app, only the worker that owns the task, or only the scheduler."""

Certainty = Literal["exact", "best_effort"]

ACTION_LEVEL: dict[str, str] = {
    "lookup_task": "read", "peek_queue": "read",
    "retry_task": "operate", "edit_task": "operate", "restore_task": "operate", "run_task": "operate", "cancel_task": "operate",
    "move_task": "operate", "prioritise_task": "operate", "release_task": "operate",
    "pause_queue": "operate", "resume_queue": "operate", "consume_queue": "operate", "leave_queue": "operate",
    "terminate_task": "all", "purge_queue": "all", "shutdown_worker": "all", "restart_worker": "all", "resize_worker": "all",
    "limit_name": "all",
}  # fmt: skip
"""The `allow` level an owner must have granted (`read` < `operate` < `all`) before the agent carries out an action."""


class Unsupported(Exception):
    """This engine cannot do that. The message says why, for the page."""


class Refused(Exception):
    """The engine can, but not now and not this task (already gone, too late, too large). The message says why.

    `check` names the safety check that refused it ("task.unknown", "queue.unknown", "original.altered", ...), "" where it was none.
    """

    def __init__(self, message: str = "", *, check: str = "") -> None:
        super().__init__(message)
        self.check = check


@dataclass(frozen=True, slots=True)
class Capability:
    """One action an adapter can carry out, where, and how sure its result is."""

    action: str
    scope: Scope
    certainty: Certainty
    states: tuple[str, ...] = ()
    """Task states in which it makes sense; empty means any."""
    note: str = ""
    """One sentence for the page: what the operator should know before pressing it."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something the doctor has to say about an engine or the agent in this environment."""

    level: Literal["ok", "warning", "error"]
    what: str
    """One sentence: what was found, and what it leads to."""
    remedy: str = ""
    """One sentence: what to do."""
