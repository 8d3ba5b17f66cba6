# SPDX-License-Identifier: AGPL-3.0-or-later
"""The next 24 hours: the number of due times by quarter hour, and the minutes with several of them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from z4j import clock
from z4j.rules.schedules.due_times import BadSchedule, zone_of
from z4j.store.schedules.schedules import ScheduleRow
from z4j.web.frame.render import Shell, render
from z4j.web.frame.shell import make_shell
from z4j.web.frame.status_bar import scope_of
from z4j.web.frame.times import local_text, reader_zone
from z4j.web.pages.schedules.list import WORDS, list_lines
from z4j.web.services import services

MINUTE: Final = 60_000_000
BUCKET: Final = 15 * MINUTE
DAY: Final = 24 * 60 * MINUTE
OFTEN: Final = 5 * MINUTE
"""A schedule that is due more often is listed separately, because it would hide all others in the chart."""
PILE: Final = 3
"""Smallest number of schedules in one minute that is shown as a pile-up."""
LISTED: Final = 200


@dataclass(frozen=True, slots=True)
class Quarter:
    """Fifteen minutes: the number of due times, and the height of the bar in percent."""

    start: int
    count: int
    height: int
    is_pile: bool
    label: str
    href: str


@dataclass(frozen=True, slots=True)
class DueLine:
    """One due time."""

    at: int
    local: str
    row: ScheduleRow
    scheduler: str


@dataclass(frozen=True, slots=True)
class Pile:
    """A minute in which several schedules are due."""

    at: int
    local: str
    count: int
    href: str


@dataclass(frozen=True, slots=True)
class CalendarPage:
    """The context of schedules/calendar.html."""

    shell: Shell
    zone: str
    quarters: tuple[Quarter, ...]
    hours: tuple[str, ...]
    piles: tuple[Pile, ...]
    often: tuple[ScheduleRow, ...]
    due: tuple[DueLine, ...]
    shown: str
    """The part of the day that is listed below; "" for all of it."""
    more: int
    total: int


async def page(request: Request) -> Response:
    """GET /schedules/calendar; `from` and `to` (microseconds UTC) narrow the list below the chart."""
    scope, now, viewer = scope_of(request), clock.now(), reader_zone()
    lines, _ = await list_lines(services(request).store, scope, now, strip=0)
    rows = [entry.row for entry in lines if entry.row.is_enabled and entry.row.next_at is not None]
    start, end, buckets = window(now)
    often, due = occurrences(rows, now, end)
    minutes = Counter(at // MINUTE for at, _ in due)
    per_bucket = Counter((at - start) // BUCKET for at, _ in due)
    most = max(per_bucket.values(), default=1)
    since, until = (_bound(request.query_params.get(name, "")) for name in ("from", "to"))
    listed = [(at, row) for at, row in due if (since or now) <= at < (until or end)]
    made = CalendarPage(
        shell=await make_shell(request, "schedules", scope),
        zone=viewer,
        quarters=tuple(
            _quarter(start + index * BUCKET, per_bucket[index], most, minutes, viewer) for index in range(buckets)
        ),
        hours=tuple(_hour(start + index * 12 * BUCKET, viewer) for index in range(8)),
        piles=tuple(
            Pile(minute * MINUTE, _hour(minute * MINUTE, viewer), count, _href(minute * MINUTE, MINUTE))
            for minute, count in minutes.most_common(5)
            if count >= PILE
        ),
        often=tuple(often),
        due=tuple(DueLine(at, local_text(at, viewer), row, WORDS.get(row.scheduler, row.scheduler)) for at, row in listed[:LISTED]),
        shown=f"{_hour(since, viewer)} to {_hour(until, viewer)}" if since and until else "",
        more=len(listed[LISTED:]),
        total=len(due),
    )  # fmt: skip
    return render(request, "schedules/calendar.html", made)


def window(now: int) -> tuple[int, int, int]:
    """Returns the start of the chart, the end of the 24 hours, and the number of quarters: 96, or 97 where `now` is within one."""
    start, end = now // BUCKET * BUCKET, now + DAY
    return start, end, -((start - end) // BUCKET)


def occurrences(rows: list[ScheduleRow], now: int, end: int) -> tuple[list[ScheduleRow], list[tuple[int, ScheduleRow]]]:
    """Returns the schedules that run more often than OFTEN, and every due time of the others from `now` until before `end`, in order."""
    often, due = [], []
    for row in rows:
        assert row.next_at is not None
        try:
            period = row.timing.period_us(max(row.next_at, now)) if row.kind != "other" else None
            if period is not None and period < OFTEN:
                often.append(row)
                continue
            later = list(row.timing.between(max(row.next_at, now), end)) if row.kind != "other" else []
        except (BadSchedule, ValueError):  # a rule that only its scheduler supports: its next time was reported
            later = []
        if now <= row.next_at < end:
            due.append((row.next_at, row))
        due += [(at, row) for at in later if at < end]
    return often, sorted(due, key=lambda occurrence: occurrence[0])


def _quarter(start: int, count: int, most: int, minutes: Counter[int], viewer: str) -> Quarter:
    is_pile = any(minutes[minute] >= PILE for minute in range(start // MINUTE, (start + BUCKET) // MINUTE))
    label = f"{_hour(start, viewer)}: {count} due" + (", several in one minute" if is_pile else "")
    return Quarter(start, count, max(4, count * 100 // most) if count else 0, is_pile, label, _href(start, BUCKET))


def _href(start: int, span: int) -> str:
    return f"/schedules/calendar?from={start}&to={start + span}#due"


def _hour(at: int, zone: str) -> str:
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=at)).astimezone(zone_of(zone)).strftime("%H:%M")


def _bound(text: str) -> int:
    return int(text) if text.isdecimal() and len(text) < 18 else 0
