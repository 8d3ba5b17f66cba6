# SPDX-License-Identifier: Apache-2.0
"""What is handed to APScheduler is due when the expression says so, by APScheduler's own reckoning: day AND weekday."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from importlib.metadata import version
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from apscheduler.triggers.cron import CronTrigger

from z4j_agent.wire import cron
from z4j_apscheduler.triggers import cron_trigger, expression_of, rule_of, sets_of, zone_name

SEED = 20_261_123
COUNTS = (50, pytest.param(200, marks=pytest.mark.long))
SOUGHT_DAYS = 400
START = datetime(2026, 11, 23, 17, 41, 12, tzinfo=UTC)


def field(source: random.Random, low: int, high: int, names: tuple[str, ...] = ()) -> str:
    def word(number: int) -> str:
        return names[number - low] if names and source.random() < 0.5 else str(number)

    def piece() -> str:
        first, last = sorted(source.sample(range(low, high + 1), 2))
        span = f"{word(first)}-{word(last)}"
        return source.choice((word(first), span, f"{span}/{source.randint(2, 9)}", f"{first}-{first}", f"{first}/{source.randint(2, 70)}"))

    kind = source.randrange(6)
    if kind < 2:
        return "*"
    if kind == 2:
        return f"*/{source.randint(2, high + 5)}"
    return ",".join(piece() for _ in range(source.randint(1, 3)))


def expressions(count: int, *, seconds: bool = False) -> Iterator[cron.Cron]:
    source = random.Random(SEED)
    weekdays = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
    while count:
        parts = [field(source, 0, 59), field(source, 0, 23), field(source, 1, 31), field(source, 1, 12, cron.MONTHS)]
        parts.append(field(source, 0, 6, weekdays) if source.random() < 0.7 else "fri-mon")
        text = " ".join([field(source, 0, 59), *parts] if seconds else parts)
        try:
            expression = cron.parse(text)
        except cron.BadCron:
            continue
        count -= 1
        yield expression


def by_hand(expression: cron.Cron, after: datetime) -> datetime | None:
    """The first minute, or second, that matches; every one of a matching day is looked at."""
    at = after.replace(second=0, microsecond=0)
    last = after + timedelta(days=SOUGHT_DAYS)
    while at < last:
        if not (at.day in expression.days and at.month in expression.months and at.weekday() in expression.weekdays):
            at = at.replace(hour=0, minute=0) + timedelta(days=1)
            continue
        if at.hour in expression.hours and at.minute in expression.minutes:
            for second in sorted(expression.seconds or {0}):
                if at.replace(second=second) >= after:
                    return at.replace(second=second)
        at += timedelta(minutes=1)
    return None


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("seconds", [False, True])
def test_apscheduler_is_due_when_the_expression_says_so(seconds: bool, count: int) -> None:
    seen = 0
    for expression in expressions(count, seconds=seconds):
        trigger = cron_trigger(expression, "UTC")
        own, ours = trigger.get_next_fire_time(None, START), by_hand(expression, START)
        assert (ours is None and (own is None or own > START + timedelta(days=SOUGHT_DAYS - 1))) or own == ours, expression.text
        seen += ours is not None
        again = expression_of(trigger)
        assert again is not None
        assert cron.parse(again).text == again
        read = cron.parse(again)
        assert (read.minutes, read.hours, read.days, read.months, read.weekdays) == (
            expression.minutes, expression.hours, expression.days, expression.months, expression.weekdays,
        ), expression.text  # fmt: skip
        assert (read.seconds or {0}) == (expression.seconds or {0})
        assert sets_of(cron_trigger(read, "UTC")) == sets_of(trigger)
    assert seen > count * 0.8, "most of them are due within the days looked at"


@pytest.mark.parametrize(
    ("fields", "expression"),
    [
        ({"hour": "*/6"}, "0 */6 * * *"),
        ({"day_of_week": 0, "hour": 12}, "0 12 * * mon"),
        ({"day_of_week": "mon-fri", "hour": 12, "minute": 30}, "30 12 * * mon-fri"),
        ({"day": "*/10", "hour": 1}, "0 1 */10 * *"),
        ({"month": "jan-mar,dec"}, "0 0 1 1-3,12 *"),
        ({"minute": "10-40/10"}, "10-40/10 * * * *"),
        ({"second": "*/5"}, "*/5 * * * * *"),
        ({"day": "last"}, None),
        ({"day": "2nd mon"}, None),
        ({"week": 3}, None),
        ({"year": 2030}, None),
    ],
)  # fmt: skip
def test_what_is_written_in_code_is_read(fields: dict[str, Any], expression: str | None) -> None:
    rule = rule_of(CronTrigger(**fields, timezone="UTC"), "UTC")
    assert (rule.kind, rule.expression) == (("cron", expression) if expression else ("other", str(CronTrigger(**fields))))


def test_a_step_behind_names_is_not_read_by_apscheduler() -> None:
    """So it is never handed over."""
    assert sets_of(CronTrigger(month="jan-jun/2", timezone="UTC"))["month"] == set(range(1, 7))  # type: ignore[index]
    trigger = cron_trigger(cron.parse("0 0 1 jan-jun/2 *"), "UTC")
    assert sets_of(trigger)["month"] == {1, 3, 5}  # type: ignore[index]


def test_zones_have_names() -> None:
    assert zone_name(ZoneInfo("Europe/Berlin")) == "Europe/Berlin"
    assert zone_name(UTC) == "UTC"
    assert zone_name(timezone(timedelta(hours=2))) == "Etc/GMT-2"
    assert ZoneInfo("Etc/GMT-2").utcoffset(START.replace(tzinfo=None)) == timedelta(hours=2)
    assert zone_name(timezone(timedelta(hours=5, minutes=30))) is None
    odd = CronTrigger(hour=2, timezone=timezone(timedelta(hours=5, minutes=30)))
    assert rule_of(odd, "UTC").kind == "other", "no zone that z4j could reckon in"


def test_when_the_clocks_change() -> None:
    """A time that is skipped comes an hour later by the clock, and one that is repeated comes twice."""
    new_york = ZoneInfo("America/New_York")

    def due(text: str, start: datetime, count: int) -> list[str]:
        trigger, moments = cron_trigger(cron.parse(text), "America/New_York"), [start]
        while len(moments) <= count:
            moments.append(trigger.get_next_fire_time(moments[-1] if len(moments) > 1 else None, moments[-1]))
        return [moment.astimezone(UTC).strftime("%d %H:%M") for moment in moments[1:]]

    assert due("30 2 * * *", datetime(2027, 3, 13, 12, tzinfo=new_york), 2) == ["14 07:30", "15 06:30"]
    if not version("apscheduler").startswith("3.10."):  # which makes only the second of the two
        assert due("30 1 * * *", datetime(2027, 11, 6, 12, tzinfo=new_york), 3) == ["07 05:30", "07 06:30", "08 06:30"]
