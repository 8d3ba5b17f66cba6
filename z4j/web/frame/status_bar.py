# SPDX-License-Identifier: AGPL-3.0-or-later
"""The status bar: the linked numbers on every page, and the region that refreshes them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from z4j import clock
from z4j.formats import duration, number
from z4j.listener.tls import WARN_DAYS, days_left, is_ending
from z4j.rules.clock_watch import FOLLOWED_US
from z4j.rules.permissions import is_allowed
from z4j.store.tasks.minute_stats import StatusNumbers, status_numbers
from z4j.web.frame.render import Number, respond, to_html
from z4j.web.pages.tasks.filters import Filters
from z4j.web.services import Services, services

BAD = ("lost", "expired", "rejected", "failed")
KEPT_US: Final = 1_000_000
SCOPES: Final = 50
"""Filters whose numbers are kept."""


@dataclass(frozen=True, slots=True)
class StatusBarRegion:
    """The context of _status_bar.html."""

    strip: tuple[Number, ...]


def scope_of(request: Request) -> Filters:
    """Returns the filters that apply to every page, from the URL."""
    query = request.query_params
    return Filters(
        engine=query.get("engine", "")[:1_000], app=query.get("app", "")[:1_000], environment=query.get("environment", "")[:1_000]
    )


async def read_numbers(server: Services, scope: Filters, now: int) -> StatusNumbers:
    """Returns the numbers under the filters of every page. They are the same for all users, so they are kept for a second, and never
    beyond a change. `now` has to lie before the first read of the page, which decides what all of its reads see."""
    kept: dict[Filters, tuple[int, int, StatusNumbers]] = server.store.memo.setdefault("strip", (0, {}))[1]
    until, read_at, numbers = kept.get(scope, (0, 0, StatusNumbers()))
    if clock.ticks() < until and server.live.changed_at < read_at <= now:
        return numbers
    numbers = await status_numbers(server.store, scope.for_store(now))
    if len(kept) >= SCOPES:
        kept.clear()
    kept[scope] = (clock.ticks() + KEPT_US, now, numbers)
    return numbers


def alarms_of(request: Request) -> tuple[Number, ...]:
    """Returns the cells of critical problems: an altered audit log, an expiring certificate, a clock far ahead."""
    return (*_audit_alarm(request), *_certificate_alarm(request), *_clock_alarm(request))


def _certificate_alarm(request: Request) -> tuple[Number, ...]:
    tls, at = services(request).tls, clock.now()
    if tls is None or not (tls.problem or is_ending(tls.certificate, at)):
        return ()
    days, may_read = days_left(tls.certificate, at), is_allowed(request.scope["identity"].role, "auditor")
    value = "expired" if days < 0 else f"{days} days"
    return (
        Number(
            "certificate", value, "/settings/appliance#tls" if may_read else "", "its new files could not be loaded" if tls.problem else "",
            "failed" if tls.problem or days < WARN_DAYS[1] else "",
        ),
    )  # fmt: skip


def _clock_alarm(request: Request) -> tuple[Number, ...]:
    watch, may_read = services(request).clock_watch, is_allowed(request.scope["identity"].role, "auditor")
    if watch.held_us is None or watch.trusted is None or all(step.by_us <= FOLLOWED_US for step in tuple(watch.steps)):
        return ()  # a server that was stopped for a week is no alarm
    ahead = f"+{number((clock.now() - watch.trusted.at) // clock.DAY_US)} d"  # short: one of eight cells
    return (Number("clock", ahead, "/settings/appliance#clock" if may_read else "", "ahead", "failed"),)


def _audit_alarm(request: Request) -> tuple[Number, ...]:
    alarm, may_read = services(request).audit.alarm, is_allowed(request.scope["identity"].role, "auditor")
    if alarm is None:
        return ()
    return (Number("audit log", "altered", "/changes/audit" if may_read else "/changes", f"from row {number(alarm.row)}", "failed"),)


def cells(numbers: StatusNumbers, scope: Filters, now: int) -> tuple[Number, ...]:
    """Returns each number with a value for comparison and the URL of its rows."""
    failed_usual = "" if numbers.failed_usual is None else f"usual {number(round(numbers.failed_usual))}"
    is_worse = numbers.failed_hour > 2 * (numbers.failed_usual or 0) and numbers.failed_hour > 0
    oldest = None if numbers.oldest_waiting_at is None else max(now - numbers.oldest_waiting_at, 0)
    waiting = scope.but(state=("queued", "received"))
    return (
        Number("finished / min", number(round(numbers.finished_per_min)), scope.but(state=("succeeded",)).href(), _change(numbers)),
        Number(
            "failed / hour", number(numbers.failed_hour), scope.but(state=BAD, since="1h").href(), failed_usual,
            "failed" if is_worse else "",
        ),
        Number("running", number(numbers.running), scope.but(state=("running",)).href()),
        Number("waiting", number(numbers.waiting), waiting.href()),
        Number(
            "longest wait", duration(oldest), waiting.but(queue=numbers.oldest_waiting_queue).href(), numbers.oldest_waiting_queue
        ),
        Number("retrying", number(numbers.retrying), scope.but(state=("retrying",)).href()),
        Number(
            "silent agents", number(numbers.silent_agents), scope.href("/workers"), state="failed" if numbers.silent_agents else ""
        ),
    )  # fmt: skip


def _change(numbers: StatusNumbers) -> str:
    if numbers.finished_before < 1:
        return ""
    change = round((numbers.finished_per_min / numbers.finished_before - 1) * 100)
    sign = "+" if change > 0 else "−" if change < 0 else "±"
    return f"{sign}{abs(change):,}\u202f%"


async def region(request: Request) -> Response:
    """GET /strip: only the numbers, for a page that is already open."""
    now, scope = clock.now(), scope_of(request)
    numbers = await read_numbers(services(request), scope, now)
    return respond(request, to_html("_status_bar.html", StatusBarRegion((*cells(numbers, scope, now), *alarms_of(request)))))
