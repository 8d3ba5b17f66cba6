# SPDX-License-Identifier: Apache-2.0
"""Expressions as arq computes them: what is handed to it comes when a plain search over minutes and seconds says, and is read back as it
was meant.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from arq.cron import cron as cron_job
from arq.cron import next_cron

from z4j_agent.contract.adapter import Refused
from z4j_agent.contract.scheduler import ScheduleSpec
from z4j_agent.wire import cron
from z4j_arq.schedulers.overrides import expression_of, fields_of, is_frozen, micro, next_of, zone_of

SEED = 20_261_123
SOUGHT_DAYS = 40


async def work(ctx: Any) -> None:
    """Never run."""


def spec(expression: str, **changes: Any) -> ScheduleSpec:
    return ScheduleSpec(
        **{
            "key": "k", "name": "n", "kind": "cron", "expression": expression, "timezone": "UTC", "task_name": "work", "args": [],
            "kwargs": {}, "queue": "", "priority": None, "is_enabled": True, **changes,
        }
    )  # fmt: skip


def field(source: random.Random, kind: str) -> str:
    low, high = cron.BOUNDS[kind]
    if source.random() < 0.4:
        return "*"
    if kind == "weekday":
        return ",".join(source.choice((cron.WEEKDAYS[source.randrange(7)], "mon-wed", "thu-sun", "0", "7", "5-6")) for _ in range(2))
    if kind == "month" and source.random() < 0.3:
        return source.choice(("jan", "feb,mar", "oct-dec", "nov-feb"))
    pieces = []
    for _ in range(source.randint(1, 3)):
        first, last = sorted(source.sample(range(low, high + 1), 2))
        step = source.randint(2, 7)
        pieces.append(source.choice((f"{first}", f"{first}-{last}", f"{first}-{last}/{step}", f"*/{step}", f"{first}/{step}")))
    return ",".join(pieces)


def expressions(count: int) -> Iterator[str]:
    """Every fourth with a second."""
    source = random.Random(SEED)
    while count:
        kinds = (("second",) if count % 4 == 0 else ()) + ("minute", "hour", "day", "month", "weekday")
        text = " ".join(field(source, kind) for kind in kinds)
        try:
            cron.parse(text)
        except cron.BadCron:
            continue
        count -= 1
        yield text


@pytest.mark.parametrize("count", [52, pytest.param(200, marks=pytest.mark.long)])  # multiples of four: the same first expressions
def test_arq_computes_what_the_expression_says(count: int) -> None:
    supported = matched = 0
    for text in expressions(count):
        want = cron.parse(text)
        try:
            fields, shown = fields_of(spec(text), "UTC")
        except Refused:
            continue
        supported += 1
        job = cron_job(work, **fields)
        assert shown == want.text
        read = cron.parse(expression_of(job) or "")
        assert (read.seconds or {0}, read.minutes, read.hours) == (want.seconds or {0}, want.minutes, want.hours), text
        assert (read.days, read.months, read.weekdays) == (want.days, want.months, want.weekdays), text
        begin = datetime(2026, 1, 28, 23, 57, 30, tzinfo=UTC) + timedelta(minutes=7 * matched)
        job.calculate_next(begin)
        moment, seconds = begin.replace(second=0), sorted(want.seconds or {0})
        for _ in range(SOUGHT_DAYS * 24 * 60):
            is_due = (
                moment.minute in want.minutes and moment.hour in want.hours
                and (moment.day in want.days and moment.month in want.months and moment.weekday() in want.weekdays)
            )  # fmt: skip
            due = next((at for second in seconds if (at := moment.replace(second=second)) > begin), None) if is_due else None
            if due is not None:
                assert job.next_run.replace(microsecond=0) == due, (text, begin)
                matched += 1
                break
            moment += timedelta(minutes=1)
        else:
            assert job.next_run > begin + timedelta(days=SOUGHT_DAYS), text
    assert supported > count * 0.9, "few of them never come"
    assert matched > count * 0.4, "most of them are due within the days that are looked at"


def test_day_and_weekday_must_both_match() -> None:
    fields, _ = fields_of(spec("0 0 13 * fri"), "UTC")
    assert next_cron(datetime(2026, 4, 1, tzinfo=UTC), **fields).date().isoformat() == "2026-11-13"


def test_what_never_comes_is_refused_before_arq_searches_for_it() -> None:
    with pytest.raises(ValueError, match="year"):  # in a worker, this is its end
        next_cron(datetime(2026, 4, 1, tzinfo=UTC), month=2, day=30)
    with pytest.raises(Refused, match="forty years"):
        fields_of(spec("0 0 30 2 mon"), "UTC")
    fields, _ = fields_of(spec("0 0 29 2 mon"), "UTC")
    assert next_cron(datetime(2026, 4, 1, tzinfo=UTC), **fields).date().isoformat() == "2044-02-29"


@pytest.mark.parametrize(
    ("seconds", "nearest"),
    [
        ("1", "* * * * * *"),
        ("7", "*/6 * * * * *"),
        ("45", "* * * * *"),
        ("100", "*/2 * * * *"),
        ("3600", "0 * * * *"),
        ("50000", "0 */12 * * *"),
    ],
)
def test_the_nearest_to_an_interval_divides_evenly(seconds: str, nearest: str) -> None:
    with pytest.raises(Refused) as caught:
        fields_of(spec(seconds, kind="interval"), "UTC")
    assert str(caught.value).rpartition("nearest is ")[2] == nearest


def test_arq_s_own_ways_to_write_a_field_are_read() -> None:
    assert expression_of(cron_job(work, weekday="sun", hour=[1, 2, 3], minute=(0,))) == "0 1-3 * * sun"
    assert expression_of(cron_job(work, weekday=0, second=None, month={12, 1, 2})) == "* * * * 1,2,12 mon"
    assert expression_of(cron_job(work, minute={0, 20, 40}, second={0, 30})) == "0,30 */20 * * * *"
    assert expression_of(cron_job(work, day={0})) is None
    assert next_of(cron_job(work, day={0}), UTC) is None


def test_zones_have_names_and_a_plain_offset_is_one_that_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    def own() -> Any:
        return datetime.now().astimezone().tzinfo

    assert zone_of(ZoneInfo("Asia/Kolkata")) == "Asia/Kolkata"
    assert zone_of(SimpleNamespace(zone="Europe/Oslo")) == "Europe/Oslo", "as pytz names it"  # type: ignore[arg-type]
    assert not is_frozen(ZoneInfo("Europe/Berlin"))
    try:
        berlin = {"UTC+01:00", "UTC+02:00"}
        for name, names, frozen in (("Asia/Kolkata", {"UTC+05:30"}, False), ("Europe/Berlin", berlin, True), ("UTC", {"UTC"}, False)):
            monkeypatch.setenv("TZ", name)
            time.tzset()
            assert zone_of(own()) in names
            assert is_frozen(own()) is frozen
    finally:
        monkeypatch.undo()
        time.tzset()


def test_the_shared_search_finds_arqs_own_times() -> None:
    """All fields must match for arq, day and weekday too. In UTC: arq steps through local times where the clocks change."""
    source, seen = random.Random(20_261_130), 0
    while seen < 60:
        day, month, weekday = (
            source.choice(("*", "1-7", "13", "*/5")),
            source.choice(("*", "2", "3-9")),
            source.choice(("*", "fri", "mon-wed")),
        )
        first = source.choice(("", "", "7 ", "*/20 "))
        text = f"{first}{source.choice(('*', '5', '*/25'))} {source.choice(('*', '3,17', '*/7'))} {day} {month} {weekday}"
        at = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=source.randrange(3 * 366 * 86_400))
        fields, _ = fields_of(spec(text), "UTC")
        due = cron.parse(text).next_after(micro(at), UTC, day_or=False)
        assert due == micro(next_cron(at, **fields, microsecond=0)), (text, at)
        seen += 1
