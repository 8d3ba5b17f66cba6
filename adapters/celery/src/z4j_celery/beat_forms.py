# SPDX-License-Identifier: Apache-2.0
"""Between Celery's schedule objects and the common form. Day and weekday are both needed where both are given (celery 5.7,
schedules.py: `crontab.remaining_delta` goes on until both match), and weekday 0 is Sunday there, so days are named here.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from celery.schedules import crontab, schedule

from z4j_agent import cron
from z4j_agent.adapter import Refused
from z4j_agent.cron import BadCron
from z4j_agent.schedules import Kind, ScheduleSpec


def form_of(rule: Any, zone: str) -> tuple[Kind, str, str]:
    """(kind, expression, zone) of a schedule object, as `ScheduleInfo` has them."""
    if isinstance(rule, crontab):
        # Its five sets, whatever was typed: `hour="*/8"` may have been given as a set too.
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
    """The arguments of `crontab` for an expression. Raises Refused."""
    try:
        found = cron.parse(spec.expression)
    except BadCron as error:
        raise Refused(str(error)) from None
    if found.seconds is not None:
        raise Refused(f"Celery Beat has no seconds; the nearest is {' '.join(found.fields)}")
    # Sets written out: Celery takes fewer ways of writing them, such as no `5/10`.
    plain = cron.expression(found.minutes, found.hours, found.days, found.months, found.weekdays)
    return dict(zip(("minute", "hour", "day_of_month", "month_of_year", "day_of_week"), plain.split(), strict=True))


def seconds_of(spec: ScheduleSpec) -> float:
    """Raises Refused."""
    try:
        seconds = float(spec.expression)
    except ValueError:
        raise Refused(f"“{spec.expression[:40]}” is no number of seconds") from None
    if not 0 < seconds < 1e9:
        raise Refused("an interval is longer than nothing; the shortest is 1")
    return seconds


def time_of(spec: ScheduleSpec) -> datetime:
    """Raises Refused."""
    try:
        at = datetime.fromisoformat(spec.expression)
    except ValueError:
        raise Refused(f"“{spec.expression[:40]}” is no time in ISO 8601") from None
    if at.tzinfo is None:
        raise Refused("a one-off needs its offset, like 2026-11-23T05:30:00+00:00")
    return at.astimezone(UTC)


def rule_of(spec: ScheduleSpec, app: Any) -> Any:
    """The schedule object for a cron expression or an interval. Raises Refused."""
    if spec.kind == "interval":
        return schedule(timedelta(seconds=seconds_of(spec)), app=app)
    return crontab(**fields_of(spec), app=app)


def check_zone(spec: ScheduleSpec, own: str) -> None:
    """A store without zones of its own takes only the app's. Raises Refused."""
    if spec.kind != "cron" or spec.timezone in ("", own):
        return
    zone(spec.timezone)
    raise Refused(f"Celery Beat means all these schedules in the app's zone, {own}")


def zone(name: str) -> ZoneInfo:
    """Raises Refused."""
    try:
        return ZoneInfo(name or "UTC")
    except (ValueError, OSError, KeyError):
        raise Refused(f"there is no zone {name[:60]}") from None


def zone_name(found: Any) -> str:
    """IANA name of a zone object, whoever made it."""
    name = getattr(found, "key", None) or getattr(found, "zone", None) or ("" if found is None else str(found))
    return str(name)


def due_of(rule: Any, last_run_at: datetime | None) -> datetime | None:
    """When a rule is due after its last run; None where it cannot say."""
    if last_run_at is None:
        return None
    if (at := getattr(rule, "clocked_time", None)) is not None:
        return at if isinstance(at, datetime) else None
    if isinstance(rule, crontab):
        last, delta, _ = rule.remaining_delta(last_run_at)  # celery/schedules.py: a relative step from the last run, in the rule's zone
        return last + delta  # type: ignore[no-any-return]
    if type(rule) is schedule:
        return rule.to_local(last_run_at) + rule.run_every  # type: ignore[no-any-return]
    left = rule.remaining_estimate(last_run_at)
    return rule.now() + left if isinstance(left, timedelta) else None  # type: ignore[no-any-return]


def us(at: datetime | None) -> int | None:
    """Microseconds UTC; a time without a zone is UTC, as Celery stores it."""
    if at is None:
        return None
    return int((at if at.tzinfo is not None else at.replace(tzinfo=UTC)).timestamp() * 1_000_000)
