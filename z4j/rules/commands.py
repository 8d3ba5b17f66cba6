# SPDX-License-Identifier: AGPL-3.0-or-later
"""The actions of agents: one rule per action, and the reason when it is not possible now. Pure.

The names are those of `z4j_agent.contract.adapter.Action`; an agent declares which of them its engine supports when it connects.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

WAITING: Final = frozenset({"scheduled", "queued", "received", "retrying"})
ENDED: Final = frozenset({"succeeded", "failed", "cancelled", "expired", "rejected", "lost"})
MINUTE_US: Final = 60_000_000


@dataclass(frozen=True, slots=True)
class Rule:
    """One action. `level` is what the application's owner must allow; `word` must be typed where the action cannot be undone."""

    label: str
    subject: Literal["task", "queue", "worker", "name", "schedule"]
    level: Literal["read", "operate", "all"]
    notice: str
    """The notice of a page after the request."""
    states: frozenset[str] = frozenset()
    """States of a task in which it is offered."""
    expires_us: int = 15 * MINUTE_US
    """How long it waits for an agent. A cancel is useful as long as the task may be queued; a stop only at once."""
    word: str = ""
    needs_original: bool = False
    is_everywhere: bool = False
    """Sent to every worker it concerns, not to one agent."""


RULES: Final[dict[str, Rule]] = {
    "retry_task": Rule(
        "Retry", "task", "operate", "Retry requested. The task will run again under a new ID (linked below).", ENDED, needs_original=True
    ),
    "edit_task": Rule(
        "Edit and run",
        "task",
        "operate",
        "Run with changed arguments requested. It will have a new ID (linked below).",
        ENDED,
        needs_original=True,
    ),
    "restore_task": Rule(
        "Restore",
        "task",
        "operate",
        "Restore requested. The task will be queued under a new ID (linked below).",
        frozenset({"cancelled"}),
        needs_original=True,
    ),
    "cancel_task": Rule("Cancel", "task", "operate", "Cancel requested. Waiting for the engine to confirm.", WAITING, 24 * 60 * MINUTE_US),
    "release_task": Rule("Run now", "task", "operate", "Run requested.", frozenset({"scheduled", "retrying"})),
    "prioritise_task": Rule("Priority", "task", "operate", "Priority change requested.", frozenset({"queued"})),
    "move_task": Rule("Move", "task", "operate", "Move requested.", frozenset({"queued", "scheduled"})),
    "terminate_task": Rule(
        "Stop", "task", "all", "Stop requested. Waiting for the worker to confirm.", frozenset({"running"}), MINUTE_US, "stop"
    ),
    "inspect_task": Rule(
        "Show stack", "task", "read", "Stack requested. The worker's answer is shown below.", frozenset({"running"}), MINUTE_US
    ),
    "lookup_task": Rule("Look up", "task", "read", "Lookup requested.", ENDED | WAITING | {"running"}, MINUTE_US),
    "run_task": Rule("Run", "name", "operate", "Run requested."),
    "limit_name": Rule("Limit", "name", "all", "Limit requested for every worker.", is_everywhere=True),
    "peek_queue": Rule("List tasks", "queue", "read", "List of tasks requested.", expires_us=MINUTE_US),
    "purge_queue": Rule("Purge", "queue", "all", "Purge requested. Removed tasks can be restored for 7 days.", word="purge"),
    "pause_queue": Rule("Pause", "queue", "operate", "Pause requested for every worker. Running tasks continue.", is_everywhere=True),
    "resume_queue": Rule("Resume", "queue", "operate", "Resume requested for every worker.", is_everywhere=True),
    "shutdown_worker": Rule(
        "Shut down",
        "worker",
        "all",
        "Shutdown requested. The worker finishes its running tasks first.",
        expires_us=5 * MINUTE_US,
        word="shutdown",
    ),
    "restart_worker": Rule("Restart", "worker", "all", "Restart requested.", expires_us=5 * MINUTE_US, word="restart"),
    "resize_worker": Rule("Resize", "worker", "all", "Resize requested.", expires_us=5 * MINUTE_US),
    "consume_queue": Rule("Consume", "worker", "operate", "Consume requested. The worker will take tasks from this queue."),
    "leave_queue": Rule("Stop consuming", "worker", "operate", "Stop consuming requested. Tasks that the worker has fetched still run."),
    "save_schedule": Rule("Save", "schedule", "operate", "Save requested. Waiting for the scheduler to confirm."),
    "delete_schedule": Rule("Delete", "schedule", "operate", "Delete requested. Waiting for the scheduler to confirm.", word="delete"),
    "enable_schedule": Rule("Enable", "schedule", "operate", "Enable requested. Waiting for the scheduler to confirm."),
    "disable_schedule": Rule("Disable", "schedule", "operate", "Disable requested. Waiting for the scheduler to confirm."),
    "fire_schedule": Rule("Run now", "schedule", "operate", "Run requested. The next scheduled run is unchanged.", expires_us=MINUTE_US),
}

#: Of a task, in the order its page offers them.
HELD: Final = frozenset({"release_task", "lookup_task"})
"""Actions on a task that its worker may hold in memory alone: that one is chosen before others that could do it, too."""
TASK_ACTIONS: Final = tuple(action for action, rule in RULES.items() if rule.subject == "task")

_NO_ORIGINAL: Final = {
    "none": "its original is not stored, and the arguments shown are masked, so they cannot be sent again",
    "too_large": "its original is larger than 64 KB and was not stored",
    "no_key": "the application has no seal key, so its original could not be authenticated and was not stored; "
    "set Z4J_URL to the whole connection string",
}


def why_not(action: str, state: str, original_state: str) -> str | None:
    """Returns why the action is not possible for a task now, as half a sentence, or None."""
    rule = RULES.get(action)
    if rule is None or rule.subject != "task":
        return f"there is no action {action}"
    if state not in rule.states:
        return f"the task is {state}"
    if rule.needs_original and original_state in _NO_ORIGINAL:
        return _NO_ORIGINAL[original_state]
    return None
