# SPDX-License-Identifier: AGPL-3.0-or-later
"""The broker has fewer tasks than were enqueued, or dead letters grow."""

from __future__ import annotations

from typing import Final

from z4j.formats import duration, number
from z4j.rules.findings.activity import QueueActivity
from z4j.rules.findings.finding import Finding, Link, queue_href, tasks_href

LEAST_MISSING: Final = 10
LEAST_SHARE: Final = 0.2
FRESH_US: Final = 90_000_000
"""How old the report of a broker may be to be compared with the tasks that are queued."""
LEAST_DEAD: Final = 5


def find(queue: QueueActivity) -> list[Finding]:
    """Returns what is found, nothing while the broker has the queued tasks and no task dies."""
    return [found for found in (_missing(queue), _dead(queue)) if found is not None]


def _missing(queue: QueueActivity) -> Finding | None:
    """Tasks that were enqueued and not received, and that the broker does not have in two reports one after the other: receipts of a queue
    that drains fast arrive within seconds."""
    if queue.depth is None or queue.reported_us is None or queue.reported_us > FRESH_US:
        return None
    missing = queue.queued - queue.depth - (queue.delayed or 0)
    reports = [minute for minute in queue.minutes[-3:] if minute.depth is not None]
    is_steady = len(reports) >= 2 and all((minute.depth or 0) < queue.queued - LEAST_MISSING for minute in reports[-2:])
    if missing < max(LEAST_MISSING, LEAST_SHARE * queue.queued) or not is_steady:
        return None
    earlier = max((minute.depth for minute in queue.minutes[:-2] if minute.depth is not None), default=None)
    fell = f"; it had up to {number(earlier)} within the last hour" if earlier is not None and earlier > queue.depth else ""
    return Finding(
        kind="broker_loss", subject=queue.name, level="bad", weight=700,
        title=f"Tasks of {queue.name} are missing in the broker",
        text=f"{number(queue.queued)} tasks were enqueued and not received, the broker has {number(queue.depth)}",
        why=f"reported {duration(queue.reported_us)} ago{fell}. They were removed from the broker, or run by workers that are not watched",
        scope=queue.scope,
        action=Link(
            f"Review {number(missing)} waiting tasks…", tasks_href(queue.scope, queue=queue.name, state=("queued",))
        ),
        evidence=(Link("the queue", queue_href(queue.scope, queue.name)),),
        curve=tuple(None if minute.depth is None else float(minute.depth) for minute in queue.minutes),
        curve_of="tasks in the broker in the last hour",
    )  # fmt: skip


def _dead(queue: QueueActivity) -> Finding | None:
    known = [minute.dead for minute in queue.minutes if minute.dead is not None]
    if queue.dead is None or not known or queue.dead - known[0] < LEAST_DEAD:
        return None
    grown = queue.dead - known[0]
    return Finding(
        kind="dead_letters", subject=queue.name, level="warn", weight=min(100 + 40 * len(str(grown)), 400),
        title=f"Dead letters of {queue.name} grow", text=f"{number(grown)} more in the last hour, {number(queue.dead)} in all",
        why="their workers gave them up; they are kept until somebody retries or deletes them",
        scope=queue.scope,
        action=Link("Open the queue", queue_href(queue.scope, queue.name, place="dead")),
        curve=tuple(None if minute.dead is None else float(minute.dead) for minute in queue.minutes),
        curve_of="dead letters in the last hour",
    )  # fmt: skip
