# SPDX-License-Identifier: AGPL-3.0-or-later
"""The look of each state (icon, color, word), for marks, bars and charts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Look:
    """`icon` is a symbol of static/icons.svg, `tone` the class of tokens.css that sets the color."""

    icon: str
    tone: str
    word: str


def _own(*names: str) -> dict[str, Look]:
    return {name: Look(name, f"s-{name}", name) for name in names}


#: States of a task, of a command and of a worker.
LOOKS: Final[dict[str, Look]] = {
    **_own(
        "scheduled", "queued", "received", "running", "retrying", "succeeded", "failed", "lost", "rejected", "expired",
        "cancelled", "paused", "unknown",
    ),
    "waiting": Look("queued", "s-waiting", "waiting"),
    "sent": Look("received", "s-sent", "sent"),
    "accepted": Look("running", "s-accepted", "accepted"),
    "done": Look("succeeded", "s-done", "done"),
    "refused": Look("rejected", "s-refused", "refused"),
    "unsupported": Look("cancelled", "s-cancelled", "unsupported"),
    "connected": Look("running", "s-connected", "connected"),
    "silent": Look("lost", "s-silent", "silent"),
    "left": Look("cancelled", "s-left", "left"),
    # of an error
    "unresolved": Look("failed", "s-failed", "unresolved"),
    "regressed": Look("retrying", "s-failed", "regressed"),
    "resolved": Look("succeeded", "s-done", "resolved"),
    "ignored": Look("paused", "s-paused", "ignored"),
    # of a schedule and of its due times
    "on time": Look("succeeded", "s-done", "on time"),
    "late": Look("scheduled", "s-late", "late"),
    "missed": Look("failed", "s-failed", "missed"),
    "double": Look("copy", "s-failed", "duplicate"),
    "skipped": Look("cancelled", "s-cancelled", "skipped"),
    "handed": Look("received", "s-sent", "sent"),
    "off": Look("paused", "s-paused", "disabled"),
    "gone": Look("lost", "s-late", "offline"),
    "ended": Look("cancelled", "s-left", "ended"),
}  # fmt: skip
UNKNOWN: Final = LOOKS["unknown"]


def look(state: str) -> Look:
    """Returns the look of a state; a state that is not in the table has the look of unknown and its own word."""
    return LOOKS.get(state) or Look(UNKNOWN.icon, UNKNOWN.tone, state or UNKNOWN.word)
