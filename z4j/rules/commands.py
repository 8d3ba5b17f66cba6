# SPDX-License-Identifier: AGPL-3.0-or-later
"""What may be asked of agents: one rule per action, and the sentence when it makes no sense now. Pure.

The names are those of `z4j_agent.contract.adapter.Action`; what an engine can really do it declares when it dials in.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

WAITING: Final = frozenset({"scheduled", "queued", "received", "retrying"})
ENDED: Final = frozenset({"succeeded", "failed", "cancelled", "expired", "rejected", "lost"})
MINUTE_US: Final = 60_000_000


@dataclass(frozen=True, slots=True)
class Rule:
    """One action. `level` is what the application's owner must allow; `word` must be typed where nothing brings it back by itself."""

    label: str
    subject: Literal["task", "queue", "worker", "name", "schedule"]
    level: Literal["read", "operate", "all"]
    notice: str
    """What a page says once it was asked."""
    states: frozenset[str] = frozenset()
    """Of a task, in which it is offered."""
    expires_us: int = 15 * MINUTE_US
    """How long it waits for an agent. A cancel keeps its sense as long as the task may wait; a stop loses it at once."""
    word: str = ""
    needs_original: bool = False
    is_everywhere: bool = False
    """Asked of every worker it concerns, not of one agent."""


RULES: Final[dict[str, Rule]] = {
    "retry_task": Rule(
        "Retry", "task", "operate", "Retry asked. It runs again under a new task id, linked below.", ENDED, needs_original=True
    ),
    "edit_task": Rule(
        "Edit and run",
        "task",
        "operate",
        "Asked to run again with other arguments, under a new task id, linked below.",
        ENDED,
        needs_original=True,
    ),
    "restore_task": Rule(
        "Put back",
        "task",
        "operate",
        "Asked to put it back. It waits under a new task id, linked below.",
        frozenset({"cancelled"}),
        needs_original=True,
    ),
    "cancel_task": Rule(
        "Cancel", "task", "operate", "Cancel asked. The task is cancelled when the engine says so.", WAITING, 24 * 60 * MINUTE_US
    ),
    "release_task": Rule("Run now", "task", "operate", "Asked to run it now.", frozenset({"scheduled", "retrying"})),
    "prioritise_task": Rule("Priority", "task", "operate", "Asked for another place in its queue.", frozenset({"queued"})),
    "move_task": Rule("Move", "task", "operate", "Asked to put it into the other queue.", frozenset({"queued", "scheduled"})),
    "terminate_task": Rule(
        "Stop", "task", "all", "Stop asked. The task has ended when its worker says so.", frozenset({"running"}), MINUTE_US, "stop"
    ),
    "lookup_task": Rule(
        "Look up", "task", "read", "Asked the engine what it knows of this task.", ENDED | WAITING | {"running"}, MINUTE_US
    ),
    "run_task": Rule("Run", "name", "operate", "Asked to run it."),
    "limit_name": Rule("Limit", "name", "all", "Asked every worker to limit this task name.", is_everywhere=True),
    "peek_queue": Rule("Look into", "queue", "read", "Asked the broker what waits.", expires_us=MINUTE_US),
    "purge_queue": Rule("Purge", "queue", "all", "Purge asked. What is taken out can be put back for seven days.", word="purge"),
    "pause_queue": Rule("Pause", "queue", "operate", "Pause asked of every worker. What runs goes on.", is_everywhere=True),
    "resume_queue": Rule("Resume", "queue", "operate", "Resume asked of every worker.", is_everywhere=True),
    "shutdown_worker": Rule(
        "Shut down", "worker", "all", "Asked it to end. It finishes what it runs first.", expires_us=5 * MINUTE_US, word="shutdown"
    ),
    "restart_worker": Rule("Restart", "worker", "all", "Asked it to begin anew.", expires_us=5 * MINUTE_US, word="restart"),
    "resize_worker": Rule("Resize", "worker", "all", "Asked it to change its size.", expires_us=5 * MINUTE_US),
    "consume_queue": Rule("Consume", "worker", "operate", "Asked it to take from this queue too."),
    "leave_queue": Rule("Leave", "worker", "operate", "Asked it to take no more from this queue."),
    "save_schedule": Rule("Save", "schedule", "operate", "Asked its scheduler to save it."),
    "delete_schedule": Rule("Delete", "schedule", "operate", "Asked its scheduler to delete it.", word="delete"),
    "enable_schedule": Rule("Switch on", "schedule", "operate", "Asked its scheduler to switch it on."),
    "disable_schedule": Rule("Switch off", "schedule", "operate", "Asked its scheduler to switch it off."),
    "fire_schedule": Rule("Run now", "schedule", "operate", "Asked to run it now. Its next time stays.", expires_us=MINUTE_US),
}

#: Of a task, in the order its page offers them.
HELD: Final = frozenset({"release_task", "lookup_task"})
"""Actions on a task that its worker may hold in memory alone: that one is asked before others that could do it too."""
TASK_ACTIONS: Final = tuple(action for action, rule in RULES.items() if rule.subject == "task")

_NO_ORIGINAL: Final = {
    "none": "the engine's own message is not kept (any more), and the shown arguments are masked, so they cannot be sent again",
    "too_large": "its message was larger than 64 KB and was not kept",
    "no_key": "the application has no seal key, so its message could not be authenticated and was not kept; "
    "set the whole connection string in Z4J_URL",
}


def why_not(action: str, state: str, original_state: str) -> str | None:
    """None when the action makes sense for a task now, else the reason as half a sentence."""
    rule = RULES.get(action)
    if rule is None or rule.subject != "task":
        return f"there is no action {action}"
    if state not in rule.states:
        return f"the task is {state}"
    if rule.needs_original and original_state in _NO_ORIGINAL:
        return _NO_ORIGINAL[original_state]
    return None
