# SPDX-License-Identifier: AGPL-3.0-or-later
"""When delivery of a message is retried, and when it is given up. Times are microseconds UTC."""

from __future__ import annotations

from typing import Final

FIRST_US: Final = 5_000_000
LONGEST_US: Final = 30 * 60_000_000
KEPT_US: Final = 3 * 24 * 3_600_000_000
"""After this time a message is given up, which is shown in the log of messages and on the alert."""


def next_try(created_at: int, due_at: int, attempts: int, at: int) -> int | None:
    """Returns when a message is retried after its `attempts`-th failure; None: never, because it is too old."""
    if at - max(created_at, due_at) >= KEPT_US:
        return None
    return int(at + min(FIRST_US * 2 ** min(attempts - 1, 20), LONGEST_US))
