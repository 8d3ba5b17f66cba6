# SPDX-License-Identifier: Apache-2.0
"""What is handed to taskiq is due when the expression says so, by taskiq's own reckoning: of day and weekday ONE is enough."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from taskiq.cli.scheduler.run import is_cron_task_now

from z4j_agent.wire import cron
from z4j_taskiq.schedulers.timing import SECOND, read_cron, to_pycron, zone_of

SEED = 20_261_123
COUNTS = (50, pytest.param(200, marks=pytest.mark.long))
SOUGHT_DAYS = 12
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


def expressions(count: int) -> Iterator[cron.Cron]:
    source = random.Random(SEED)
    weekdays = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
    while count:
        parts = [field(source, 0, 59), field(source, 0, 23), field(source, 1, 31), field(source, 1, 12, cron.MONTHS)]
        parts.append(field(source, 0, 6, weekdays) if source.random() < 0.7 else "fri-mon")
        try:
            expression = cron.parse(" ".join(parts))
        except cron.BadCron:
            continue
        count -= 1
        yield expression


def is_due(expression: cron.Cron, at: datetime) -> bool:
    """By hand, with taskiq's rule."""
    is_day, is_weekday = at.day in expression.days, at.weekday() in expression.weekdays
    day_or = not expression.is_any_day and not expression.is_any_weekday
    return (
        at.minute in expression.minutes and at.hour in expression.hours and at.month in expression.months
        and ((is_day or is_weekday) if day_or else (is_day and is_weekday))
    )  # fmt: skip


@pytest.mark.parametrize("count", COUNTS)
def test_taskiq_is_due_when_the_expression_says_so(count: int) -> None:
    seen = 0
    for expression in expressions(count):
        text = to_pycron(expression)
        read = read_cron(text)
        assert read.cron is not None
        assert read.cron.sets == expression.sets, (expression.text, text)
        assert read.expression is not None, text
        again = cron.parse(read.expression)
        assert (again.minutes, again.hours, again.days, again.months, again.weekdays) == (
            expression.minutes, expression.hours, expression.days, expression.months, expression.weekdays,
        ), (expression.text, text)  # fmt: skip
        due = read.next_after(int(START.timestamp()) * SECOND, ZoneInfo("UTC"))
        at = START.replace(second=0)
        for _ in range(SOUGHT_DAYS * 24 * 60):
            at += timedelta(minutes=1)
            by_hand = is_due(expression, at)
            # Asking taskiq for every minute of a month that is ruled out says nothing; of the others every one is asked.
            if by_hand or at.month in expression.months:
                assert is_cron_task_now(text, at) == by_hand, (expression.text, text, at)
            if by_hand:
                assert due == int(at.timestamp()) * SECOND, (expression.text, at)
                seen += 1
                break
        else:
            assert due is None or due > int(at.timestamp()) * SECOND, expression.text
    assert seen > count * 0.4, "many of them are due within the days looked at"


@pytest.mark.parametrize(
    ("text", "expression"),
    [
        ("30 2 * * *", "30 2 * * *"),
        ("*/15 * * * *", "*/15 * * * *"),
        ("0 12 * * 0", "0 12 * * sun"),
        ("0 12 * * 1-5", "0 12 * * mon-fri"),
        ("0 12 * * 7", None),  # never compared with
        ("0 12 * * mon-sun", "0 12 * * mon-sat"),
        ("0 12 * * fri-mon", "0 12 * * fri,sat"),
        ("0 12 13 * fri", "0 12 13 * fri"),
        ("0 12 */10 * fri", None),
        ("0 12 1-31 * fri", "0 12 * * *"),
        ("0 12 1 jan *", None),
        ("5/15 * * * *", None),
        ("0  12 * * *", None),
        ("*/0 * * * *", None),
        ("@daily", None),
        ("61 * * * *", None),
    ],
)
def test_what_is_written_in_code_is_read(text: str, expression: str | None) -> None:
    assert read_cron(text).expression == expression


def test_when_the_clocks_change() -> None:
    """A time that is skipped does not come, and one that is repeated comes twice."""
    new_york = ZoneInfo("America/New_York")

    def fires_of_taskiq(text: str, start: datetime, days: int) -> list[datetime]:
        minutes = (start + timedelta(minutes=minute) for minute in range(days * 24 * 60))
        return [at for at in minutes if is_cron_task_now(text, at, "America/New_York")]

    def ours(text: str, start: datetime, count: int) -> list[datetime]:
        at, moments = int(start.timestamp()) * SECOND - 60 * SECOND, []
        for _ in range(count):
            at = read_cron(text).next_after(at, new_york) or 0
            moments.append(datetime.fromtimestamp(at / SECOND, UTC))
        return moments

    for text, start in (
        ("30 2 * * *", datetime(2027, 3, 13, 5, tzinfo=UTC)),
        ("30 1 * * *", datetime(2027, 11, 6, 4, tzinfo=UTC)),
        ("*/30 * * * *", datetime(2027, 11, 7, 0, tzinfo=UTC)),
    ):
        due = fires_of_taskiq(text, start, 4)
        assert due == ours(text, start, len(due)), text
    assert len(fires_of_taskiq("30 2 * * *", datetime(2027, 3, 13, 5, tzinfo=UTC), 3)) == 2
    assert len(fires_of_taskiq("30 1 * * *", datetime(2027, 11, 6, 4, tzinfo=UTC), 3)) == 4


def test_offsets_are_zones_where_there_is_one() -> None:
    assert zone_of(None) == (ZoneInfo("UTC"), "UTC")
    assert zone_of("Asia/Kolkata") == (ZoneInfo("Asia/Kolkata"), "Asia/Kolkata")
    assert zone_of(timedelta(hours=-5))[1] == "Etc/GMT+5"
    half_past = timedelta(hours=5, minutes=30)
    assert zone_of(half_past) == (timezone(half_past), None)
    assert zone_of("Mars/Olympus") == (None, None)
    due = read_cron("30 2 * * *").next_after(int(START.timestamp()) * SECOND, timezone(half_past))
    assert datetime.fromtimestamp((due or 0) / SECOND, UTC) == datetime(2026, 11, 23, 21, 0, tzinfo=UTC)
    assert is_cron_task_now("30 2 * * *", datetime(2026, 11, 23, 21, 0, tzinfo=UTC), half_past)


def test_a_day_that_never_comes_is_not_waited_for() -> None:
    assert read_cron("0 0 29 2 *").next_after(int(START.timestamp()) * SECOND, ZoneInfo("UTC"))
    assert read_cron("0 0 31 2 *").next_after(int(START.timestamp()) * SECOND, ZoneInfo("UTC")) is None
