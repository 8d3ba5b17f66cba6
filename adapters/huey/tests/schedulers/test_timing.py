# SPDX-License-Identifier: Apache-2.0
"""When Huey's periodic tasks are due, computed by us and asked of Huey: the same minutes, whatever the expression and the zone."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from huey import crontab

from z4j_agent.runtime.time_zones import zone_of_host
from z4j_agent.wire import cron
from z4j_huey.schedulers.timing import MINUTE, cron_in, is_foreseeable, next_foreseen, next_match

SEED = 20_261_123
SOUGHT_DAYS = 40


def field(source: random.Random, low: int, high: int) -> str:
    """A field as Huey reads it, too: a star, a step over all, or a list of numbers, ranges and ranges with a step."""
    kind = source.randrange(6)
    if kind < 2:
        return "*"
    if kind == 2:
        return f"*/{source.randint(2, max(2, (high - low) // 2))}"
    return ",".join(piece(source, low, high) for _ in range(source.randint(1, 3)))


def piece(source: random.Random, low: int, high: int) -> str:
    first, last = sorted(source.sample(range(low, high + 1), 2))
    return source.choice((str(first), f"{first}-{last}", f"{first}-{last}/{source.randint(2, 5)}"))


def weekdays(source: random.Random) -> tuple[str, str]:
    """The field by name, and as Huey numbers it."""
    if source.random() < 0.5:
        return "*", "*"
    names, numbers = [], []
    for _ in range(source.randint(1, 3)):
        first, last = sorted(source.sample(range(7), 2))  # from Monday, 0; a range that begins with Sunday is another one
        is_range = source.random() < 0.5
        names.append(f"{cron.WEEKDAYS[first]}-{cron.WEEKDAYS[last]}" if is_range else cron.WEEKDAYS[first])
        numbers += [str((number + 1) % 7) for number in (range(first, last + 1) if is_range else (first,))]
    return ",".join(names), ",".join(numbers)


def expressions(count: int) -> Iterator[tuple[str, Any]]:
    """An expression, and Huey's own function for the same fields."""
    source = random.Random(SEED)
    while count:
        minute, hour, day, month = (field(source, *cron.BOUNDS[kind]) for kind in ("minute", "hour", "day", "month"))
        by_name, by_number = weekdays(source)
        text = f"{minute} {hour} {day} {month} {by_name}"
        try:
            cron.parse(text)
        except cron.BadCron:
            continue
        count -= 1
        yield text, crontab(minute=minute, hour=hour, day=day, month=month, day_of_week=by_number, strict=True)


@pytest.mark.parametrize("count", [50, pytest.param(200, marks=pytest.mark.long)])
def test_expressions_mean_to_huey_what_they_mean_to_us(count: int) -> None:
    matched = 0
    for text, validator in expressions(count):
        want, read = cron.parse(text), cron_in(validator)
        assert read is not None
        assert read.sets == want.sets, text
        assert cron.parse(read.text).sets == want.sets, text
        at = datetime(2026, 1, 28, 23, 57, tzinfo=UTC) + timedelta(minutes=matched)
        begin = int(at.timestamp()) * 1_000_000
        due = next_match(want, begin, is_utc=True)
        moment = at.replace(tzinfo=None)
        for _ in range(SOUGHT_DAYS * 24 * 60):
            moment += timedelta(minutes=1)
            is_due = (
                moment.minute in want.minutes and moment.hour in want.hours
                and (moment.day in want.days and moment.month in want.months and moment.weekday() in want.weekdays)
            )  # fmt: skip
            assert bool(validator(moment)) == is_due, (text, moment)
            if is_due:
                assert due == int(moment.replace(tzinfo=UTC).timestamp()) * 1_000_000, (text, moment)
                matched += 1
                break
        else:
            assert due is None or due > begin + SOUGHT_DAYS * 1_440 * MINUTE, text
    assert matched > count * 0.4, "most of them are due within the days that are looked at"


