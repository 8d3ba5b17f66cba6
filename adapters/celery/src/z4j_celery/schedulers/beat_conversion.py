# SPDX-License-Identifier: Apache-2.0
"""Converts Celery's schedule objects from and to the common form. If day and weekday are both given, both must match (celery 5.7,
schedules.py: `crontab.remaining_delta` continues until both match). Weekday 0 is Sunday in Celery, so weekdays are names here.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final, TypeVar

from celery.schedules import crontab, schedule
from celery.utils.time import remaining

import z4j_agent
from z4j_agent.capture.guard import let_through
from z4j_agent.capture.hooks import now, parameter_names
from z4j_agent.contract.adapter import Refused
from z4j_agent.contract.scheduler import Kind, ScheduleInfo, ScheduleSpec, read_cron, read_interval, read_time, show_arguments
from z4j_agent.runtime.time_zones import check_only_zone, zone_of_host
from z4j_agent.wire import cron

T = TypeVar("T")

LATE_US: Final = 60_000_000
"""A one-off that is overdue by more than this is not sent."""
REWRITTEN: Final = "it is in beat_schedule, and beat writes it again at every start"


def form_of(rule: Any, zone: str) -> tuple[Kind, str, str]:
    """(kind, expression, zone) of a schedule object, as `ScheduleInfo` has them."""
    if isinstance(rule, crontab):
        # Its five sets, whatever was written: `hour="*/8"` may also have been given as a set.
        text = cron.expression(
            rule.minute, rule.hour, rule.day_of_month, rule.month_of_year, frozenset((day - 1) % 7 for day in rule.day_of_week)
        )
        return "cron", text, zone_name(getattr(rule, "tz", None)) or zone
    if type(rule) is schedule:
        seconds = rule.run_every.total_seconds()
        return "interval", str(int(seconds)) if seconds == int(seconds) else str(seconds), ""
    if (at := getattr(rule, "clocked_time", None)) is not None:
        return "once", at.astimezone(UTC).isoformat(timespec="seconds"), "UTC"
    return "other", str(rule)[:500], zone


def fields_of(spec: ScheduleSpec) -> dict[str, str]:
    """Returns the arguments of `crontab` for an expression. Raises Refused."""
    expression = read_cron(spec.expression, "Celery Beat")
    # Numbers written out: Celery supports fewer notations, for example not `5/10`.
    plain = cron.expression(expression.minutes, expression.hours, expression.days, expression.months, expression.weekdays)
    fields = dict(zip(("minute", "hour", "day_of_month", "month_of_year", "day_of_week"), plain.split(), strict=True))
    try:  # from a store beat would read it, and may stop at a rule that it cannot compute
        crontab(**fields, nowfun=_utc).remaining_estimate(_utc())
    except (ValueError, RuntimeError) as error:
        raise Refused(f"Celery cannot compute it: {str(error)[:200]}") from None
    return fields


def _utc() -> datetime:
    return datetime.now(UTC)


def rule_of(spec: ScheduleSpec, app: Any) -> Any:
    """Returns the schedule object for a cron expression or an interval. Raises Refused."""
    if spec.kind == "interval":
        return schedule(timedelta(seconds=read_interval(spec.expression)), app=app)
    return crontab(**fields_of(spec), app=app)


def check_zone(spec: ScheduleSpec, own: str) -> None:
    """Checks the zone for a store without zones of its own, which supports only the app's. Raises Refused."""
    if spec.kind == "cron":
        check_only_zone(spec.timezone, own, "this Celery Beat")


def zone_name(zone: Any) -> str:
    """IANA name of a zone object of any library."""
    name = getattr(zone, "key", None) or getattr(zone, "zone", None) or ("" if zone is None else str(zone))
    return zone_of_host() if str(name).startswith("<") else str(name)  # Celery's LocalTimezone, if it finds no zone of the host


def due_of(rule: Any, last_run_at: datetime | None) -> datetime | None:
    """When a rule is due after its last run; None if it cannot be computed."""
    if last_run_at is None:
        return None
    if (at := getattr(rule, "clocked_time", None)) is not None:
        return at if isinstance(at, datetime) else None
    last = last_run_at if last_run_at.tzinfo is not None else last_run_at.replace(tzinfo=UTC)  # as Celery reads it
    if isinstance(rule, crontab):
        # A relative step from the last run. Celery 5.5 matches in whatever zone that is given in, 5.7 always in the rule's.
        start, delta, _ = rule.remaining_delta(last.astimezone(rule.tz))
        return start + delta  # type: ignore[no-any-return]
    if type(rule) is schedule:
        # Computed at the time of the last run. When the clocks change, 5.7 counts elapsed time and 5.5 local time.
        return last.astimezone(UTC) + remaining(last, rule.run_every, last, rule.relative)  # type: ignore[no-any-return]
    left = rule.remaining_estimate(last)
    if not isinstance(left, timedelta):
        return None
    # It is counted from a past moment when it is added again, so the result differs a little: a second is close enough.
    due: datetime = rule.now() + left + timedelta(milliseconds=500)
    return due.replace(microsecond=0)


