# SPDX-License-Identifier: Apache-2.0
"""What every scheduler's adapter reads: intervals, times, zones, overrides."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from z4j_agent.contract.adapter import Refused
from z4j_agent.contract.scheduler import overrides_of, read_cron, read_interval, read_time, read_whole_interval, spec_of
from z4j_agent.runtime.time_zones import check_only_zone, find_zone, is_zone, offset_name, zone_of_host


@pytest.mark.parametrize(
    ("text", "why"),
    [("often", "not a number"), ("", "not a number"), ("0", "longer"), ("-5", "longer"), ("nan", "longer"), ("inf", "longer")],
)
def test_what_is_no_interval_is_refused(text: str, why: str) -> None:
    with pytest.raises(Refused, match=why):
        read_interval(text)
    with pytest.raises(Refused, match=why):
        read_whole_interval(text, "ours")


def test_intervals_are_seconds() -> None:
    assert read_interval("0.5") == 0.5
    assert read_whole_interval("90.0", "ours") == 90
    for text, nearest in (("1.5", "2"), ("0.2", "1")):
        with pytest.raises(Refused, match=f"its intervals are whole seconds; the nearest is {nearest}$"):
            read_whole_interval(text, "its")


def test_an_expression_is_read_or_refused_in_a_sentence() -> None:
    assert read_cron("*/5 * * * MON").text == "*/5 * * * mon"
    assert read_cron("7 */5 * * * *").seconds == {7}
    with pytest.raises(Refused, match="outside the range 0 to 59"):
        read_cron("99 * * * *")
    with pytest.raises(Refused, match=r"^Celery Beat does not support seconds; the nearest is \*/5 \* \* \* \*$"):
        read_cron("7 */5 * * * *", "Celery Beat")


def test_a_time_has_its_offset() -> None:
    assert read_time("2027-01-01T05:30:00+05:30") == datetime(2027, 1, 1, tzinfo=UTC)
    assert read_time("2027-01-01T00:00:00+00:00").utcoffset() == timedelta(0)
    for text in ("tomorrow", "", "2027-13-01", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59"):
        with pytest.raises(Refused, match="not a time in ISO 8601"):
            read_time(text)
    with pytest.raises(Refused, match="requires a UTC offset"):
        read_time("2027-01-01T00:00:00")


@pytest.mark.parametrize("name", ["Asia/Kolkata", "America/New_York", "UTC"])
def test_the_host_s_zone_is_found_by_its_name(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    with monkeypatch.context() as patched:
        patched.setenv("TZ", name)
        time.tzset()
        assert zone_of_host() == name
    time.tzset()


def test_a_host_without_a_name_has_its_offset(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setenv("TZ", "XYZ-4:45")  # POSIX: east of Greenwich is negative
        time.tzset()
        assert zone_of_host() == "UTC+04:45"
    time.tzset()
    assert (offset_name("+0000"), offset_name("-0330")) == ("UTC", "UTC-03:30")


def test_zones_are_those_of_the_database() -> None:
    assert is_zone("Europe/Berlin")
    assert find_zone("Europe/Berlin") == ZoneInfo("Europe/Berlin")
    for name in ("Mars/Olympus", "../etc/passwd", "", "/etc/localtime"):
        assert not is_zone(name)
        with pytest.raises(Refused, match="unknown time zone"):
            find_zone(name)


def test_a_scheduler_with_one_zone_takes_no_other() -> None:
    for name, own in (("", "Asia/Kolkata"), ("Asia/Kolkata", "Asia/Kolkata"), ("Etc/UTC", "UTC"), ("UTC", "Zulu")):
        check_only_zone(name, own, "ours")
    with pytest.raises(Refused, match="ours uses one time zone for all schedules, UTC"):
        check_only_zone("Asia/Kolkata", "UTC", "ours")
    with pytest.raises(Refused, match="unknown time zone Mars"):
        check_only_zone("Mars", "UTC", "ours")


def test_what_a_command_says_is_checked() -> None:
    good = {"kind": "interval", "expression": "5", "name": "n", "task_name": "t"}
    assert (spec_of(good).expression, spec_of(good).is_enabled, spec_of(good).args) == ("5", True, None)
    bad = ({"kind": "other"}, {"args": {}}, {"kwargs": []}, {"priority": True}, {"priority": "high"}, {"name": 5}, {"name": "x" * 5_000})
    for change in bad:
        with pytest.raises(Refused):
            spec_of({**good, **change})
    (override,) = overrides_of([{"key": "k", "is_enabled": False, "spec": good}])
    assert (override.key, override.is_new, override.is_enabled) == ("k", False, False)
    assert override.spec is not None
    assert override.spec.key == "k"
    for items in ({}, [5], [{"key": 5}], [{"spec": good}]):
        with pytest.raises(Refused):
            overrides_of(items)