def test_day_and_weekday_must_both_match() -> None:
    friday_13 = cron_in(crontab(minute="0", hour="0", day="13", day_of_week="5"))
    assert friday_13 is not None
    due = next_match(friday_13, int(datetime(2026, 4, 1, tzinfo=UTC).timestamp()) * 1_000_000, is_utc=True)
    assert datetime.fromtimestamp((due or 0) / 1e6, UTC) == datetime(2026, 11, 13, tzinfo=UTC)


def test_a_rare_day_is_found_and_one_that_never_comes_is_not() -> None:
    begin = int(datetime(2026, 4, 1, tzinfo=UTC).timestamp()) * 1_000_000
    leap = next_match(cron.parse("0 0 29 2 mon"), begin, is_utc=True)
    assert datetime.fromtimestamp((leap or 0) / 1e6, UTC) == datetime(2044, 2, 29, tzinfo=UTC)
    assert next_match(cron.parse("0 0 31 6 fri"), begin, is_utc=True) is None


@pytest.fixture
def local(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[str]:
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield request.param
    monkeypatch.undo()
    time.tzset()


CHANGES = (datetime(2026, 10, 24, tzinfo=UTC), datetime(2027, 3, 27, tzinfo=UTC), datetime(2026, 4, 4, tzinfo=UTC))


@pytest.mark.parametrize("local", ["Europe/Berlin", "Australia/Lord_Howe", "Asia/Kolkata"], indirect=True)
@pytest.mark.parametrize("text", ["30 2 * * *", "15 1,2 * * *", "*/20 * * * *", "0 3 * * sun"])
def test_local_minutes_come_as_huey_sees_them_also_when_the_clocks_change(local: str, text: str) -> None:
    assert zone_of_host() == local
    expression = cron.parse(text)
    validator = crontab(*text.split(" ")[:4], day_of_week="0" if text.endswith("sun") else "*")
    for start in CHANGES:
        at = int(start.timestamp())
        due = [second for second in range(at + 60, at + 3 * 86_400, 60) if validator(datetime.fromtimestamp(second))]  # noqa: DTZ006
        ours: list[int] = []
        while (next_at := next_match(expression, (ours[-1] if ours else at) * 1_000_000, is_utc=False)) is not None and next_at < (
            at + 3 * 86_400
        ) * 1_000_000:
            ours.append(next_at // 1_000_000)
        assert ours == due


def test_only_what_looks_at_the_time_alone_is_asked_ahead() -> None:
    calls: list[Any] = []
    nightly, hours = crontab(minute="0", hour="3"), (1, 2)

    def counts(moment: datetime) -> bool:
        calls.append(moment)
        return False

    def stores(moment: datetime) -> bool:
        nonlocal hours
        hours = (moment.hour,)
        return False

    assert is_foreseeable(nightly)
    assert is_foreseeable(lambda moment: moment.minute % 7 == 3)
    assert is_foreseeable(lambda moment: moment.weekday() < 5 and nightly(moment))
    assert not is_foreseeable(counts)
    assert not is_foreseeable(stores)
    assert not is_foreseeable(lambda moment: print(moment) or True)
    assert not is_foreseeable(lambda moment: any(moment.hour == hour for hour in (1, 2)))
    assert not is_foreseeable(lambda moment, seen=[]: bool(seen))
    assert not is_foreseeable(print)
    assert calls == []


def test_a_foreseeable_function_is_asked_for_every_minute_of_a_year() -> None:
    begin = int(datetime(2026, 4, 1, 12, 30, tzinfo=UTC).timestamp()) * 1_000_000
    due = next_foreseen(lambda moment: moment.month == 5 and moment.day == 2 and moment.minute == 5, begin, is_utc=True)
    assert datetime.fromtimestamp((due or 0) / 1e6, UTC) == datetime(2026, 5, 2, 0, 5, tzinfo=UTC)
    started = time.monotonic()
    assert next_foreseen(lambda moment: moment.month == 13, begin, is_utc=True) is None
    assert next_foreseen(lambda moment: moment.month / 0, begin, is_utc=True) is None
    assert time.monotonic() - started < 20
