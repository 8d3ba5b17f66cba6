# SPDX-License-Identifier: AGPL-3.0-or-later
"""Defines what each scheduler supports, and refuses other schedules before anything is sent. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from z4j.rules.schedules.due_times import BadSchedule, local_of, zone_of
from z4j_agent.wire import cron
from z4j_agent.wire.cron import BadCron

KINDS: Final = ("cron", "interval", "once")
MAX_INTERVAL_S: Final = 10 * 366 * 86_400
_UNITS: Final = {
    word: seconds
    for words, seconds in (
        (" s sec secs second seconds", 1),
        ("m min mins minute minutes", 60),
        ("h hr hrs hour hours", 3_600),
        ("d day days", 86_400),
        ("w week weeks", 604_800),
    )
    for word in words.split(" ")
}
"""Whole words: "5 months" must not be read as five minutes."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """What one scheduler can hold."""

    word: str
    """As a sentence calls it."""
    kinds: tuple[str, ...] = KINDS
    has_seconds: bool = False
    """Cron with a sixth field."""
    has_zones: bool = True
    """A zone for each entry; otherwise all are meant in the scheduler's one."""
    day_or: bool = False
    """Of day and weekday, where both are given, one is enough."""
    least_s: float = 1.0
    """Shortest interval."""
    has_arguments: bool = True


DIALECTS: Final[dict[str, Dialect]] = {
    "z4j": Dialect("z4j", has_seconds=True, day_or=True),
    "celery_beat": Dialect("Celery Beat"),
    "rq_scheduler": Dialect("RQ Scheduler", has_seconds=True, has_zones=False),
    "rq_cron": Dialect("RQ's cron", kinds=("cron", "interval"), has_seconds=True, has_zones=False, day_or=True),
    "huey_periodic": Dialect("Huey", has_zones=False),
    "arq_cron": Dialect("arq", kinds=("cron",), has_seconds=True, has_zones=False),
    "taskiq_scheduler": Dialect("taskiq", day_or=True),
    "apscheduler": Dialect("APScheduler", has_seconds=True),
}
"""scheduler → what it can hold. The adapters' own tests find out the rules by running each library."""


def check(scheduler: str, kind: str, expression: str, zone: str, own_zone: str = "") -> tuple[str, str]:
    """Returns the expression and time zone as the scheduler receives them. `own_zone` is the zone of a scheduler that has one for all.

    Raises BadSchedule with the reason and the nearest value that the scheduler supports.
    """
    dialect = DIALECTS.get(scheduler)
    if dialect is None:
        raise BadSchedule(f"Unknown scheduler {scheduler[:40]}.")
    if kind not in dialect.kinds:
        able = " and ".join(
            {"cron": "cron expressions", "interval": "intervals", "once": "one-offs"}[supported_kind] for supported_kind in dialect.kinds
        )
        raise BadSchedule(f"{dialect.word} supports only {able}.")
    zone = zone.strip() or own_zone or "UTC"
    zone_of(zone)
    if kind == "interval":
        return _interval(expression, dialect), ""
    if kind == "once":
        expression = _once(expression, zone)
        return expression, zone
    if not dialect.has_zones and own_zone and zone != own_zone:
        raise BadSchedule(f"{dialect.word} uses one time zone for all its schedules: {own_zone}.", _shifted(expression, zone, own_zone))
    try:
        rule = cron.parse(expression)
    except BadCron as error:
        raise BadSchedule(str(error)) from None
    if rule.seconds is not None and not dialect.has_seconds:
        raise BadSchedule(f"{dialect.word} does not support seconds.", " ".join(rule.fields))
    return rule.text, zone


def _interval(text: str, dialect: Dialect) -> str:
    match = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]{1,3})?)\s*([a-z]*)", text.strip().lower())
    seconds = float(match[1]) * _UNITS.get(match[2], 0) if match else 0.0
    if not seconds:
        raise BadSchedule(f"“{text[:40]}” is not a valid interval: use seconds, or 5m, 2h, 1d.")
    if seconds < dialect.least_s:
        raise BadSchedule(f"{dialect.word} runs a schedule at most every {dialect.least_s:g} s.", f"{dialect.least_s:g}")
    if seconds > MAX_INTERVAL_S:
        raise BadSchedule("The longest interval is ten years.")
    return f"{seconds:.3f}".rstrip("0").rstrip(".")


def _once(text: str, zone: str) -> str:
    """With its offset. A local time that does not exist is refused; of two the first is meant."""
    try:
        moment = datetime.fromisoformat(text.strip().replace("Z", "+00:00"))
    except ValueError:
        raise BadSchedule(f"“{text[:40]}” is not a valid time: use a format like 2026-11-23 05:30.") from None
    if moment.tzinfo is None:
        local = moment.replace(tzinfo=zone_of(zone))
        if local_of(local.astimezone(UTC), zone_of(zone)) != moment:
            later = local.astimezone(UTC).astimezone(zone_of(zone)).replace(tzinfo=None).isoformat(" ", "minutes")
            raise BadSchedule(f"{moment.isoformat(' ', 'minutes')} does not exist in {zone}: it is skipped by a clock change.", later)
        moment = local
    return moment.isoformat(timespec="seconds")


def _shifted(expression: str, zone: str, own_zone: str) -> str:
    """The same time of day in the other zone, where the expression is one time of each day; with today's offset."""
    try:
        rule, now = cron.parse(expression), datetime.now(UTC)
    except BadCron:
        return ""
    if len(rule.minutes) != 1 or len(rule.hours) != 1 or not (rule.is_any_day and rule.is_any_weekday and len(rule.months) == 12):
        return ""
    there = (
        now.astimezone(zone_of(zone)).replace(hour=next(iter(rule.hours)), minute=next(iter(rule.minutes))).astimezone(zone_of(own_zone))
    )
    return f"{there.minute} {there.hour} * * *"
