# SPDX-License-Identifier: AGPL-3.0-or-later
"""Now: current findings with their start, evidence and action; queues, the last actions and the last hours."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from z4j import clock
from z4j.exceptions import BadInput
from z4j.formats import plural
from z4j.rules.charts.model import Series, TimeChart
from z4j.rules.findings.activity import BAD, QueueActivity
from z4j.rules.findings.backlog import forecast_of
from z4j.rules.findings.finding import Finding, Level, Scope, queue_href, tasks_href
from z4j.rules.findings.forecast import short_text
from z4j.rules.findings.news import summary
from z4j.rules.operator_input import shown_reason
from z4j.rules.permissions import is_allowed
from z4j.rules.rollups import DAY_US, HOUR, HOUR_US, MINUTE, MINUTE_US
from z4j.store.findings import findings as store_findings
from z4j.store.findings.findings import Muted
from z4j.store.operations import commands
from z4j.store.operations.commands import CommandRow
from z4j.store.rollups import rollups
from z4j.store.rollups.rollups import Range, Sums
from z4j.store.sqlite.db import Store
from z4j.store.tasks import task_search
from z4j.web.frame import export
from z4j.web.frame.forms import local_path, read_form
from z4j.web.frame.render import Choice, Notice, Shell, render, see_other
from z4j.web.frame.shell import make_shell
from z4j.web.frame.status_bar import scope_of
from z4j.web.frame.times import relative, weekday
from z4j.web.pages.chart_marks import action_marks, release_marks
from z4j.web.pages.finding_items import FindingAction, action_of, findings_of
from z4j.web.pages.history_charts import between, in_order
from z4j.web.pages.tasks.filters import Filters
from z4j.web.services import services

STATES: Final[dict[Level, str]] = {"bad": "failed", "warn": "retrying", "blind": "unknown"}
WORDS: Final[dict[Level, str]] = {"bad": "critical", "warn": "warning", "blind": "unknown"}
QUEUES: Final = 8
ACTIONS: Final = 5
MARKS: Final = 12
STALE_US: Final = 60_000_000
"""After this time without an evaluation, the page reports that and shows nothing as healthy."""


@dataclass(frozen=True, slots=True)
class Span:
    """A range of the chart: the sums it reads and the length of its slots, both in microseconds."""

    word: str
    us: int
    step: int
    slot_us: int


SPANS: Final = {
    "90m": Span("90 min", 90 * MINUTE_US, MINUTE, MINUTE_US), "24h": Span("24 h", DAY_US, MINUTE, 10 * MINUTE_US),
    "7d": Span("7 d", 7 * DAY_US, HOUR, HOUR_US),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class FindingLine:
    """A finding as one row; `muted` is set where it is shown among the muted ones."""

    finding: Finding
    offer: FindingAction | None
    state: str
    word: str
    muted: Muted | None = None


@dataclass(frozen=True, slots=True)
class QueueLine:
    """A queue beside the findings. `drains` is a forecast in words, `state` its color."""

    queue: QueueActivity
    href: str
    waiting_href: str
    drains: str
    state: str


@dataclass(frozen=True, slots=True)
class NowPage:
    """The context of now/page.html."""

    shell: Shell
    lines: tuple[FindingLine, ...]
    muted: tuple[FindingLine, ...]
    ended: tuple[store_findings.EndedFinding, ...]
    summary: str
    checked: str
    is_stale: bool
    queues: tuple[QueueLine, ...]
    queues_href: str
    queue_count: int
    actions: tuple[CommandRow, ...]
    chart: TimeChart
    spans: tuple[Choice, ...]
    live_href: str
    may_mute: bool
    news: str
    """What the person has not read yet, in numbers; "" for nothing."""
    news_since: str


async def page(request: Request) -> Response:
    """GET /."""
    server, scope = services(request), scope_of(request)
    shell = await make_shell(request, "now", scope)
    at, read_until = shell.now, request.scope["identity"].news_at
    mine = Scope(scope.app, scope.environment, scope.engine)
    lines = tuple(_line(request, finding) for finding in server.findings.current if mine.holds(finding.scope))
    muted = tuple(_line(request, finding, by) for finding, by in server.findings.muted if mine.holds(finding.scope))
    chosen = request.query_params.get("range", "90m")
    chosen = chosen if chosen in SPANS else "90m"
    last = await commands.list_commands(server.store, before=commands.NEWEST, limit=MARKS)
    queues = sorted((queue for queue in server.findings.queues if mine.holds(queue.scope)), key=_order)
    ended = [each for each in await store_findings.list_ended(server.store, at - HOUR_US, 5) if mine.holds(each.scope)]
    is_stale = server.findings.checked_at is None or at - server.findings.checked_at > STALE_US
    context = NowPage(
        shell=shell, lines=lines, muted=muted, ended=tuple(ended), summary=_summary(lines), checked=_checked(request, at),
        is_stale=is_stale,
        queues=tuple(_queue(queue) for queue in queues[:QUEUES]), queues_href=scope.href("/queues"), queue_count=len(queues),
        actions=tuple(last[:ACTIONS]), chart=await _chart(server.store, scope, SPANS[chosen], at, last),
        spans=tuple(Choice(span.word, scope.href("/", range=key), key == chosen) for key, span in SPANS.items()),
        live_href=scope.href("/", range=chosen), may_mute=is_allowed(shell.role, "operator"),
        news=summary(await server.news.unread(shell.user, read_until)) if read_until else "", news_since=weekday(read_until, at),
    )  # fmt: skip
    return render(request, "now/page.html", context)


def _line(request: Request, finding: Finding, muted: Muted | None = None) -> FindingLine:
    return FindingLine(finding, action_of(request, finding.action), STATES[finding.level], WORDS[finding.level], muted)


def _summary(lines: tuple[FindingLine, ...]) -> str:
    counts = {level: sum(line.finding.level == level for line in lines) for level in STATES}
    parts = [
        *([f"{counts['bad']} critical"] if counts["bad"] else []), *([f"{counts['warn']} warning"] if counts["warn"] else []),
        *([f"{counts['blind']} unknown"] if counts["blind"] else []),
    ]  # fmt: skip
    return " · ".join(parts)


def _checked(request: Request, at: int) -> str:
    """What was evaluated and when: without it, the absence of findings means little."""
    found = services(request).findings
    if found.checked_at is None:
        return "No checks yet: the server has just started"
    names, queues = found.checked
    processes = plural(found.fleet.processes, "process", "processes")
    return f"{plural(names, 'task name')}, {plural(queues, 'queue')} and {processes} checked {relative(found.checked_at, at)}"


def _order(queue: QueueActivity) -> tuple[bool, int, str]:
    return not queue.backlog, -(queue.oldest_us or 0), queue.name


def _queue(queue: QueueActivity) -> QueueLine:
    href = queue_href(queue.scope, queue.name)
    waiting = tasks_href(queue.scope, queue=queue.name, state=("queued", "received"))
    if queue.is_paused:
        return QueueLine(queue, href, waiting, "paused", "paused")
    forecast = forecast_of(queue) if queue.backlog else None
    if forecast is None:
        return QueueLine(queue, href, waiting, "", "")
    state = "failed" if forecast.is_never else "retrying" if forecast.high is None or forecast.high >= 30 else "succeeded"
    return QueueLine(queue, href, waiting, short_text(forecast), state)


async def _chart(store: Store, scope: Filters, span: Span, at: int, last: list[CommandRow]) -> TimeChart:
    """Finished and failed tasks per slot, with the actions of users in that time."""
    until = at // span.slot_us * span.slot_us + span.slot_us
    since = until - span.us
    params = await task_search.resolve(store, scope.scope().for_store(at))
    sums: dict[int, Sums] = {}
    if params is not None:
        ids = await rollups.list_totals(store, params)
        sums = await rollups.by_time(store, ids, Range(span.step, since, until), span.slot_us)
    times = range(since, until, span.slot_us)
    good, bad = dict.fromkeys(times, 0), dict.fromkeys(times, 0)
    for time, of_step in sums.items():
        slot = time // span.slot_us * span.slot_us
        if slot in good:
            bad[slot] += of_step.failed + of_step.lost + of_step.rejected + of_step.expired
            good[slot] += of_step.succeeded + of_step.cancelled
    per_minute = MINUTE_US / span.slot_us
    links = [between(scope, time, time + span.slot_us).href() for time in times]
    bad_links = [between(scope, time, time + span.slot_us).but(state=BAD).href() for time in times]
    releases = await release_marks(store, since, until, app=scope.app, environment=scope.environment)
    return TimeChart(
        title="Finished and failed tasks per minute", times=tuple(times), step=span.slot_us, unit="tasks per minute", links=links,
        series=(
            Series("finished", "succeeded", tuple(count * per_minute for count in good.values())),
            Series("failed", "failed", tuple(count * per_minute for count in bad.values()), links=bad_links),
        ),
        marks=in_order([*releases, *action_marks(last, since, until)]),
    )  # fmt: skip


async def to_json(request: Request) -> Response:
    """GET /now.json: the findings under the filters of every page, the worst first. Times are microseconds UTC."""
    return export.to_json(msgspec.to_builtins(findings_of(request)))


async def mute(request: Request) -> Response:
    """POST /findings/mute: a finding is no longer shown until it is unmuted."""
    server, form, identity = services(request), await read_form(request), request.scope["identity"]
    finding = next((each for each in server.findings.current if each.key == form.get("key")), None)
    back = local_path(form.get("back", "/"))
    if finding is None:
        return see_other(back, Notice("warn", "The finding has already ended. No changes were made."))
    at = clock.now()
    muted = Muted(finding.kind, finding.scope, finding.subject, identity.name, shown_reason(form.get("reason", ""))[:200], at)
    await server.store.write(partial(store_findings.mute, muted=muted))
    await _note(request, "mute_finding", finding.key, muted.reason, at)
    await server.findings.refresh(at)
    return see_other(back, Notice("good", f"“{finding.title}” muted. It is listed below the other findings until it ends."))


async def unmute(request: Request) -> Response:
    """POST /findings/unmute."""
    server, form = services(request), await read_form(request)
    parts = form.get("key", "").split("|")
    if len(parts) < 5:
        raise BadInput("Unknown finding. No changes were made.")
    kind, scope, subject = parts[0], Scope(*parts[1:4]), "|".join(parts[4:])
    at = clock.now()
    if await server.store.write(partial(store_findings.unmute, kind=kind, scope=scope, subject=subject)):
        await _note(request, "unmute_finding", form["key"], "", at)
        await server.findings.refresh(at)
    return see_other(local_path(form.get("back", "/")), Notice("good", "Unmuted."))


async def _note(request: Request, action: str, key: str, reason: str, at: int) -> None:
    identity, server = request.scope["identity"], services(request)
    await server.audit.record(
        server.store, at=at, actor=identity.name, role=identity.role, action=action, target=f"finding:{key}",
        detail={"reason": reason} if reason else {}, address=request.scope["client"][0],
    )  # fmt: skip
