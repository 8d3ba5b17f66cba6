# SPDX-License-Identifier: AGPL-3.0-or-later
"""The broker has fewer tasks than were enqueued, tasks of an empty queue are unaccounted for, or dead letters grow."""

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
LEAST_UNACCOUNTED: Final = 3
EMPTY_MIN: Final = 15
"""Minutes for which the broker has had nothing of the queue; events that are late arrive within them."""
LEAST_REPORTS: Final = 8
"""Of these minutes."""


def find(queue: QueueActivity, before: QueueActivity | None = None) -> list[Finding]:
    """Returns what is found, nothing while the broker has the queued tasks and no task dies. `before` is the queue as the look before this
    one saw it, some seconds ago."""
    return [found for found in (_missing(queue, before) or _unaccounted(queue), _dead(queue)) if found is not None]


def _missing(queue: QueueActivity, before: QueueActivity | None) -> Finding | None:
    """Tasks that were enqueued and not received, and that the broker does not have in two looks, or two reports, one after the other:
    receipts of a queue that drains fast arrive within seconds."""
    if queue.depth is None or queue.reported_us is None or queue.reported_us > FRESH_US:
        return None
    missing = _missing_tasks(queue)
    reports = [minute for minute in queue.minutes[-3:] if minute.depth is not None]
    is_steady = (before is not None and _missing_tasks(before) >= _least(before)) or (
        len(reports) >= 2 and all((minute.depth or 0) < queue.queued - LEAST_MISSING for minute in reports[-2:])
    )
    if missing < _least(queue) or not is_steady:
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


def _missing_tasks(queue: QueueActivity) -> int:
    return 0 if queue.depth is None else queue.queued - queue.depth - (queue.delayed or 0)


def _least(queue: QueueActivity) -> float:
    return max(LEAST_MISSING, LEAST_SHARE * queue.queued)


def _unaccounted(queue: QueueActivity) -> Finding | None:
    """The ledger of a queue: what was enqueued has ended, runs or waits. Of a queue that the broker has had nothing of for a while, what
    was enqueued before and not received is unaccounted for, however little that is. What a producer that is not watched enqueued is no
    part of it."""
    last = queue.minutes[-EMPTY_MIN:]
    depths = [minute.depth for minute in last if minute.depth is not None]
    if queue.depth != 0 or queue.delayed or queue.is_paused or len(depths) < LEAST_REPORTS or any(depths):
        return None
    if queue.reported_us is None or queue.reported_us > FRESH_US:
        return None
    entered = sum(minute.entered for minute in last)
    tasks = queue.queued - entered
    if tasks < LEAST_UNACCOUNTED:
        return None
    whole = sum(minute.entered for minute in queue.minutes)
    return Finding(
        kind="unaccounted", subject=queue.name, level="warn", weight=min(160 + 40 * len(str(tasks)), 400),
        title=f"Tasks of {queue.name} are unaccounted for",
        text=f"{number(tasks)} were enqueued more than {EMPTY_MIN} minutes ago and not received, and the broker has had none since",
        why=(
            f"{number(whole)} were enqueued in the last hour. They were removed from the broker, their events were lost, or workers "
            "that are not watched run them"
        ),
        scope=queue.scope,
        action=Link(f"Review {number(queue.queued)} waiting tasks…", tasks_href(queue.scope, queue=queue.name, state=("queued",))),
        evidence=(Link("the queue", queue_href(queue.scope, queue.name)),),
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
