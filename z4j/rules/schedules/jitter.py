# SPDX-License-Identifier: AGPL-3.0-or-later
"""Jitter: a random but repeatable delay of the runs of z4j's own schedules, so that many of them do not run at once. Pure."""

from __future__ import annotations

import hashlib


def wake_of(id: int, due_at: int | None, jitter_us: int) -> int | None:
    """Returns when a due time is acted on (microseconds UTC): later by a part of the jitter that is always the same for one due time, also
    after a restart."""
    if due_at is None or not jitter_us:
        return due_at
    draw = int.from_bytes(hashlib.sha256(f"{id}:{due_at}".encode()).digest()[:6])
    return due_at + draw % jitter_us
