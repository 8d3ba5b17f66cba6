# SPDX-License-Identifier: Apache-2.0
"""What z4j hands to the two libraries of cron expressions, and what they then compute, against a plain search over minutes.

rq-scheduler's `crontab` needs both the day and the weekday; `croniter`, of RQ's own cron, is content with either where both are given.
"""

from __future__ import annotations

import random
import time
import warnings
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

import pytest
from rq_scheduler.utils import get_next_scheduled_time

from z4j_agent.contract.adapter import Refused
from z4j_agent.contract.scheduler import read_cron, read_whole_interval
from z4j_agent.wire import cron
from z4j_rq.schedulers.cron_overrides import is_usable, zone_of_cron
from z4j_rq.schedulers.dialects import Croniter, Crontab, Dialect, handed, sets_of, shown


def local(*parts: int) -> datetime:
    return datetime(*parts)  # type: ignore[arg-type]  # noqa: DTZ001 -- both libraries compute with the host's wall clock


BEGIN = local(2026, 11, 23, 17, 46, 20)
MANY = 250
try:
    from rq.cron import CronJob

    IS_CRON = is_usable(CronJob)
except ImportError:
    IS_CRON = False


@pytest.fixture(autouse=True)
def in_utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Both libraries compute in the host's zone."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


# -- the plain search ------------------------------------------------------------------------------------------------------
def is_day(expression: cron.Cron, day: date, *, day_or: bool) -> bool:
    by_number, by_weekday = day.day in expression.days, day.weekday() in expression.weekdays
    if day_or and not expression.is_any_day and not expression.is_any_weekday:
        return day.month in expression.months and (by_number or by_weekday)
    return day.month in expression.months and by_number and by_weekday


def searched(expression: cron.Cron, after: datetime, *, day_or: bool) -> datetime | None:
    """The first minute after `after` that matches, within 60 years."""
    minute = after.replace(second=0, microsecond=0) + timedelta(minutes=1)
    ends = after.replace(year=after.year + 60)
    while minute < ends:
        if not is_day(expression, minute.date(), day_or=day_or):
            minute = minute.replace(hour=0, minute=0) + timedelta(days=1)
        elif minute.hour in expression.hours and minute.minute in expression.minutes:
            return minute
        else:
            minute += timedelta(minutes=1)
    return None


# -- expressions -----------------------------------------------------------------------------------------------------------
def random_field(chance: random.Random, low: int, high: int, names: tuple[str, ...] = ()) -> str:
    def one() -> str:
        number = chance.randint(low, high)
        return names[number - low] if names and chance.random() < 0.5 else str(number)

    def span() -> str:
        first, last = sorted((chance.randint(low, high), chance.randint(low, high)))
        if names and chance.random() < 0.5:
            return f"{names[first - low]}-{names[last - low]}"
        return f"{first}-{last}"

    kinds = [lambda: "*", lambda: "*", one, span, lambda: f"*/{chance.randint(1, high)}", lambda: f"{span()}/{chance.randint(1, 9)}"]
    kinds.append(lambda: f"{chance.randint(low, high)}/{chance.randint(1, 9)}")
    kinds.append(lambda: ",".join(chance.choice((one, span))() for _ in range(chance.randint(2, 4))))
    return chance.choice(kinds)()


def random_expressions(seed: int, count: int) -> list[str]:
    chance = random.Random(seed)
    expressions: list[str] = []
    while len(expressions) < count:
        text = " ".join(
            (
                random_field(chance, 0, 59), random_field(chance, 0, 23), random_field(chance, 1, 31),
                random_field(chance, 1, 12, cron.MONTHS), random_field(chance, 0, 6, ("sun", *cron.WEEKDAYS[:6])),
            )
        )  # fmt: skip
        try:
            cron.parse(text)
        except cron.BadCron:
            continue  # the thirtieth of February
        expressions.append(text)
    return expressions


def next_of_crontab(given: str, after: datetime) -> datetime | None:
    """As `rq_scheduler.utils.get_next_scheduled_time` asks."""
    import crontab

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        moment: datetime | None = crontab.CronTab(given).next(now=after, return_datetime=True)
    return moment


def next_of_rq(given: str, after: datetime) -> datetime:
    job = CronJob(queue_name="work", func=random_field, cron=given)
    for name in ("latest_enqueue_time", "latest_run_time"):
        if hasattr(job, name):
            setattr(job, name, after.replace(tzinfo=UTC))
            moment: datetime = getattr(job, f"get_{name.replace('latest', 'next')}")()
            return moment.astimezone(UTC).replace(tzinfo=None)
    raise AssertionError("RQ calls its times otherwise")


