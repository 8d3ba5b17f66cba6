# SPDX-License-Identifier: AGPL-3.0-or-later
"""Laws of due times: against a plain search through the minutes, and through both changes of the clocks of a year."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from tests.unit.rules.schedules.test_due_times import local, us
from z4j.rules.schedules.due_times import LAST_AT, SECOND, Timing, zone_of
from z4j_agent.wire import cron

START = datetime(2026, 1, 1, tzinfo=UTC)
ZONES = ("Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Santiago")
"""One that goes forward in March, one with other dates, one that moves by half an hour, one of the south whose midnight is skipped."""


def numbers(low: int, high: int) -> st.SearchStrategy[str]:
    one = st.integers(low, high)
    span = st.tuples(one, one).map(lambda pair: f"{min(pair)}-{max(pair)}")
    step = st.integers(1, high)
    return st.one_of(
        st.just("*"), one.map(str), span, step.map(lambda n: f"*/{n}"), st.tuples(span, step).map(lambda pair: f"{pair[0]}/{pair[1]}"),
        st.lists(one.map(str), min_size=2, max_size=4).map(",".join),
    )  # fmt: skip


WEEKDAYS = st.one_of(
    st.just("*"), st.lists(st.sampled_from(cron.WEEKDAYS), min_size=1, max_size=4).map(",".join), numbers(0, 7),
    st.tuples(st.sampled_from(cron.WEEKDAYS), st.sampled_from(cron.WEEKDAYS)).map("-".join),
)  # fmt: skip
EXPRESSIONS = st.tuples(numbers(0, 59), numbers(0, 23), numbers(1, 31), numbers(1, 12), WEEKDAYS).map(" ".join)


def matches(found: cron.Cron, at: datetime, day_or: bool) -> bool:
    is_day, is_weekday = at.day in found.days, at.weekday() in found.weekdays
    if found.is_any_day or found.is_any_weekday or not day_or:
        is_right_day = is_day and is_weekday
    else:
        is_right_day = is_day or is_weekday
    return at.minute in found.minutes and at.hour in found.hours and at.month in found.months and is_right_day


def search(found: cron.Cron, after: datetime, day_or: bool, days: int) -> datetime | None:
    """Minute by minute, skipping days that cannot match."""
    at = after.replace(second=0, microsecond=0) + timedelta(minutes=1)
    ends = after + timedelta(days=days)
    while at < ends:
        if not any(matches(found, at.replace(hour=h, minute=m), day_or) for h in list(found.hours)[:1] for m in list(found.minutes)[:1]):
            at = at.replace(hour=0, minute=0) + timedelta(days=1)
            continue
        if matches(found, at, day_or):
            return at
        at += timedelta(minutes=1)
    return None


@settings(max_examples=400, deadline=None)
@given(EXPRESSIONS, st.booleans(), st.integers(0, 4 * 366 * 1_440).map(lambda minute: START + timedelta(minutes=minute)))
@example("0 0 29 2 *", True, START + timedelta(days=59))
@example("59 23 31 12 *", True, START + timedelta(days=365, minutes=-1))
@example("0 12 13 * fri", False, START + timedelta(days=326))
def test_the_next_time_is_that_of_a_plain_search(expression: str, day_or: bool, after: datetime) -> None:
    try:
        found = cron.parse(expression)
    except cron.BadCron:
        return
    want = search(found, after, day_or, 800)
    got = Timing("cron", found.text, "UTC", day_or).after(int(after.timestamp()) * SECOND)
    if want is None:
        assert got is None or got > int((after + timedelta(days=799)).timestamp() * SECOND)
    else:
        assert got == int(want.timestamp()) * SECOND, (found.text, got and local(got, "UTC"))


@settings(max_examples=300, deadline=None)
@given(EXPRESSIONS)
def test_an_expression_says_the_same_when_it_is_written_and_read_again(expression: str) -> None:
    try:
        found = cron.parse(expression)
    except cron.BadCron:
        return
    again = cron.parse(found.text)
    assert (again.minutes, again.hours, again.days, again.months, again.weekdays) == (
        found.minutes, found.hours, found.days, found.months, found.weekdays
    )  # fmt: skip
    assert again.text == found.text
    made = cron.expression(found.minutes, found.hours, found.days, found.months, found.weekdays)
    assert cron.parse(made).minutes == found.minutes
    assert cron.parse(made).weekdays == found.weekdays


@pytest.mark.parametrize("zone", ZONES)
def test_every_time_of_a_year_is_due_once_and_in_order(zone: str) -> None:
    """Through both changes of the clocks: a daily time on each of the days, an hourly one as often as hours pass."""
    start, end = us("2027-01-01"), us("2028-01-01")
    for expression in ("30 2 * * *", "0 0 * * *", "15 1,3 * * *"):
        timing = Timing("cron", expression, zone)
        found = list(timing.between(start, end))
        assert found == sorted(set(found)), "no double, and in order"
        days = [local(at, zone)[:10] for at in found]
        per_day = expression.count(",") + 1
        assert len(found) == 365 * per_day, (zone, expression, len(found))
        assert len(set(days)) == 365
    hourly = list(Timing("cron", "30 * * * *", zone).between(start, end))
    gaps = {b - a for a, b in itertools.pairwise(hourly)}
    if zone == "Australia/Lord_Howe":  # half an hour: one of its half hours comes twice, one not at all
        assert gaps == {3_600 * SECOND, 1_800 * SECOND} or gaps == {3_600 * SECOND, 1_800 * SECOND, 5_400 * SECOND}
    else:
        assert gaps == {3_600 * SECOND}
        assert len(hourly) == 365 * 24


# -- the agent's own search, against croniter ------------------------------------------------------------------------------
PLACES = ("UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "Antarctica/Troll", "America/Asuncion")
"""Among them one whose clocks change by half an hour, one by two hours, one at midnight."""


def _changes_of(zone: str) -> list[int]:
    """Hours of three years beside which the offset of a zone changes, as seconds UTC."""
    place, start = ZoneInfo(zone), int(datetime(2023, 1, 1, tzinfo=UTC).timestamp())
    hours = range(start, start + 3 * 366 * 86_400, 3_600)
    offsets = [datetime.fromtimestamp(at, UTC).astimezone(place).utcoffset() for at in hours]
    return [at for at, before, after in zip(hours, offsets, offsets[1:], strict=False) if before != after] or [start]


CHANGES = {zone: _changes_of(zone) for zone in PLACES}
WITH_SECONDS = st.tuples(st.sampled_from(["", "", "*/20 ", "7 ", "* "]), EXPRESSIONS).map("".join)


@given(WITH_SECONDS, st.sampled_from(PLACES), st.booleans(), st.integers(0, 5), st.integers(-30 * 3_600, 30 * 3_600))
@settings(max_examples=80, deadline=None)
def test_the_agent_finds_the_times_that_croniter_finds(expression: str, zone: str, day_or: bool, which: int, seconds: int) -> None:
    """Of days on which the clocks change and of those around them, each time and the two after it."""
    check_times(expression, zone, day_or, which, seconds)


@pytest.mark.long
@pytest.mark.timeout(600)
@given(WITH_SECONDS, st.sampled_from(PLACES), st.booleans(), st.integers(0, 5), st.integers(-30 * 3_600, 30 * 3_600))
@settings(max_examples=1_000, deadline=None)
def test_the_agent_finds_the_times_that_croniter_finds_of_a_thousand(
    expression: str, zone: str, day_or: bool, which: int, seconds: int
) -> None:
    check_times(expression, zone, day_or, which, seconds)


def check_times(expression: str, zone: str, day_or: bool, which: int, seconds: int) -> None:
    try:
        found = cron.parse(expression)
    except cron.BadCron:
        assume(False)
    timing = Timing("cron", expression, zone, day_or=day_or)
    at = (CHANGES[zone][which % len(CHANGES[zone])] + seconds) * SECOND + 250_000
    for _ in range(3):
        due, ours = timing.after(at), found.next_after(at, zone_of(zone), day_or=day_or)
        if due is None:
            assert ours is None or ours > LAST_AT
            return
        assert ours == due, (due, ours)
        at = due
