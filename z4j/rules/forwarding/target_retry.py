# SPDX-License-Identifier: AGPL-3.0-or-later
"""When a target that failed is tried again, and which refusals skip a row. Times are microseconds UTC."""

from __future__ import annotations

from typing import Final

FIRST_US: Final = 2_000_000
LONGEST_US: Final = 10 * 60_000_000
REFUSALS: Final = 5
"""So often a receiver has to refuse the same message before the next one is sent."""
_MAY_PASS: Final = frozenset({401, 402, 403, 404, 405, 407, 408, 410, 421, 425, 429})
"""Status codes below 500 that say something of the receiver, and not of the message."""


def next_try(attempts: int, at: int) -> int:
    """Returns when a target is tried again after its `attempts`-th failure in a row. It is never given up."""
    return int(at + min(FIRST_US * 2 ** min(attempts - 1, 20), LONGEST_US))


def is_refusal(status: int) -> bool:
    """Whether a receiver refuses a message because of what it contains."""
    return 400 <= status < 500 and status not in _MAY_PASS
