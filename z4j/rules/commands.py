# SPDX-License-Identifier: AGPL-3.0-or-later
"""Which command makes sense for a task in which state, and the sentence when it does not. Pure."""

from __future__ import annotations

from typing import Final

WAITING: Final = frozenset({"scheduled", "queued", "received", "retrying"})
ENDED: Final = frozenset({"succeeded", "failed", "cancelled", "expired", "rejected", "lost"})

#: action → (label of its button, states it is offered in)
OFFERED: Final[dict[str, tuple[str, frozenset[str]]]] = {
    "retry_task": ("Retry", ENDED),
    "cancel_task": ("Cancel", WAITING),
    "terminate_task": ("Stop", frozenset({"running"})),
}

EXPIRES_US: Final[dict[str, int]] = {
    "retry_task": 15 * 60_000_000,
    "cancel_task": 24 * 3_600_000_000,
    "terminate_task": 60_000_000,
}
"""How long a command waits for an agent. A cancel keeps its sense as long as the task may wait; a stop loses it at once."""

_NO_ORIGINAL: Final = {
    "none": "the engine's own message is not kept (any more), and the shown arguments are masked, so they cannot be sent again",
    "too_large": "its message was larger than 64 KB and was not kept",
    "no_key": "its arguments hold secrets and the application has no seal key, so its message was not kept; "
    "put the whole connection string into Z4J_URL",
}


def why_not(action: str, state: str, original_state: str) -> str | None:
    """None when the action makes sense now, else the reason as half a sentence."""
    known = OFFERED.get(action)
    if known is None:
        return f"there is no action {action}"
    if state not in known[1]:
        return f"the task is {state}"
    if action == "retry_task" and original_state in _NO_ORIGINAL:
        return _NO_ORIGINAL[original_state]
    return None
