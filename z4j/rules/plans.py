# SPDX-License-Identifier: AGPL-3.0-or-later
"""Rules of plans: which tasks are included, which are excluded and why, the pace, and when a canary stops. Pure."""

from __future__ import annotations

import enum
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Final

from z4j.exceptions import BadInput
from z4j.rules.commands import ENDED, RULES, why_not
from z4j.text import Json

MAX_ITEMS: Final = 200_000
UNDO_US: Final = 7 * 24 * 3_600_000_000
STAGES: Final = (5, 50)
"""Numbers of items after which a canary waits for their results."""
CANARY_LIMIT: Final = 20
"""Failure rate in percent at which a canary stops, unless another limit is given."""
WINDOW: Final = 200
"""Items that are sent and have no result yet, at most."""

#: action → (its button, states of a task in which it makes sense)
ACTIONS: Final[dict[str, tuple[str, frozenset[str]]]] = {
    **{
        action: (RULES[action].label, RULES[action].states)
        for action in ("cancel_task", "release_task", "prioritise_task", "move_task", "terminate_task", "restore_task")
    },
    # One that succeeded is run again from its own page: "retry all of these" does not mean it.
    "retry_task": (RULES["retry_task"].label, ENDED - {"succeeded"}),
    "delete_task": ("Delete from history", ENDED),
    "undelete_task": ("Restore to history", frozenset()),
}
SERVER_ACTIONS: Final = frozenset({"delete_task", "undelete_task"})
"""Executed by the server itself."""
LEVELS: Final = ("next", "high", "normal", "low")


class Item(enum.IntEnum):
    """State of an item. A plan is complete when every item has one from DONE on."""

    WAITING = 0
    SENT = 1
    DONE = 2
    CHANGED = 3
    """The task was in another state by then; nothing was done."""
    REFUSED = 4
    """The agent or the engine said no."""
    FAILED = 5
    EXPIRED = 6
    """It reached an agent too late and was not executed."""
    UNKNOWN = 7
    """Sent to an agent that ended before it reported a result; the outcome is unknown."""
    ABORTED = 8
    """The plan was aborted before its turn."""


ITEM_OF: Final = {
    "done": Item.DONE, "refused": Item.REFUSED, "unsupported": Item.REFUSED, "failed": Item.FAILED, "expired": Item.EXPIRED,
    "unknown": Item.UNKNOWN,
}  # fmt: skip
"""Status of a command as an agent reports it → state of the item."""

STOPPED: Final = "Stopped automatically: "
"""How the note of a plan begins that its canary has stopped."""
NO_AGENT: Final = "Waiting for an agent: "
"""How the note of a plan begins while no agent can execute its items."""

CAN_EXECUTE: Final = frozenset({"frozen"})
CAN_PAUSE: Final = frozenset({"running"})
CAN_RESUME: Final = frozenset({"paused"})
CAN_ABORT: Final = frozenset({"frozen", "running", "paused"})


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast: `per_minute` items (0: all at once), as a canary or not. `limit` is the share of failures in a hundred that stops it."""

    per_minute: int = 0
    is_canary: bool = False
    limit: int = CANARY_LIMIT


def read_pace(text: str, limit: str = "") -> Pace:
    """Parses `all`, `canary`, or `60/m`. Raises BadInput."""
    share = CANARY_LIMIT
    if limit:
        if not (re.fullmatch("[0-9]{1,3}", limit) and int(limit) <= 100):
            raise BadInput("The failure limit must be a number from 0 to 100. No changes were made.")
        share = int(limit)
    if text in ("", "all"):
        return Pace(limit=share)
    if text == "canary":
        return Pace(is_canary=True, limit=share)
    match = re.fullmatch("([0-9]{1,6})/m(in)?", text)
    if match is None or not int(match[1]):
        raise BadInput(f"“{text[:20]}” is not a valid pace. No changes were made.", "Use all, canary, or a number per minute such as 60/m.")
    return Pace(int(match[1]), limit=share)


def pack_pace(pace: Pace) -> str:
    """Returns a pace as it is stored."""
    return json.dumps(asdict(pace))


def unpack_pace(text: str) -> Pace:
    """Returns the pace of a stored text."""
    return Pace(**json.loads(text))


def allowance(pace: Pace, begun: int, in_flight: int, elapsed_us: int, already: int) -> int:
    """Returns how many items may be sent now: `begun` items of this plan were sent before, `already` of them before the present period
    of `elapsed_us` microseconds."""
    allowed = WINDOW - in_flight
    if pace.per_minute:
        allowed = min(allowed, pace.per_minute * elapsed_us // 60_000_000 + 1 - (begun - already))
    if pace.is_canary:
        stage = next((stage for stage in STAGES if begun < stage), None)
        if stage is not None:
            allowed = min(allowed, stage - begun)
    return max(allowed, 0)


def is_stage_over(pace: Pace, begun: int) -> bool:
    """Whether a canary has to wait for the results of the items so far."""
    return pace.is_canary and begun in STAGES


def is_over_limit(pace: Pace, failures: int, ended: int) -> bool:
    """Whether this number of failures among the ended items stops the plan."""
    return failures * 100 > pace.limit * ended


def why_excluded(action: str, state: str, original_state: str, *, is_retried: bool, can: str) -> str | None:
    """Returns why a task is excluded from a plan, or None. `can` is the reason why no agent can execute the action, "" if one can."""
    if state not in ACTIONS[action][1]:
        return f"state: {state}"
    if action in SERVER_ACTIONS:
        return None
    if action in ("retry_task", "restore_task") and is_retried:
        return "already retried"
    return why_not(action, state, original_state) or can or None


def digest_of(action: str, params: Mapping[str, Json], nonce: str) -> hashlib._Hash:
    """Returns the beginning of a plan's digest; each item is then added with `add_item`, in order."""
    return hashlib.sha256(json.dumps([nonce, action, params], sort_keys=True).encode())


def add_item(digest: hashlib._Hash, seq: int, task: int, task_id: bytes) -> None:
    """Adds an item to the digest of a plan."""
    digest.update(b"%d %d %d " % (seq, task, len(task_id)) + task_id)
