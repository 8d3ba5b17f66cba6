# SPDX-License-Identifier: AGPL-3.0-or-later
"""The states of a task and their codes. The code is the low four bits of a state key, see fold.py."""

from __future__ import annotations

from typing import Final

STATES: Final[dict[str, int]] = {
    "scheduled": 1,
    "queued": 2,
    "received": 3,
    "running": 4,
    "retrying": 5,
    "lost": 6,
    "cancelled": 8,
    "expired": 9,
    "rejected": 10,
    "failed": 11,
    "succeeded": 12,
}
"""Every state by name. Codes below 8 are states of an attempt that has not ended, the newest of which is shown; from 8 on are ends."""

STATE_NAMES: Final[dict[int, str]] = {code: name for name, code in STATES.items()}

WAITING: Final = ("scheduled", "queued", "received")
ACTIVE: Final = ("running", "retrying")
ENDED_BADLY: Final = ("failed", "lost", "rejected", "expired")
FINAL: Final = frozenset({"lost", "cancelled", "expired", "rejected", "failed", "succeeded"})
"""Nothing more is expected. `lost` is the one final state that later news can still overrule."""

FINAL_CODES: Final = frozenset(STATES[name] for name in FINAL)

ORIGINAL_STATES: Final[dict[str, int]] = {"none": 0, "too_large": 1, "no_key": 2, "plain": 3, "sealed": 4}
"""Whether the engine's own message is kept, and why not. Those that hold data come last."""
ORIGINAL_NAMES: Final[dict[int, str]] = {code: name for name, code in ORIGINAL_STATES.items()}

FLAGS: Final[dict[str, int]] = {"redelivered": 1, "eager": 2, "reconciled": 4, "unmarked": 8, "again": 16}
"""The last two are set by the server only: their times alone show that this is another execution; the id was used again, see
`reused_ids`."""
