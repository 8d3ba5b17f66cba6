# SPDX-License-Identifier: AGPL-3.0-or-later
"""What the invented company runs: three apps of three engines, their task names with how often they come, and the rhythm of its week.

The moment `start` of a simulation is always a Wednesday, ten past two in the afternoon, so that a run at night is the same as one at noon.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Final

SECOND: Final = 1_000_000
MINUTE: Final = 60 * SECOND
HOUR: Final = 60 * MINUTE
DAY: Final = 24 * HOUR
START_OF_DAY_US: Final = 14 * HOUR + 10 * MINUTE
WEEKDAY: Final = 2


@dataclass(frozen=True, slots=True)
class Kind:
    """One task name. Shares are of its runs; the others succeed."""

    app: str
    engine: str
    name: str
    queue: str
    per_minute: float
    """While the offices are open; 0: only what a schedule or an incident makes."""
    ran_s: float
    """The median; four of five lie between 0.6 and 1.6 of it."""
    failing: float = 0.0
    retrying: float = 0.0
    """Attempts that are tried again."""
    pause_s: float = 20.0
    """Before an attempt that is not the first one."""
    error: tuple[str, str] = ("ConnectionError", "smtp.internal:587 refused the connection")
    is_unknown: bool = False
    """Whether its workers reject it, because they have not registered it."""
    code: str = "shop.views:41"
    is_rhythmic: bool = True


@dataclass(frozen=True, slots=True)
class Schedule:
    """An entry of a scheduler: every so many seconds, or in each minute that is `hour`:`minute` of `weekday` (None: of any)."""

    key: str
    name: str
    every_s: int = 0
    hour: int | None = None
    minute: int = 0
    weekday: int | None = None
    tasks: int = 1
    """How many it makes."""


@dataclass(frozen=True, slots=True)
class App:
    """An application: its engine, its workers as (name, host, concurrency, queues), and its scheduler with what that runs."""

    name: str
    engine: str
    version: str
    release: str
    workers: tuple[tuple[str, str, int, tuple[str, ...]], ...]
    scheduler: str = ""
    schedules: tuple[Schedule, ...] = ()


APPS: Final = (
    App(
        "shop", "celery", "5.7.0", "2.14.0",
        (
            ("celery@shop-1", "shop-1", 8, ("emails", "payments", "hooks", "search", "default", "reports")),
            ("celery@shop-2", "shop-2", 8, ("emails", "payments", "hooks", "search", "default", "reports")),
        ),
        "celery_beat",
        (
            Schedule("collect-metrics", "metrics.collect", every_s=60),
            Schedule("sync-crm", "users.sync_crm", every_s=300),
            Schedule("hourly-report", "reports.hourly", minute=5, tasks=6),
            Schedule("nightly-report", "reports.nightly", hour=2, minute=30),
        ),
    ),
    App(
        "documents", "rq", "2.6.0", "r318", (("documents-1.4711", "documents-1", 1, ("pdf", "ocr")),
                                             ("documents-1.4712", "documents-1", 1, ("pdf", "ocr")),
                                             ("documents-2.902", "documents-2", 1, ("pdf", "ocr"))),
        "rq_scheduler", (Schedule("weekly-invoices", "invoices.render", hour=6, minute=15, weekday=0, tasks=60),),
    ),
    App("media", "dramatiq", "1.18.0", "f00dcafe", (("media-1", "media-1", 8, ("thumbs", "video")),)),
)  # fmt: skip

KINDS: Final = (
    Kind("shop", "celery", "emails.send", "emails", 8, 0.4, 0.01, 0.01),
    Kind("shop", "celery", "orders.charge", "payments", 1.2, 0.7, 0.005, 0.02, error=("CardDeclined", "the issuer declined the payment")),
    Kind("shop", "celery", "hooks.deliver", "hooks", 6, 0.25, 0.01, 0.06, error=("ReadTimeout", "hooks.example.com did not answer")),
    Kind("shop", "celery", "search.index", "search", 0.8, 0.12, code="shop.models.product:88"),
    Kind("shop", "celery", "metrics.collect", "default", 0, 0.2),
    Kind("shop", "celery", "users.sync_crm", "default", 0, 8, 0.02, error=("HTTPError", "503 from crm.example.com")),
    Kind("shop", "celery", "reports.hourly", "reports", 0, 4),
    Kind("shop", "celery", "reports.nightly", "reports", 0, 240),
    Kind("documents", "rq", "pdf.render", "pdf", 0.7, 2.5, 0.01, error=("LayoutError", "page 7 does not fit")),
    Kind("documents", "rq", "ocr.scan", "ocr", 0.3, 12, 0.03, error=("ScanError", "the image has no text")),
    Kind("documents", "rq", "invoices.render", "pdf", 0, 3),
    Kind("media", "dramatiq", "thumbs.make", "thumbs", 0.8, 0.3, 0.005, error=("UnidentifiedImageError", "cannot identify image file")),
    Kind("media", "dramatiq", "video.transcode", "video", 0.15, 60, 0.02, error=("CalledProcessError", "ffmpeg ended with 1")),
)


def weekday_and_time(at: int, start: int) -> tuple[int, int]:
    """The weekday (Monday is 0) and the microseconds since its midnight, of the company's calendar."""
    since_monday = at - start + WEEKDAY * DAY + START_OF_DAY_US
    return since_monday // DAY % 7, since_monday % DAY


def rhythm(at: int, start: int) -> float:
    """How much of the traffic of open offices there is at a moment, 0 to 1."""
    weekday, time = weekday_and_time(at, start)
    hour = time / HOUR
    if 9 <= hour < 18:
        share = 0.9 + 0.1 * (1 - abs(hour - 13.5) / 4.5)
    elif 7 <= hour < 9:
        share = 0.04 + 0.42 * (hour - 7)
    elif 18 <= hour < 23:
        share = 0.9 - 0.172 * (hour - 18)
    else:
        share = 0.04
    return share * (0.25 if weekday >= 5 else 1.0)


def is_due(schedule: Schedule, at: int, start: int) -> bool:
    """Whether a schedule is due in the minute that begins at a moment."""
    if schedule.every_s:
        return at // MINUTE % (schedule.every_s // 60) == 0
    weekday, time = weekday_and_time(at, start)
    if schedule.minute != time % HOUR // MINUTE or schedule.hour not in (None, time // HOUR):
        return False
    return schedule.weekday in (None, weekday)


@cache
def expression(schedule: Schedule, start: int) -> str:
    """A schedule as its scheduler lists it: seconds of an interval, else cron in UTC."""
    if schedule.every_s:
        return str(schedule.every_s)
    due = datetime.fromtimestamp(next_due(schedule, start, start) / SECOND, UTC)
    hour = "*" if schedule.hour is None else str(due.hour)
    day = "*" if schedule.weekday is None else due.strftime("%a").lower()
    return f"{due.minute} {hour} * * {day}"


def next_due(schedule: Schedule, at: int, start: int) -> int:
    """The first minute after a moment in which it is due."""
    if every := schedule.every_s * SECOND:
        return at // every * every + every
    first = at // MINUTE * MINUTE + MINUTE
    first += (schedule.minute * MINUTE - weekday_and_time(first, start)[1] // MINUTE * MINUTE) % HOUR
    return next(each for each in range(first, first + 8 * DAY, HOUR) if is_due(schedule, each, start))
