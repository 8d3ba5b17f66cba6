# SPDX-License-Identifier: AGPL-3.0-or-later
"""Schedules of every scheduler in one table, those due next first, each with the results of its last due times."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response

from z4j import clock
from z4j.formats import number, plural
from z4j.rules.permissions import may_act
from z4j.rules.schedules.dialects import DIALECTS
from z4j.rules.schedules.due_times import sentence
from z4j.rules.schedules.schedule_health import DECISIVE, Health, lateness_of, state_of
from z4j.store.schedules import fires, schedules
from z4j.store.schedules.fires import FireRow, LastFire
from z4j.store.schedules.scheduler_processes import SchedulerProcesses, scheduler_processes
from z4j.store.schedules.schedules import ScheduleRow
from z4j.store.sqlite.db import Store
from z4j.web.frame import export
from z4j.web.frame.render import Choice, Shell, render
from z4j.web.frame.shell import make_shell
from z4j.web.frame.status_bar import scope_of
from z4j.web.pages.tasks.filters import Filters
from z4j.web.services import services

STRIP: Final = 20
"""Number of fires in the strip of each schedule."""
WORRYING: Final = ("missed", "failed", "double")
WORDS: Final = {name: dialect.word for name, dialect in DIALECTS.items()}


@dataclass(frozen=True, slots=True)
class Bar:
    """One fire in a strip: its height (1 to 3, from its lateness), the state for its color, and its label."""

    state: str
    x: int
    height: int
    label: str
    href: str = ""


@dataclass(frozen=True, slots=True)
class Strip:
    """The last fires of a schedule: `paths` are (state, data of an SVG path) with the bars of each state, `label` counts them."""

    paths: tuple[tuple[str, str], ...] = ()
    label: str = "No runs"


@dataclass(frozen=True, slots=True)
class ScheduleLine:
    """A schedule as one row."""

    row: ScheduleRow
    health: Health
    scheduler: str
    description: str
    strip: Strip
    href: str


@dataclass(frozen=True, slots=True)
class SchedulesPage:
    """The context of schedules/list.html."""

    shell: Shell
    lines: tuple[ScheduleLine, ...]
    summary: str
    schedulers: tuple[Choice, ...]
    states: tuple[Choice, ...]
    live_href: str
    is_filtered: bool
    may_create: bool
    notes: tuple[str, ...]


async def list_lines(store: Store, scope: Filters, now: int, *, strip: int = STRIP) -> tuple[list[ScheduleLine], SchedulerProcesses]:
    """Returns every schedule of the scope, those due next first, with strips of this many fires, and the processes of their schedulers."""
    processes, latest = await scheduler_processes(store), await fires.list_latest(store, max(strip, DECISIVE))
    lines = []
    for row in await schedules.list_schedules(store):
        if all(getattr(scope, name) in ("", getattr(row, name)) for name in ("app", "environment", "engine")):
            its_fires = latest.get(row.id, [])
            made = strip_of(its_fires, processes.grace(row), strip) if strip else Strip()
            lines.append(line(row, processes.health(row, its_fires, now), made))
    return lines, processes


def line(row: ScheduleRow, state: Health, strip: Strip) -> ScheduleLine:
    """Returns a row of the store as a row of the page."""
    dialect = DIALECTS.get(row.scheduler)
    description = sentence(row.kind, row.expression, day_or=dialect is None or dialect.day_or)
    return ScheduleLine(row, state, WORDS.get(row.scheduler, row.scheduler), description, strip, f"/schedules/{row.id}")


def bars(fires_oldest_first: Sequence[FireRow], grace: int, room: int) -> tuple[Bar, ...]:
    """Returns the bars of the strip of one schedule with their labels and links, the newest on the right."""
    made = []
    start = room - len(fires_oldest_first)
    for index, fire in enumerate(fires_oldest_first):
        late = lateness_of(fire.due_at, fire.fired_at)
        state = state_of(fire.outcome, late, grace, is_double=fire.is_double)
        label = state if late is None else f"{state}, {late / 1_000_000:.1f} s after the due time"
        href = Filters(task_id=fire.task_id).href() if fire.task_id else ""
        made.append(Bar(state, (start + index) * 10, _height(late, grace), label, href))
    return tuple(made)


def strip_of(newest_first: Sequence[LastFire], grace: int, room: int) -> Strip:
    """Returns a strip whose bars have no labels and links: a list has thousands of them. The newest is on the right."""
    states: dict[str, list[str]] = {}
    for place, fire in zip(range(room - 1, -1, -1), newest_first, strict=False):
        late = lateness_of(fire.due_at, fire.fired_at)
        state = state_of(fire.outcome, late, grace, is_double=bool(fire.is_double))
        height = 8 * _height(late, grace)
        states.setdefault(state, []).append(f"M{place * 10 + 1} {24 - height}h7v{height}h-7z")
    if not states:
        return Strip()
    counts = ", ".join(f"{len(shapes)} {state}" for state, shapes in sorted(states.items(), key=lambda item: -len(item[1])))
    return Strip(
        tuple((state, "".join(shapes)) for state, shapes in states.items()), f"Last {plural(len(newest_first[:room]), 'fire')}: {counts}"
    )


def _height(late: int | None, grace: int) -> int:
    """1 to 3: a taller bar is later."""
    return 3 if late is None or late > grace else 2 if late > grace // 4 else 1


# -- the page ----------------------------------------------------------------------------------------------------------------
async def list_page(request: Request) -> Response:
    """GET /schedules; `scheduler` and `state` narrow the list, in addition to the chips."""
    scope, now, store = scope_of(request), clock.now(), services(request).store
    scheduler, state = (request.query_params.get(name, "") for name in ("scheduler", "state"))
    every, processes = await list_lines(store, scope, now)
    of_scheduler = [entry for entry in every if scheduler in ("", entry.row.scheduler)]
    shown = [entry for entry in of_scheduler if state in ("", entry.health.state)]
    page = SchedulesPage(
        shell=await make_shell(request, "schedules"),
        lines=tuple(shown),
        summary=_summary(every),
        schedulers=_choices(scope, "scheduler", scheduler, [entry.row.scheduler for entry in every], {"state": state}),
        states=_choices(scope, "state", state, [entry.health.state for entry in of_scheduler], {"scheduler": scheduler}),
        live_href=scope.href("/schedules", scheduler=scheduler or None, state=state or None),
        is_filtered=bool(scheduler or state or not scope.is_any),
        may_create=may_act(request.scope["identity"].role, "save_schedule"),
        notes=tuple(dict.fromkeys(_notes(processes, scope))),
    )
    return render(request, "schedules/list.html", page)


def _summary(lines: Iterable[ScheduleLine]) -> str:
    every = list(lines)
    bad = sum(1 for entry in every if entry.health.state in WORRYING)
    off = sum(1 for entry in every if entry.health.state == "off")
    parts = [plural(len(every), "schedule")]
    parts += [f"{number(bad)} missed, failed or double"] if bad else []
    parts += [f"{number(off)} disabled"] if off else []
    return ", ".join(parts)


def _choices(scope: Filters, name: str, chosen: str, values: list[str], more: dict[str, str]) -> tuple[Choice, ...]:
    """Returns each value with its count, and the chosen one even when its count is 0."""
    counts = {value: values.count(value) for value in sorted({*values, *([chosen] if chosen else [])})}
    return tuple(
        Choice(
            WORDS.get(value, value),
            _href(scope, {name: "" if value == chosen else value, **more}),
            value == chosen,
            count,
            value if name == "state" else "",
        )
        for value, count in counts.items()
    )


def _href(scope: Filters, more: dict[str, str]) -> str:
    pairs = [*scope.pairs(), *((name, value) for name, value in more.items() if value)]
    return f"/schedules?{urlencode(pairs)}" if pairs else "/schedules"


def _notes(processes: SchedulerProcesses, scope: Filters) -> Iterable[str]:
    """Returns notes for operators about connected schedulers."""
    for rows in processes.rows.values():
        for process in rows:
            if process.left_at is None and all(
                getattr(scope, name) in ("", getattr(process, name)) for name in ("app", "environment", "engine")
            ):
                where = f"{WORDS.get(process.scheduler, process.scheduler)} of {process.app}"
                yield from (f"{where}: {note}" for note in process.notes)
                yield from (f"{where}: the change to {key} could not be applied: {why}" for key, why in process.failed.items())
                if process.is_cut:
                    yield f"{where}: the list of its schedules is incomplete."


# -- as rows -----------------------------------------------------------------------------------------------------------------
def to_fields(entry: ScheduleLine) -> dict[str, Any]:
    """Returns a schedule as fields of JSON and of the API."""
    hidden = ("seen_by", "anchor", "app_id")
    return {name: value for name, value in export.plain(entry.row).items() if name not in hidden} | {
        "next_at": entry.row.next_at if entry.row.is_enabled else None,
        "state": entry.health.state,
        "why": entry.health.why,
        "says": entry.description,
    }


async def list_json(request: Request) -> Response:
    """GET /schedules.json."""
    lines, _ = await list_lines(services(request).store, scope_of(request), clock.now(), strip=0)
    return export.to_json({"schedules": [to_fields(entry) for entry in lines]})


@dataclass(frozen=True, slots=True)
class CsvRow:
    """A line of schedules.csv."""

    name: str
    scheduler: str
    app: str
    environment: str
    engine: str
    state: str
    kind: str
    expression: str
    timezone: str
    task_name: str
    queue: str
    is_enabled: bool
    next_at: int | None
    last_at: int | None


async def list_csv(request: Request) -> Response:
    """GET /schedules.csv."""
    lines, _ = await list_lines(services(request).store, scope_of(request), clock.now(), strip=0)
    rows = [
        CsvRow(**{name: getattr(entry.row, name) for name in CsvRow.__dataclass_fields__ if name != "state"}, state=entry.health.state)
        for entry in lines
    ]
    return await export.to_csv(request, "schedules", tuple(CsvRow.__dataclass_fields__), export.each(rows))
