# SPDX-License-Identifier: AGPL-3.0-or-later
"""Reports tasks that are missing from the broker, a queue ledger that does not balance, and increasing dead letters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from z4j.formats import duration, iso, moment, number, plural
from z4j.rules.findings.activity import QueueActivity
from z4j.rules.findings.finding import Finding, Link, Scope, queue_href, tasks_href
from z4j.rules.history.queue_ledger import FRESH_US, NO_LEDGER, SETTLED_MIN, Balance, Ledger, balance, queued_before, unaccounted_tasks
from z4j.rules.rollups import HOUR_US

LEAST_MISSING: Final = 10
LEAST_SHARE: Final = 0.2
LEAST_DEAD: Final = 5
LEAST_UNACCOUNTED: Final = 3
LEDGER: Final = "#ledger"


def find(queue: QueueActivity, before: QueueActivity | None = None, ledger: Ledger = NO_LEDGER) -> list[Finding]:
    """Returns the findings; none while the broker has the queued tasks and dead letters do not increase. `before` is the queue at the
    previous evaluation, some seconds ago."""
    return [found for found in (_missing(queue, before) or _unaccounted(queue, ledger), _dead(queue)) if found is not None]


def _missing(queue: QueueActivity, before: QueueActivity | None) -> Finding | None:
    """Tasks that were enqueued but not received and are missing from the broker in two consecutive evaluations or reports: a queue that
    drains fast reports receipts only after seconds."""
    if queue.depth is None or queue.reported_us is None or queue.reported_us > FRESH_US:
        return None
    missing = _missing_tasks(queue)
    reports = [minute for minute in queue.minutes[-3:] if minute.depth is not None]
    is_steady = (before is not None and _missing_tasks(before) >= _least(before)) or (
        len(reports) >= 2 and all((minute.depth or 0) < queue.queued - queue.may_hold - LEAST_MISSING for minute in reports[-2:])
    )
    if missing < _least(queue) or not is_steady:
        return None
    earlier = max((minute.depth for minute in queue.minutes[:-2] if minute.depth is not None), default=None)
    fell = f"; it had up to {number(earlier)} within the last hour" if earlier is not None and earlier > queue.depth else ""
    return Finding(
        kind="broker_loss", subject=queue.name, level="bad", weight=700,
        title=f"Tasks of {queue.name} are missing from the broker",
        text=f"{number(queue.queued)} tasks were enqueued but not received; the broker has {number(queue.depth)}",
        why=f"reported {duration(queue.reported_us)} ago{fell}. The missing tasks were removed from the broker, or run by workers that are "
        "not monitored",
        scope=queue.scope,
        action=Link(
            f"Review {number(missing)} waiting tasks…", tasks_href(queue.scope, queue=queue.name, state=("queued",))
        ),
        evidence=(Link("the queue", queue_href(queue.scope, queue.name)),),
        curve=tuple(None if minute.depth is None else float(minute.depth) for minute in queue.minutes),
        curve_of="tasks in the broker in the last hour",
    )  # fmt: skip


def _missing_tasks(queue: QueueActivity) -> int:
    return 0 if queue.depth is None else queue.queued - queue.depth - (queue.delayed or 0) - queue.may_hold


def _least(queue: QueueActivity) -> float:
    return max(LEAST_MISSING, LEAST_SHARE * queue.queued)


def _unaccounted(queue: QueueActivity, ledger: Ledger) -> Finding | None:
    """The ledger of a queue: what was enqueued has ended, runs, waits, or is unaccounted for. Tasks of producers that are not
    monitored are not included."""
    tasks = unaccounted_tasks(queue)
    if queue.is_paused or tasks is None or tasks < LEAST_UNACCOUNTED:
        return None
    found = [each for each in balance(ledger.hours, tasks, queued_before(ledger.hours, queue.queued)) if each.unaccounted]
    which = found if sum(each.unaccounted or 0 for each in found) == tasks else []  # otherwise some are older than the ledger
    sent = sum(each.hour.sent for each in which)
    return Finding(
        kind="unaccounted", subject=queue.name, level="warn", weight=min(160 + 40 * len(str(tasks)), 400),
        title=f"Tasks of {queue.name} are unaccounted for",
        text=(
            f"{number(tasks)} of {number(sent)} tasks enqueued {_hours(which)}" if which else f"{plural(tasks, 'queued task')}"
        ) + " have neither started nor ended and are not in the broker",
        why=(
            f"{number(queue.queued)} tasks are queued; the broker had at most {_most(queue)} in the last {SETTLED_MIN} minutes. Either "
            "they were removed from the broker, their events were lost, or workers that are not monitored ran them"
        ),
        scope=queue.scope, since=which[0].hour.at if which else None,
        action=Link(f"Review {plural(tasks, 'task')}…", queued_href(queue.scope, queue.name, which, ledger.until)),
        evidence=(Link("ledger", queue_href(queue.scope, queue.name) + LEDGER), Link("the queue", queue_href(queue.scope, queue.name))),
        curve=tuple(None if minute.depth is None else float(minute.depth) for minute in queue.minutes),
        curve_of="tasks in the broker in the last hour",
    )  # fmt: skip


def queued_href(scope: Scope, queue: str, hours: Sequence[Balance], until: int | None = None) -> str:
    """Returns the URL of the queued tasks of a queue that were first seen in these hours (without any: at any time), and before `until`
    (microseconds UTC)."""
    times = {"since": iso(hours[0].hour.at), "until": iso(hours[-1].hour.at + HOUR_US)} if hours else {}
    return tasks_href(scope, queue=queue, state=("queued",), **(times | ({"until": iso(until)} if until is not None else {})))


def _hours(which: Sequence[Balance]) -> str:
    last = which[-1].hour.at + HOUR_US
    return f"between {moment(which[0].hour.at):%H:%M} and {moment(last):%H:%M} UTC"


def _most(queue: QueueActivity) -> str:
    return number(max([queue.depth or 0, *(minute.depth or 0 for minute in queue.minutes[-SETTLED_MIN:])]))


def _dead(queue: QueueActivity) -> Finding | None:
    known = [minute.dead for minute in queue.minutes if minute.dead is not None]
    if queue.dead is None or not known or queue.dead - known[0] < LEAST_DEAD:
        return None
    grown = queue.dead - known[0]
    return Finding(
        kind="dead_letters", subject=queue.name, level="warn", weight=min(100 + 40 * len(str(grown)), 400),
        title=f"Dead letters of {queue.name} are increasing", text=f"{number(grown)} more in the last hour, {number(queue.dead)} in total",
        why="workers gave up on these tasks; they are kept until they are retried or deleted",
        scope=queue.scope,
        action=Link("Open the queue", queue_href(queue.scope, queue.name, place="dead")),
        curve=tuple(None if minute.dead is None else float(minute.dead) for minute in queue.minutes),
        curve_of="dead letters in the last hour",
    )  # fmt: skip