def is_missed(rule: Any, last_run_at: datetime | None) -> bool:
    """Whether beat would catch up a run at once if it counted from that last run."""
    due = due_of(rule, last_run_at)
    return due is not None and (us(due) or 0) <= now()


def us(at: datetime | None) -> int | None:
    """Microseconds UTC; a time without a zone is UTC, as Celery stores it."""
    if at is None:
        return None
    return int((at if at.tzinfo is not None else at.replace(tzinfo=UTC)).timestamp() * 1_000_000)


def check_row(spec: ScheduleSpec, longest: int) -> None:
    """Checks the limits of every store's columns, and that a one-off is not sent at once. Raises Refused."""
    if not spec.name or len(spec.name) > longest:
        raise Refused(f"a name has 1 to {longest} characters here")
    if spec.priority is not None and not 0 <= spec.priority <= 255:
        raise Refused("a priority is 0 to 255 here")
    if spec.kind == "once" and spec.is_enabled:
        refuse_past(read_time(spec.expression))


def refuse_past(at: datetime | None, late_us: int = LATE_US) -> None:
    """Checks that a one-off is not overdue, because beat would send it at once. Raises Refused."""
    if at is not None and (us(at) or 0) < now() - late_us:
        raise Refused("its time has passed; set a time in the future. No changes were made.")


def readable(key: str, make: Callable[[], ScheduleInfo], task_name: str = "", *, is_enabled: bool = True) -> ScheduleInfo:
    """Returns the result of `make`; for an entry that cannot be read, one that states this, so that the others are still listed."""
    unsupported_edits = dict.fromkeys(("save", "fire"), "its content cannot be read")
    try:
        return make()
    except Refused as error:
        note = f"{str(error)[:1].upper()}{str(error)[1:]}."
        return ScheduleInfo(key, key, "other", "", "", task_name, is_enabled=is_enabled, unable=unsupported_edits, note=note)
    except Exception as error:
        let_through(error)
        note = f"It cannot be read ({type(error).__name__})."
        return ScheduleInfo(key, key, "other", "", "", task_name, is_enabled=is_enabled, unable=unsupported_edits, note=note)


def shown(app: Any, task_name: str, args: Any, kwargs: Any) -> tuple[str, str]:
    """Arguments of an entry as redacted JSON, with the names of the task's parameters if beat has the task."""
    agent, task = z4j_agent.current(), app.tasks.get(task_name)
    names = parameter_names(task.run) if task is not None else ()
    return show_arguments(args, kwargs, agent.settings.redact if agent is not None else (), names)


def read_json(column: str, text: str | None, kind: type[T]) -> T:
    """Parses a column of JSON, empty if it has no text. Raises Refused for other content: beat disables such a row, and what it would run
    is unknown, so it is neither sent nor saved."""
    try:
        value = json.loads(text) if text else kind()
    except ValueError:
        value = None
    if not isinstance(value, kind):
        raise Refused(f"its {column} cannot be read: it is not a JSON {'list' if kind is list else 'object'}. Nothing was sent or changed")
    return value


def with_queue_and_priority(options: Any, spec: ScheduleSpec) -> dict[str, Any]:
    """Returns the options of an entry with the queue and the priority of a spec."""
    others = {name: value for name, value in (options or {}).items() if name not in ("queue", "priority")}
    return others | {name: value for name, value in (("queue", spec.queue or None), ("priority", spec.priority)) if value is not None}


def send(app: Any, name: str, args: Any, kwargs: Any, options: dict[str, Any], *, task_id: str = "", producer: Any = None) -> str:
    """Sends a task as beat does, but at once. Returns its ID. Raises Refused, and the exceptions of sending."""
    if app.conf.task_always_eager:
        raise Refused("this application runs tasks instead of sending them (task_always_eager). Nothing was sent.")
    from celery.beat import BeatLazyFunc  # 5 ms and shelve: few processes need it

    given = [value() if isinstance(value, BeatLazyFunc) else value for value in args or ()]
    named = {key: value() if isinstance(value, BeatLazyFunc) else value for key, value in (kwargs or {}).items()}
    own = {key: value for key, value in options.items() if key not in ("eta", "countdown", "task_id", "producer", "connection")}
    own["headers"] = {**(own.get("headers") or {}), "celery_beat_task": True}  # celery/beat.py: `apply_async`
    task = app.tasks.get(name)
    publish = task.apply_async if task is not None else partial(app.send_task, name)
    return str(publish(given, named, task_id=task_id or str(uuid.uuid4()), producer=producer, **own).id)
