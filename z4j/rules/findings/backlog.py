# SPDX-License-Identifier: AGPL-3.0-or-later
"""A queue grows, does not drain, or has no consumer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from z4j.formats import duration, number, plural
from z4j.rules.findings.activity import QueueActivity
from z4j.rules.findings.finding import Finding, Link, key_of, queue_href, tasks_href
from z4j.rules.findings.forecast import Forecast, drain, text_of

LEAST_WAITING: Final = 50
LEAST_AGE_US: Final = 60_000_000
FORECAST_MIN: Final = 30
GROWTH_MIN: Final = 5
LONG_MIN: Final = 30.0
"""A queue that drains within this time is not reported."""
UNSERVED_US: Final = 30_000_000


def find(queue: QueueActivity) -> Finding | None:
    """Returns the finding, or None if the queue drains, is empty, or was paused by a user."""
    if queue.is_paused or not queue.backlog:
        return None
    return _unserved(queue) or _grows(queue)


def forecast_of(queue: QueueActivity, more: float = 1.0) -> Forecast | None:
    """Returns the forecast of when the queue is empty, from the last minutes; `more` as in `drain`."""
    last = queue.minutes[-FORECAST_MIN - 1 : -1]  # the newest minute is incomplete
    return drain(queue.backlog, [minute.entered for minute in last], [minute.left for minute in last], more=more)


def _unserved(queue: QueueActivity) -> Finding | None:
    if queue.consumers != 0 or queue.running or (queue.oldest_us is not None and queue.oldest_us < UNSERVED_US):
        return None
    return Finding(
        kind="unserved_queue", subject=queue.name, level="bad", weight=600 + min(40 * len(str(queue.backlog)), 200),
        title=f"No worker consumes queue {queue.name}",
        text=f"{plural(queue.backlog, 'task')} waiting{_oldest(queue)}",
        why=f"the broker reports no consumers{_main_names(queue.names)}",
        scope=queue.scope, since=None if queue.oldest_us is None else queue.at - queue.oldest_us,
        action=Link("Open the queue", queue_href(queue.scope, queue.name)),
        evidence=(Link("waiting tasks", tasks_href(queue.scope, queue=queue.name, state=("queued", "received"))),),
        curve=_depths(queue), curve_of="tasks in the queue in the last hour",
        explains=tuple(key_of("seldom", queue.scope, name) for name in queue.names),
    )  # fmt: skip


def _grows(queue: QueueActivity) -> Finding | None:
    if queue.backlog < LEAST_WAITING or (queue.oldest_us is not None and queue.oldest_us < LEAST_AGE_US):
        return None
    forecast = forecast_of(queue)
    last = queue.minutes[-GROWTH_MIN - 1 : -1]
    if forecast is None or not last:
        return None
    entered, left = (sum(getattr(minute, of) for minute in last) / len(last) for of in ("entered", "left"))
    is_growing = entered > left * 1.05
    if not is_growing and forecast.high is not None and forecast.high < LONG_MIN:
        return None
    more = _with_more(queue)
    return Finding(
        kind="backlog", subject=queue.name, level="bad" if is_growing and (queue.oldest_us or 0) > 10 * LEAST_AGE_US else "warn",
        weight=min(60 * len(str(queue.backlog)) + (150 if is_growing else 0), 550),
        title=f"Queue {queue.name} is growing" if is_growing else f"Queue {queue.name} drains slowly",
        text=f"{plural(queue.backlog, 'task')} waiting{_oldest(queue)}",
        why=f"{number(entered)} in and {number(left)} out per minute; time to drain: {text_of(forecast)}{more}{_main_names(queue.names)}",
        scope=queue.scope,
        action=Link("Open the queue", queue_href(queue.scope, queue.name)),
        evidence=(Link("waiting tasks", tasks_href(queue.scope, queue=queue.name, state=("queued", "received"))),),
        curve=_depths(queue), curve_of="tasks in the queue in the last hour",
    )  # fmt: skip


def _with_more(queue: QueueActivity) -> str:
    """The forecast with twice as many workers; "" if their number is unknown or twice as many would not be enough."""
    if not queue.concurrency:
        return ""
    twice = forecast_of(queue, more=2.0)
    if twice is None or twice.high is None:
        return ""
    return f"; with twice the workers (concurrency {number(2 * queue.concurrency)}): {text_of(twice)}"


def _oldest(queue: QueueActivity) -> str:
    return "" if queue.oldest_us is None else f", the oldest for {duration(queue.oldest_us)}"


def _main_names(names: Mapping[str, int]) -> str:
    whole = sum(names.values())
    if not whole:
        return ""
    name, tasks = max(names.items(), key=lambda item: (item[1], item[0]))
    return f". {tasks / whole:.0%} are {name}" if len(names) > 1 else f". All are {name}"


def _depths(queue: QueueActivity) -> tuple[float | None, ...]:
    return tuple(None if minute.depth is None else float(minute.depth) for minute in queue.minutes)
