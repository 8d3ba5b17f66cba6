# SPDX-License-Identifier: Apache-2.0
"""Converts triggers from and to kinds and expressions. Without I/O.

Facts of APScheduler 3 (triggers/cron, and found by running it): day and weekday must both match; number 0 is Monday; a range by name
takes no step, `jan-jun/2` is read as `jan-jun`; a step longer than its range is refused. So weekdays and months are written by name or
as plain numbers, and every new trigger is read again before it is used.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Any

from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.cron.expressions import AllExpression, MonthRangeExpression, RangeExpression, WeekdayRangeExpression
from apscheduler.triggers.date import DateTrigger
from apscheduler.triggers.interval import IntervalTrigger

from z4j_agent.contract.adapter import Refused
from z4j_agent.contract.scheduler import Kind, ScheduleSpec, read_cron, read_interval, read_time
from z4j_agent.runtime.time_zones import find_zone, is_zone
from z4j_agent.wire import cron
from z4j_agent.wire.cron import BadCron, Cron

BOUNDS = {"second": (0, 59), "minute": (0, 59), "hour": (0, 23), "day": (1, 31), "month": (1, 12), "day_of_week": (0, 6)}
ORDER = ("minute", "hour", "day", "month", "day_of_week", "second")
"""In the order of `cron.expression`."""
MAX_WORDS = 500


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule in z4j's form. `timezone` is "" for intervals."""

    kind: Kind
    expression: str
    timezone: str


def rule_of(trigger: Any, own_zone: str) -> Rule:
    """Returns the rule of a trigger; of kind `other`, with the trigger's own text, if no expression is equivalent. `own_zone` is the
    scheduler's time zone."""
    if type(trigger) is CronTrigger:
        zone, text = zone_name(trigger.timezone), expression_of(trigger)
        if zone is not None and text is not None:
            return Rule("cron", text, zone)
    if type(trigger) is IntervalTrigger:
        return Rule("interval", f"{trigger.interval.total_seconds():f}".rstrip("0").rstrip("."), "")
    if type(trigger) is DateTrigger:
        return Rule("once", trigger.run_date.isoformat(), zone_name(trigger.run_date.tzinfo) or own_zone)
    return Rule("other", str(trigger)[:MAX_WORDS], own_zone)


def limits_of(trigger: Any) -> list[str]:
    """Returns the further limits of a trigger, as texts."""
    jitter, start, end = (getattr(trigger, name, None) for name in ("jitter", "start_date", "end_date"))
    limits = [f"up to {jitter} s later, at random"] if jitter else []
    if start is not None and (type(trigger) is CronTrigger or start > datetime.now(UTC)):
        limits.append(f"not before {start.isoformat(' ', 'seconds')}")
    return limits + ([f"not after {end.isoformat(' ', 'seconds')}"] if end is not None else [])


# -- cron ------------------------------------------------------------------------------------------------------------------
def expression_of(trigger: Any) -> str | None:
    """Returns the cron expression of a trigger; None if there is none: a year, a week, the last day, the first Monday."""
    sets = sets_of(trigger)
    if sets is None:
        return None
    minutes, hours, days, months, weekdays, seconds = (sets[name] for name in ORDER)
    expression = cron.expression(minutes, hours, days, months, weekdays, None if seconds == {0} else seconds)
    fields = {field.name: str(field) for field in trigger.fields}
    written = " ".join([*(fields[name] for name in ("minute", "hour", "day", "month")), cron.text_of_weekdays(sets["day_of_week"])])
    if seconds == {0} and " " not in "".join(fields[name] for name in ("minute", "hour", "day", "month")):
        try:
            typed = cron.parse(written)
        except BadCron:  # APScheduler accepts more than z4j
            return expression
        if _five(typed) == (minutes, hours, days, months, weekdays):
            return typed.text
    return expression


def sets_of(trigger: Any) -> dict[str, frozenset[int]] | None:
    """Returns the sets of a trigger by APScheduler's names; weekdays count from Monday, 0."""
    sets: dict[str, frozenset[int]] = {}
    for field in trigger.fields:
        if field.name in ("year", "week"):
            if str(field) != "*":
                return None
            continue
        numbers: set[int] = set()
        for part in field.expressions:
            of_part = _numbers(part, *BOUNDS[field.name])
            if of_part is None:
                return None
            numbers |= of_part
        sets[field.name] = frozenset(numbers)
    return sets if all(sets.get(name) for name in ORDER) else None


def _numbers(part: Any, low: int, high: int) -> set[int] | None:
    if type(part) is AllExpression:
        return set(range(low, high + 1, part.step or 1))
    if type(part) in (RangeExpression, MonthRangeExpression, WeekdayRangeExpression):
        return set(range(part.first, (high if part.last is None else part.last) + 1, part.step or 1))
    return None


def cron_trigger(expression: Cron, zone: str, old: Any = None) -> Any:
    """Returns a cron trigger, with the jitter and the limits of an older one."""
    options: dict[str, Any] = {"timezone": zone}
    if type(old) is CronTrigger:
        options |= {"jitter": old.jitter, "start_date": old.start_date, "end_date": old.end_date}
    seconds = expression.seconds if expression.seconds is not None else frozenset({0})
    required = dict(zip(ORDER, (*_five(expression), seconds), strict=True))
    listed = cron.expression(expression.minutes, expression.hours, expression.days, expression.months, expression.weekdays, seconds).split(
        " "
    )
    plain = dict(zip(("second", *ORDER[:5]), listed, strict=True))
    typed = plain | dict(zip(("minute", "hour", "day"), expression.fields[:3], strict=True))
    try:
        made = CronTrigger(**typed, **options)
        if sets_of(made) == required:
            return made
    except ValueError:
        pass  # for example a step longer than its range: the list of the numbers is equivalent
    return CronTrigger(**plain, **options)


def _five(expression: Cron) -> tuple[frozenset[int], ...]:
    return expression.minutes, expression.hours, expression.days, expression.months, expression.weekdays


# -- requests------------------------------------------------------------------------------------------------
def trigger_of(spec: ScheduleSpec, own_zone: str, old: Any = None) -> Any:
    """Returns a new trigger, with the jitter and the end of the old one of the same kind. Raises Refused if it is not supported."""
    if spec.kind == "interval":
        options = {"jitter": old.jitter, "end_date": old.end_date} if type(old) is IntervalTrigger else {}
        return IntervalTrigger(seconds=read_interval(spec.expression), timezone=own_zone, **options)
    zone = spec.timezone or own_zone
    zone_found = find_zone(zone)
    if spec.kind == "once":
        at = read_time(spec.expression)
        if at <= datetime.now(UTC):
            raise Refused("that time has passed; run the job now instead. No changes were made.")
        return DateTrigger(at.astimezone(zone_found))
    return cron_trigger(read_cron(spec.expression), zone, old)


def zone_name(zone: tzinfo | None) -> str | None:
    """Returns the IANA name of a zone of zoneinfo, pytz or the standard library; None without a name."""
    name = getattr(zone, "key", None) or getattr(zone, "zone", None)
    if isinstance(name, str) and is_zone(name):
        return name
    if not isinstance(zone, timezone):
        return None
    hours, rest = divmod(zone.utcoffset(None), timedelta(hours=1))
    if rest or not -14 <= hours <= 12:
        return None
    return f"Etc/GMT{-hours:+d}" if hours else "UTC"
