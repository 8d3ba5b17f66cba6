# SPDX-License-Identifier: AGPL-3.0-or-later
"""One schedule: its due times, the results of the last ones, its changes, and the actions on it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from z4j import clock
from z4j.agents.connections import Need
from z4j.exceptions import AgentGone, BadInput, NotAllowed, NotFound, Unsupported, WrongState
from z4j.rules.commands import RULES
from z4j.rules.permissions import may_act
from z4j.rules.schedules.due_times import BadSchedule
from z4j.rules.schedules.schedule_health import percentile
from z4j.store.operations.value_encryption import SealError
from z4j.store.schedules import fires, schedules
from z4j.store.schedules.fires import FireRow
from z4j.store.schedules.scheduler_processes import facts_of, scheduler_processes
from z4j.store.schedules.schedules import EditRow, ScheduleRow, SchedulerRow
from z4j.web.frame import export, values
from z4j.web.frame.forms import local_path, read_form
from z4j.web.frame.render import Notice, Shell, is_refresh, render, see_other
from z4j.web.frame.shell import make_shell
from z4j.web.frame.times import TwoTimes, reader_zone, relative, two_times
from z4j.web.pages.schedules.list import Bar, ScheduleLine, Strip, bars, line, to_fields
from z4j.web.pages.tasks.filters import Filters
from z4j.web.services import services

SHOWN: Final = 50
NEXT: Final = 5
PROBLEMS: Final = frozenset({"late", "missed", "failed", "double", "unknown"})
ACTS: Final = {"save": "save_schedule", "enable": "enable_schedule", "disable": "disable_schedule", "delete": "delete_schedule",
               "fire": "fire_schedule"}  # fmt: skip


@dataclass(frozen=True, slots=True)
class FireLine:
    """One due time and its result."""

    fire: FireRow
    state: str
    lateness: int | None
    href: str


@dataclass(frozen=True, slots=True)
class SchedulePage:
    """The context of schedules/detail.html."""

    shell: Shell
    line: ScheduleLine
    strip: tuple[Bar, ...]
    fires: tuple[FireLine, ...]
    older_href: str
    p50: int | None
    p95: int | None
    problems: int
    """Number of fires in the strip that were neither on time nor skipped by the rule of the schedule."""
    next_times: tuple[TwoTimes, ...]
    viewer_zone: str
    args: tuple[tuple[str, str], ...]
    edits: tuple[EditRow, ...]
    processes: tuple[SchedulerRow, ...]
    why_not: dict[str, str]
    """action → why it is not possible, "" when it is."""
    tasks_href: str
    pending_change: str
    """Why a change is not applied yet; "" when it is."""


@dataclass(frozen=True, slots=True)
class GonePage:
    """The context of schedules/_gone.html: the schedule was deleted."""


async def find_schedule(request: Request) -> ScheduleRow:
    """Returns the schedule in the path. Raises NotFound."""
    row = await schedules.get_schedule(services(request).store, request.path_params["id"])
    if row is None:
        raise NotFound("Schedule not found. It may have been deleted.", "The Schedules page lists all schedules.")
    return row


async def detail_page(request: Request) -> Response:
    """GET /schedules/{id}."""
    try:
        row = await find_schedule(request)
    except NotFound:
        if not is_refresh(request):
            raise
        return render(request, "schedules/_gone.html", GonePage())  # it was deleted while its page was open
    server, now = services(request), clock.now()
    processes = await scheduler_processes(server.store)
    before = request.query_params.get("before", "")
    latest = await fires.list_fires(server.store, row.id, limit=SHOWN)
    page_of = latest
    if before.isdecimal() and len(before) < 18:
        page_of = await fires.list_fires(server.store, row.id, before=int(before), limit=SHOWN)
    grace = processes.grace(row)
    late = [facts.lateness for facts in (facts_of(fire, grace) for fire in latest) if facts.lateness is not None]
    strip = bars(latest[::-1], grace, SHOWN)
    viewer = reader_zone()
    page = SchedulePage(
        shell=await make_shell(request, "schedules", Filters(app=row.app, environment=row.environment, engine=row.engine)),
        line=line(row, processes.health(row, latest, now), Strip()),
        strip=strip,
        fires=tuple(_fire_line(fire, row, grace) for fire in page_of),
        older_href=f"/schedules/{row.id}?before={page_of[-1].due_at}" if len(page_of) == SHOWN else "",
        p50=percentile(late, 0.5),
        p95=percentile(late, 0.95),
        problems=sum(bar.state in PROBLEMS for bar in strip),
        next_times=next_times(row, now, viewer),
        viewer_zone=viewer,
        args=values.pairs(f"{row.args} {row.kwargs}"),
        edits=tuple(await schedules.list_edits(server.store, row)),
        processes=tuple(processes.of(row)),
        why_not={word: why_not(request, row, word) for word in ACTS},
        tasks_href=Filters(name=row.task_name, engine=row.engine, app=row.app).href() if row.task_name else "",
        pending_change=await _pending_change(request, row, processes.of(row)),
    )
    return render(request, "schedules/detail.html", page)


def next_times(row: ScheduleRow, now: int, viewer: str) -> tuple[TwoTimes, ...]:
    """Returns the next five due times: the first as its scheduler reported it, the others computed from its rule."""
    if not row.is_enabled or row.next_at is None:
        return ()
    first = max(row.next_at, now - 1) if row.next_at > now else row.next_at
    try:
        times = [first, *(row.timing.upcoming(first, NEXT - 1) if row.kind != "other" else [])]
        return tuple(two_times(at, row.timezone, viewer) for at in times)
    except (BadSchedule, ValueError):  # a rule or zone that only its scheduler supports: the time it reported is still valid
        return (two_times(first, "UTC", viewer),)


def why_not(request: Request, row: ScheduleRow, word: str) -> str:
    """Returns why the action is not possible, as half a sentence; "" when it is."""
    action, role = ACTS[word], request.scope["identity"].role
    if not may_act(role, action):
        return f"your role is {role}"
    if row.gone_at is not None:
        return f"its scheduler has not reported the schedule since {relative(row.gone_at, clock.now())}"
    if word in row.unable:
        return row.unable[word]
    hub = services(request).hub
    if row.is_own:
        return hub.find(Need(row.app_id, row.engine, "run_task", row.environment))[1] if word == "fire" else ""
    if row.is_by_override and word != "fire":
        return ""
    return hub.find(Need(row.app_id, row.scheduler, action, row.environment))[1]


async def _pending_change(request: Request, row: ScheduleRow, processes: list[SchedulerRow]) -> str:
    if row.is_own:
        try:
            await schedules.whole_arguments(services(request).store, row.id)
        except SealError as error:
            return f"This schedule does not run. {error.explanation}"
    if not row.is_overridden:
        return ""
    overrides = await schedules.list_overrides(services(request).store, row.app_id, row.environment, row.scheduler)
    if why := next((override.error for override in overrides if override.key == row.key), ""):
        return f"This schedule does not run. {why}"
    failed = next((process.failed[row.key] for process in processes if process.left_at is None and row.key in process.failed), "")
    if failed:
        return f"The scheduler could not apply the change: {failed}."
    connected = [process for process in processes if process.is_firing and process.left_at is None]
    return "" if connected else "The change is stored and will be applied when the scheduler connects."


def _fire_line(fire: FireRow, row: ScheduleRow, grace: int) -> FireLine:
    facts = facts_of(fire, grace)
    href = Filters(task_id=fire.task_id, engine=row.engine).href() if fire.task_id else ""
    return FireLine(fire, facts.state, facts.lateness, href)


async def detail_json(request: Request) -> Response:
    """GET /schedules/{id}.json: the schedule, its last fires and its edits."""
    return export.to_json(await json_fields(request))


async def json_fields(request: Request) -> dict[str, Any]:
    """Returns all fields of one schedule for JSON and the API."""
    store, row, now = services(request).store, await find_schedule(request), clock.now()
    processes, latest = await scheduler_processes(store), await fires.list_fires(store, row.id, limit=SHOWN)
    try:
        upcoming = row.timing.upcoming(now, NEXT) if row.kind != "other" and row.is_enabled else []
    except (BadSchedule, ValueError):  # see next_times
        upcoming = []
    return {
        "schedule": to_fields(line(row, processes.health(row, latest, now), Strip())) | {"upcoming": upcoming},
        "fires": [export.plain(fire) for fire in latest],
        "edits": [export.plain(edit) for edit in await schedules.list_edits(store, row)],
    }


async def act(request: Request) -> Response:
    """POST /schedules/{id}/act: run now, enable, disable, delete, revert to code."""
    server, form, row = services(request), await read_form(request), await find_schedule(request)
    word, reason, service, actor = form.get("act", ""), form.get("reason", ""), server.schedules, request.scope["identity"]
    page = local_path(form.get("back", ""), f"/schedules/{row.id}")
    try:
        match word:
            case "fire":
                task_id = await service.fire(actor, row, reason)
                href = Filters(task_id=task_id, engine=row.engine).href() if task_id else ""
                return see_other(page, Notice("good", RULES["fire_schedule"].notice, href))
            case "enable" | "disable":
                await service.switch(actor, row, on=word == "enable", reason=reason)
                is_ours = row.is_own or row.is_by_override
                notice = f"{row.name} was {word}d." if is_ours else RULES[ACTS[word]].notice
            case "delete":
                if form.get("confirm") != "delete":
                    return see_other(page, Notice("warn", "No changes were made. Type “delete” to confirm."))
                await service.delete(actor, row, reason)
                page, notice = (
                    "/schedules",
                    f"{row.name} was deleted." if row.is_own or row.is_by_override else RULES["delete_schedule"].notice,
                )
            case "revert":
                await service.revert(actor, row, reason)
                notice = f"{row.name} was reverted to the code."
            case _:
                raise BadInput("Unknown action. No changes were made.")
    except (WrongState, Unsupported, AgentGone, NotAllowed, BadInput, SealError) as error:
        return see_other(page, Notice("bad", error.explanation))
    return see_other(page, Notice("good", notice))


def pretty_json(text: str) -> str:
    """Returns arguments as indented JSON for a form; "" where they were too long to be reported."""
    value = json.loads(text)
    return values.pretty(value) if isinstance(value, list | dict) else ""
