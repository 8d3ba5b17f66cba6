# SPDX-License-Identifier: AGPL-3.0-or-later
"""Task names and queues as the rules see them: as usual, unless a test says otherwise."""

from __future__ import annotations

from collections import Counter
from typing import Any

from z4j.rules.findings.activity import Counts, Hour, NameActivity, QueueActivity, QueueMinute
from z4j.rules.findings.finding import Scope
from z4j.rules.rollups import MINUTE_US, bucket_of

T = 1_795_000_000_000_000 // MINUTE_US * MINUTE_US
SHOP = Scope("shop", "production", "celery")
MS = 1_000
USUAL = Counts(10, 10, 0, 0)
WORDS = "this hour of the last 4 weeks"


def runs(ms: float, count: int = 10, spread: float = 0.2) -> dict[int, int]:
    """Runtimes around a value, by bucket."""
    return dict(Counter(bucket_of(int(ms * MS * (1 + spread * (2 * number / count - 1)))) for number in range(count)))


def hour(started: int = 600, bad: int = 3, ms: float = 200, retried: int = 0) -> Hour:
    return Hour(Counts(started, started, bad, retried), runs(ms, started))


def name(
    recent: Counts = USUAL, latest: Counts | None = None, earlier: Counts = USUAL, *, ms: float = 200,
    latest_ms: float | None = None, usual: tuple[Hour, ...] | None = None, minutes: int = 15,
) -> NameActivity:  # fmt: skip
    """`recent` is each of the last `minutes`, `latest` each of the last four, `earlier` each before."""
    newest = [recent] * minutes
    if latest is not None:
        newest[-4:] = [latest] * 4
    each = [earlier] * (60 - minutes) + newest
    runtimes = runs(ms, max(recent.ended * 15, 1)) if recent.ended else {}
    of_latest = runs(ms if latest_ms is None else latest_ms, max((latest or recent).ended * 4, 1)) if (latest or recent).ended else {}
    return NameActivity(
        SHOP,
        "emails.send",
        T,
        tuple(each),
        runtimes,
        of_latest,
        (hour(),) * 12 if usual is None else usual,
        "this hour of the last 4 weeks",
    )


def queue(*minutes: QueueMinute, **changes: Any) -> QueueActivity:
    """A queue of an hour, each minute like the given ones in turn; the last one is the newest."""
    given = minutes or (QueueMinute(20, 100, 100, 0),)
    each = [given[0]] * (60 - len(given)) + list(given)
    fields: dict[str, Any] = {
        "depth": 20, "oldest_us": 2_000_000, "consumers": 2, "delayed": 0, "dead": 0, "queued": 20, "running": 4, "concurrency": 8,
        "is_paused": False, "reported_us": 3_000_000, "minutes": tuple(each), "names": {"emails.send": 900, "emails.other": 100},
    }  # fmt: skip
    return QueueActivity(SHOP, "emails", T, **(fields | changes))
