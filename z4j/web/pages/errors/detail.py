# SPDX-License-Identifier: AGPL-3.0-or-later
"""One error: what fails and where, its newest tasks with their tracebacks, its notes and history."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from z4j.formats import HOUR, iso
from z4j.rules.charts.model import Mark, Series, TimeChart
from z4j.rules.errors.group_states import FAILED, OPEN
from z4j.rules.permissions import may_act
from z4j.store.access.users import list_users
from z4j.store.errors import error_groups, error_splits
from z4j.store.errors.error_groups import Action, ErrorGroup, Hour, Merged, Place, TaskOrigin
from z4j.store.sqlite.db import Store
from z4j.store.tasks import attempts
from z4j.store.tasks.task_search import cursor
from z4j.store.tasks.tasks import TaskRow, read_tasks
from z4j.web.frame import export, tracebacks
from z4j.web.frame.paging import moment_from
from z4j.web.frame.render import Shell, is_refresh, render
from z4j.web.frame.shell import make_shell
from z4j.web.pages.errors.list import distinct, share_text
from z4j.web.pages.errors.splits import Splits, plain_part, splits_of
from z4j.web.pages.tasks import list as task_list
from z4j.web.pages.tasks.detail import trace_of
from z4j.web.pages.tasks.filters import Filters
from z4j.web.services import services

NEWEST: Final = 20
SAMPLES: Final = 3
LOOKED_AT: Final = 200
"""Newest failures whose workers, releases and callers are counted."""
SHOWN: Final = 8
HOURS: Final = 7 * 24
OTHERS: Final = 50
"""Errors that a merge offers."""
BAD: Final = ("failed", "lost", "rejected")
SPANS: Final = (("1h", "1 hour"), ("1d", "1 day"), ("7d", "7 days"), ("30d", "30 days"))
"""How long an error can be ignored: value of the field, and word."""


@dataclass(frozen=True, slots=True)
class Sample:
    """A failure with its traceback. `at` is microseconds UTC."""

    task: TaskRow
    attempt: int
    at: int
    trace: tracebacks.Trace


@dataclass(frozen=True, slots=True)
class NameShare:
    """A task name with its stored failed tasks of this error, and their share of all its stored tasks."""

    name: str
    failed: int
    share: str
    href: str


@dataclass(frozen=True, slots=True)
class Part:
    """A common property of failures: (text, number of the read failures, URL or "")."""

    title: str
    values: tuple[tuple[str, int, str], ...]
    more: int


@dataclass(frozen=True, slots=True)
class ErrorPage:
    """The context of errors/detail.html."""

    shell: Shell
    group: ErrorGroup
    chart: TimeChart
    failed_href: str
    attempts_href: str
    cured_href: str
    shares: tuple[NameShare, ...]
    parts: tuple[Part, ...]
    looked_at: int
    live_href: str
    older_href: str
    """The page of older tasks, "" on the last."""
    newest_href: str
    """The page of the newest tasks, "" on it."""
    lines: tuple[task_list.Line, ...]
    samples: tuple[Sample, ...]
    actions: tuple[Action, ...]
    merged: tuple[Merged, ...]
    splits: Splits
    others: tuple[tuple[str, str], ...]
    users: tuple[tuple[str, str], ...]
    spans: tuple[tuple[str, str], ...]
    may_change: bool
    is_open: bool
    environments: tuple[str, ...]


async def detail_page(request: Request) -> Response:
    """GET /errors/{id}."""
    server = services(request)
    group, store = await server.errors.get(request.path_params["id"]), server.store
    here = f"/errors/{group.id}"
    shell = await make_shell(request, "errors", Filters(app=group.app))
    places = (await error_groups.list_places(store, [group.id])).get(group.id, [])
    hours = (await error_groups.list_hours(store, [group.id], shell.now, HOURS))[group.id]
    newest = await error_groups.list_newest(store, group.id, LOOKED_AT)
    before = moment_from(request, "before")
    shown = newest if before is None else await error_groups.list_newest(store, group.id, NEWEST + 1, before=before)
    rows = await read_tasks(store, [task for task, _ in shown[:NEWEST]])
    origins = await error_groups.list_origins(store, [task for task, _ in newest])
    actions = await error_groups.list_actions(store, group.id)
    may_change = may_act(request.scope["identity"].role, "change_error")
    can = task_list.able(request)
    page = ErrorPage(
        shell=shell,
        group=group,
        chart=_chart(group, hours, actions),
        failed_href=_tasks_of(group).href(),
        attempts_href=Filters(error_group=str(group.id)).href(),
        cured_href=Filters(("succeeded",), error_group=str(group.id)).href(),
        shares=await _shares(store, group, places),
        parts=_parts(group, places, origins),
        looked_at=len(newest),
        live_href=f"{here}?before={cursor(before)}" if before else here,
        older_href=f"{here}?before={cursor((shown[NEWEST - 1][1], shown[NEWEST - 1][0]))}#tasks" if len(shown) > NEWEST else "",
        newest_href=f"{here}#tasks" if before else "",
        lines=tuple(task_list.line(row, Filters(app=group.app), shell.now, can) for row in rows),
        samples=await _samples(store, rows, dict(shown)),
        actions=tuple(actions),
        merged=tuple(await error_groups.list_merged(store, group.id)),
        splits=await splits_of(store, group, newest, may_change=may_change),
        others=await _others(store, group) if may_change else (),
        users=tuple((user.name, user.name) for user in await list_users(store) if user.disabled_at is None) if may_change else (),
        spans=SPANS,
        may_change=may_change,
        is_open=group.state in OPEN,
        environments=distinct(place.environment for place in places),
    )
    return render(request, "errors/_detail.html" if is_refresh(request) else "errors/detail.html", page)


async def detail_json(request: Request) -> Response:
    """GET /errors/{id}.json and GET /api/v1/errors/{id}."""
    server = services(request)
    return export.to_json(await _plain_error(server.store, await server.errors.get(request.path_params["id"])))


async def _plain_error(store: Store, group: ErrorGroup) -> dict[str, Any]:
    """A group, where it happened, what was done with it, what is merged into it and split off from it, and its newest failed tasks."""
    places = (await error_groups.list_places(store, [group.id])).get(group.id, [])
    source = await error_splits.find_source(store, group.id)
    return {
        "error": export.plain(group),
        "places": [{key: value for key, value in place._asdict().items() if key != "name_id"} for place in places],
        "actions": [action._asdict() for action in await error_groups.list_actions(store, group.id)],
        "merged": [each._asdict() for each in await error_groups.list_merged(store, group.id)],
        "split_from": None if source is None else plain_part(source),
        "parts": [plain_part(part) for part in await error_splits.list_parts(store, group.id)],
        "tasks": [{"id": task, "at": at} for task, at in await error_groups.list_newest(store, group.id, LOOKED_AT, (FAILED,))],
    }


def _chart(group: ErrorGroup, hours: Sequence[Hour], actions: Sequence[Action]) -> TimeChart:
    """Failures per hour, with actions of users."""
    since = hours[0].at
    return TimeChart(
        "Failures per hour",
        tuple(hour.at for hour in hours),
        (
            Series("failed tasks", "failed", tuple(float(hour.failed) for hour in hours)),
            Series("failed attempts", "retrying", tuple(float(hour.retried + hour.cured) for hour in hours)),
        ),
        "per hour",
        tuple(
            Mark(each.at, f"{each.actor or 'z4j'}: {each.action}", "#history", "action") for each in reversed(actions) if each.at > since
        ),
        tuple(_hour_href(group, hour) for hour in hours),
        step=HOUR,
    )


def _hour_href(group: ErrorGroup, hour: Hour) -> str:
    return _tasks_of(group, since=iso(hour.at), until=iso(hour.at + HOUR)).href()


def _tasks_of(group: ErrorGroup, **more: str) -> Filters:
    """The failed tasks of a group."""
    return Filters(BAD, error_group=str(group.id)).but(**more)


async def _shares(store: Store, group: ErrorGroup, places: Sequence[Place]) -> tuple[NameShare, ...]:
    tasks = await error_groups.share_of_runs(store, [(group.app_id, places)])
    failed: Counter[str] = Counter()
    for place in places:
        failed[place.name] += place.failed
    return tuple(
        NameShare(name, count, share_text(count, tasks.get((group.app_id, name), 0)), _tasks_of(group, name=name).href())
        for name, count in failed.most_common(SHOWN)
        if name
    )


def _parts(group: ErrorGroup, places: Sequence[Place], origins: Sequence[TaskOrigin]) -> tuple[Part, ...]:
    def of_places(title: str, field: str) -> Part:
        counts: Counter[str] = Counter()
        for place in places:
            counts[getattr(place, field)] += place.failed + place.retried + place.cured
        return _part(title, counts, lambda text: _tasks_of(group, **{field: text}).href())

    def of_origins(title: str, field: str, filtered: str = "") -> Part:
        counts = Counter(getattr(origin, field) for origin in origins)
        return _part(title, counts, lambda text: _tasks_of(group, **{filtered: text}).href() if filtered else "")

    parts = (
        of_places("Queues", "queue"), of_places("Environments", "environment"), of_places("Engines", "engine"),
        of_origins("Workers", "worker", "worker"), of_origins("Releases", "release"), of_origins("Callers", "code"),
        of_origins("Routes", "route"),
    )  # fmt: skip
    return tuple(part for part in parts if part.values)


def _part(title: str, counts: Counter[str], href: Any) -> Part:
    known = [(text, count) for text, count in counts.most_common() if text]
    return Part(title, tuple((text, count, href(text)) for text, count in known[:SHOWN]), max(len(known) - SHOWN, 0))


async def _samples(store: Store, rows: Sequence[TaskRow], failed_at: dict[int, int]) -> tuple[Sample, ...]:
    samples = []
    for row in rows[:SAMPLES]:
        at = failed_at[row.id]
        for run in reversed(await attempts.list_runs(store, row.id)):
            trace = trace_of(run)
            if trace is not None and run.ended_at == at:
                samples.append(Sample(row, run.attempt, at, trace))
                break
    return tuple(samples)


async def _others(store: Store, group: ErrorGroup) -> tuple[tuple[str, str], ...]:
    groups, _ = await error_groups.list_groups(store, error_groups.ErrorFilter(app=group.app), None, OTHERS)
    return tuple((str(other.id), f"{other.id}: {other.title[:80]}") for other in groups if other.id != group.id)