# -- proofs ----------------------------------------------------------------------------------------------------------------
def test_rq_scheduler_computes_what_was_meant() -> None:
    chance, never = random.Random(1), 0
    for text in random_expressions(2026, MANY):
        expression, after = read_cron(text), BEGIN + timedelta(minutes=chance.randint(0, 600_000))
        given = handed(Crontab, expression)
        want = searched(expression, after, day_or=False)
        assert next_of_crontab(given, after) == want, (text, given, after)
        never += want is None
        assert sets_of(cron.parse(shown(Crontab, given) or "")) == sets_of(expression), (text, given)
    assert never < MANY / 10


@pytest.mark.skipif(not IS_CRON, reason="this RQ has no cron expressions")
def test_rq_cron_computes_what_was_meant() -> None:
    chance = random.Random(2)
    for text in random_expressions(2027, MANY):
        expression, after = read_cron(text), BEGIN + timedelta(minutes=chance.randint(0, 600_000))
        given = handed(Croniter, expression)
        assert next_of_rq(given, after) == searched(expression, after, day_or=True), (text, given, after)
        assert sets_of(cron.parse(shown(Croniter, given) or "")) == sets_of(expression), (text, given)


def test_the_thirteenth_and_friday() -> None:
    expression = read_cron("0 0 13 * fri")
    assert next_of_crontab(handed(Crontab, expression), BEGIN) == local(2027, 8, 13), "both"
    if IS_CRON:
        assert next_of_rq(handed(Croniter, expression), BEGIN) == local(2026, 11, 27), "either"


@pytest.mark.parametrize("dialect", [Crontab, Croniter])
def test_seconds_have_their_place(dialect: Dialect) -> None:
    expression = read_cron("*/20 30 2 * * mon-fri")
    given = handed(dialect, expression)
    assert given.split()[0 if dialect is Crontab else -1] == "*/20"
    assert shown(dialect, given) == "*/20 30 2 * * mon-fri"
    assert shown(dialect, dialect.order("0 30 2 * * *")) == "30 2 * * *", "second 0 is what five fields mean"
    if dialect is Crontab:
        assert next_of_crontab(given, BEGIN) == local(2026, 11, 24, 2, 30)
        assert next_of_crontab(given, local(2026, 11, 24, 2, 30, 21)) == local(2026, 11, 24, 2, 30, 40)
    elif IS_CRON:
        assert next_of_rq(given, local(2026, 11, 24, 2, 30, 21)) == local(2026, 11, 24, 2, 30, 40)


@pytest.mark.parametrize(
    ("dialect", "text", "want"),
    [
        (Crontab, "@daily", "0 0 * * *"),
        (Crontab, "0 0 * * 7", "0 0 * * sun"),
        (Crontab, "0 0 * * fri-sun", "0 0 * * fri,sat,sun"),
        (Crontab, "0 0 * * * 2027", None),
        (Crontab, "0 0 l * *", None),
        (Crontab, "0 0 * * l5", None),
        (Crontab, "nonsense", None),
        (Croniter, "@daily", "0 0 * * *"),
        (Croniter, "0 0 * * 0", "0 0 * * sun"),
        (Croniter, "0 0 l * *", None),
        (Croniter, "0 0 * * fri#2", None),
        (Croniter, "0 0 15w * *", None),
        (Croniter, "nonsense", None),
    ],
)
def test_what_applications_have_written_is_shown_or_left_in_its_own_words(dialect: Dialect, text: str, want: str | None) -> None:
    text_shown = shown(dialect, text)
    assert text_shown == want or (want is not None and text_shown is not None and cron.parse(text_shown).text == cron.parse(want).text)


@pytest.mark.parametrize("is_local", [False, True])
def test_rq_scheduler_means_the_hosts_zone_whatever_it_is_told(monkeypatch: pytest.MonkeyPatch, is_local: bool) -> None:
    """`use_local_timezone=False` only changes the zone in which the same moment is written."""
    monkeypatch.setenv("TZ", "Asia/Kolkata")
    time.tzset()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        moment = get_next_scheduled_time("30 2 * * *", use_local_timezone=is_local)
    assert (moment.astimezone(UTC).hour, moment.astimezone(UTC).minute) == (21, 0)


@pytest.mark.skipif(not IS_CRON, reason="this RQ has no cron expressions")
def test_rq_cron_says_the_zone_it_computes_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """RQ 2 is in UTC, RQ 3 in the host's zone."""
    monkeypatch.setenv("TZ", "Asia/Kolkata")
    time.tzset()
    due = next_of_rq("30 2 * * *", BEGIN)
    assert zone_of_cron() == ("Asia/Kolkata" if (due.hour, due.minute) == (21, 0) else "UTC")


def test_what_no_library_can_hold_is_refused() -> None:
    for text in ("0", "-5", "often", "nan", "inf", "1.5"):
        with pytest.raises(Refused):
            read_whole_interval(text, "RQ's")
    with pytest.raises(Refused, match="is reversed"):
        read_cron("5-1 * * * *")
