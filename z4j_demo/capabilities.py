# SPDX-License-Identifier: AGPL-3.0-or-later
"""The actions of the recorded engines, as docs/engines.md lists those of their adapters."""

from __future__ import annotations

from typing import Any, Final

EVERYWHERE: Final = (
    "retry_task", "edit_task", "restore_task", "run_task", "cancel_task", "terminate_task", "release_task", "prioritise_task", "move_task",
    "lookup_task", "inspect_task", "peek_queue", "purge_queue", "pause_queue", "resume_queue", "shutdown_worker",
)  # fmt: skip
ONLY_CELERY: Final = ("restart_worker", "resize_worker", "consume_queue", "leave_queue", "limit_name")
NOT_OFFERED: Final = {"taskiq": ("release_task",)}
OF_WORKER: Final = frozenset({"terminate_task", "inspect_task", "pause_queue", "resume_queue", "shutdown_worker", *ONLY_CELERY})
IN_MEMORY: Final = {
    "celery": ("cancel_task", "release_task"), "dramatiq": ("cancel_task", "release_task"), "taskiq": ("cancel_task",),
}  # fmt: skip
"""What an engine's worker alone can do, because it holds the task in its memory."""
STATES: Final = {
    "cancel_task": ["scheduled", "queued", "received", "retrying"], "terminate_task": ["running"], "inspect_task": ["running"],
    "release_task": ["scheduled", "retrying"], "prioritise_task": ["queued"], "move_task": ["queued", "scheduled"],
}  # fmt: skip
BY_SCHEDULER: Final = ("save_schedule", "delete_schedule", "enable_schedule", "disable_schedule", "fire_schedule")
IN_CODE: Final = ("apply_overrides", "fire_schedule")
DEMO: Final = "Answered by a recorded agent: demo."


def of_engine(engine: str) -> list[list[Any]]:
    """The capabilities of a recorded worker, as its hello has them."""
    actions = [action for action in EVERYWHERE if action not in NOT_OFFERED.get(engine, ())]
    own = OF_WORKER | set(IN_MEMORY.get(engine, ()))
    actions += ONLY_CELERY if engine == "celery" else ()
    return [[engine, action, "worker" if action in own else "any", "exact", STATES.get(action, []), DEMO] for action in actions]


def of_scheduler(scheduler: str, *, is_code: bool) -> list[list[Any]]:
    """The capabilities of a recorded scheduler."""
    return [[scheduler, action, "any", "exact", [], DEMO] for action in (IN_CODE if is_code else BY_SCHEDULER)]
