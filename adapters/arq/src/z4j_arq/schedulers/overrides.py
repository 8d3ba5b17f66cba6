# SPDX-License-Identifier: Apache-2.0
"""Converts schedules from and to arq's `CronJob`: fields, expressions and time zones, with refusals of unsupported values. Without I/O.

All fields of a `CronJob` must match, also day and weekday if both are given; weekdays count from Monday, 0; None matches everything
(arq, cron.py:_get_next_dt). arq computes the next run itself, by stepping, and one that never comes would end the worker.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Any, Final

from arq.cron import next_cron

from z4j_agent.contract.adapter import Refused
from z4j_agent.contract.scheduler import ScheduleSpec, read_cron
from z4j_agent.runtime.time_zones import check_only_zone, offset_name
from z4j_agent.wire import cron

FIELDS: Final = ("minute", "hour", "day", "month", "weekday")
_BOUNDS: Final = {**cron.BOUNDS, "weekday": (0, 6)}
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def micro(moment: datetime) -> int:
    """Returns an aware datetime as microseconds UTC."""
    return (moment.astimezone(UTC) - _EPOCH) // timedelta(microseconds=1)


# -- what arq has ------------------------------------------------------------------------------------------------------
def expression_of(job: Any) -> str | None:
    """Returns the fields of a CronJob as an expression, with seconds unless they are just 0; None if they never match."""
    sets = {name: _set(getattr(job, name), name) for name in (*FIELDS, "second")}
    if not all(sets.values()):
        return None
    seconds = None if sets["second"] == {0} else sets["second"]
    return cron.expression(sets["minute"], sets["hour"], sets["day"], sets["month"], sets["weekday"], seconds)


def _set(value: Any, name: str) -> frozenset[int]:
    low, high = _BOUNDS[name]
    if value is None:
        return frozenset(range(low, high + 1))
    if isinstance(value, str) and name == "weekday":
        value = cron.WEEKDAYS.index(value.lower()) if value.lower() in cron.WEEKDAYS else -1
    numbers: Iterable[Any] = value if isinstance(value, set | list | tuple) else (value,)
    return frozenset(number for number in numbers if isinstance(number, int) and low <= number <= high)


def next_of(job: Any, zone: tzinfo) -> int | None:
    """When it is due next in arq, also before arq has computed that."""
    if job.next_run is not None:
        return micro(job.next_run)
    if expression_of(job) is None:
        return None
    fields = {name: getattr(job, name) for name in (*FIELDS, "second", "microsecond")}
    return micro(next_cron(datetime.now(tz=zone), **fields))


# -- what arq supports----------------------------------------------------------------------------------------------
def fields_of(spec: ScheduleSpec, own_zone: str) -> tuple[dict[str, Any], str]:
    """Returns the fields of a CronJob, and the displayed expression. Raises Refused with the reason, and the nearest expression if there is
    one."""
    if spec.kind == "interval":
        raise Refused(f"arq has cron expressions only; the nearest is {_nearest(spec.expression)}")
    if spec.kind != "cron":
        raise Refused("arq's cron jobs have no year, so a one-off would run again every year. No changes were made.")
    check_only_zone(spec.timezone, own_zone, "an arq worker")
    expression = read_cron(spec.expression)
    if expression.next_after(micro(datetime.now(UTC)), UTC, day_or=False) is None:
        raise Refused("no day of the next forty years matches it. No changes were made.")
    sets = {
        "minute": expression.minutes, "hour": expression.hours, "day": expression.days, "month": expression.months,
        "weekday": expression.weekdays,
        "second": frozenset({0}) if expression.seconds is None else expression.seconds,
    }  # fmt: skip
    return {name: _value(numbers, name) for name, numbers in sets.items()}, expression.text


def _value(numbers: frozenset[int], name: str) -> set[int] | int | None:
    low, high = _BOUNDS[name]
    if len(numbers) == high - low + 1:
        return None
    return min(numbers) if len(numbers) == 1 else set(numbers)


def _nearest(text: str) -> str:
    """The expression that is nearest to an interval: those that divide a minute, an hour or a day evenly."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise Refused(f"“{text[:40]}” is not an interval")
    parts = {count: f"*/{count} * * * * *" for count in (2, 3, 4, 5, 6, 10, 12, 15, 20, 30)} | {1: "* * * * * *", 60: "* * * * *"}
    parts |= {count * 60: f"*/{count} * * * *" for count in (2, 3, 4, 5, 6, 10, 12, 15, 20, 30)} | {3_600: "0 * * * *"}
    parts |= {count * 3_600: f"0 */{count} * * *" for count in (2, 3, 4, 6, 8, 12)} | {86_400: "0 0 * * *", 604_800: "0 0 * * mon"}
    return parts[min(parts, key=lambda count: abs(math.log(count / seconds)))]


# -- zones -------------------------------------------------------------------------------------------------------------
def zone_of(zone: tzinfo) -> str:
    """Returns the name of a worker's time zone; for a plain offset, `UTC` or `UTC+05:30`."""
    for name in (getattr(zone, "key", None), getattr(zone, "zone", None)):
        if isinstance(name, str) and name:
            return name
    return offset_name(datetime.now(tz=zone).strftime("%z"))


def is_frozen(zone: tzinfo) -> bool:
    """Whether it is a fixed offset that the host's zone had when the worker was created, although that zone changes its clocks.

    arq's default is `datetime.now().astimezone().tzinfo`, which is that offset and not a zone (arq, worker.py:Worker.__init__).
    """
    if type(zone) is not timezone or zone is UTC:
        return False
    year = datetime.now(UTC).year
    here = {datetime(year, month, 15, tzinfo=UTC).astimezone().utcoffset() for month in range(1, 13)}
    return len(here) > 1 and zone.utcoffset(None) in here
