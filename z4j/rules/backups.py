# SPDX-License-Identifier: AGPL-3.0-or-later
"""When a nightly backup is due, and which backups are kept. Pure; times are microseconds UTC."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final

DAY_US: Final = 24 * 3_600_000_000
RETRY_US: Final = 3_600_000_000
"""A failed backup is retried after this time."""
OLD_US: Final = 2 * DAY_US
"""A last good backup that is older is reported."""


def is_due(at: int, time_of_day: int, since: int, last: int | None, failed: int | None) -> bool:
    """Whether a backup is due. `since`: backups have been enabled since then. `last`: the last good one. `failed`: the last attempt, if it
    failed. A time that passed while no server ran is caught up. A `since` or `last` after `at` is of a clock that was set back since, and
    prevents none."""
    due_at = at - (at - time_of_day) % DAY_US
    if due_at <= since <= at or (last is not None and due_at <= last <= at):
        return False
    return failed is None or not at - RETRY_US < failed <= at


def expendable(made: Iterable[int], daily: int, weekly: int) -> set[int]:
    """Returns which of these good backups are not kept: all but the newest of each of the last `daily` days and the last `weekly` weeks
    that have one. The newest is always kept."""
    newest_first = sorted(set(made), reverse=True)
    days, weeks = dict[str, int](), dict[str, int]()
    for at in newest_first:
        moment = datetime.fromtimestamp(at / 1_000_000, UTC)
        days.setdefault(moment.strftime("%Y-%m-%d"), at)
        weeks.setdefault(moment.strftime("%G-%V"), at)
    kept = {*newest_first[:1], *list(days.values())[:daily], *list(weeks.values())[:weekly]}
    return set(newest_first) - kept
