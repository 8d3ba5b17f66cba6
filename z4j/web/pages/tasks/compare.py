# SPDX-License-Identifier: AGPL-3.0-or-later
"""Two tasks side by side: arguments, timings, release, worker, outcome, traceback; what differs is marked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from z4j.exceptions import BadInput, NotFound
from z4j.formats import duration
from z4j.rules.queries.arguments import arguments_of
from z4j.store.sqlite.db import Store
from z4j.store.tasks.tasks import TaskDetail, TaskRow, get_task
from z4j.web.frame.render import Shell, render
from z4j.web.frame.shell import make_shell
from z4j.web.frame.times import absolute
from z4j.web.frame.values import pretty, pretty_text
from z4j.web.pages.tasks.detail import usage_texts
from z4j.web.pages.tasks.filters import Filters
from z4j.web.services import services

MAX_ID: Final = 1 << 62
TIMES: Final = frozenset({"enqueued", "received", "started", "ended"})
"""Differ between any two tasks, and are not marked."""


@dataclass(frozen=True, slots=True)
class Pair:
    """One field of both tasks; empty where a task does not have it."""

    label: str
    a: str
    b: str
    is_different: bool
    is_code: bool = False


@dataclass(frozen=True, slots=True)
class PairGroup:
    """Fields under a heading."""

    title: str
    pairs: tuple[Pair, ...]


@dataclass(frozen=True, slots=True)
class ComparePage:
    """The context of tasks/compare.html."""

    shell: Shell
    a: TaskRow
    b: TaskRow
    groups: tuple[PairGroup, ...]
    differences: int


async def compare_page(request: Request) -> Response:
    """GET /tasks/compare?a=1&b=2. Two ticked rows of a list come as `id` twice, and get that address."""
    query = request.query_params
    ids = query.getlist("id")
    if ids:
        if len(ids) != 2:
            raise BadInput(f"{len(ids)} tasks are selected; only two can be compared.", "Select two tasks.")
        return RedirectResponse(f"/tasks/compare?a={_id(ids[0])}&b={_id(ids[1])}", 303)
    store = services(request).store
    a, b = await _task(store, query.get("a", "")), await _task(store, query.get("b", ""))
    groups = compare(a, b)
    page = ComparePage(
        await make_shell(request, "tasks", Filters()),
        a.row,
        b.row,
        groups,
        sum(pair.is_different for group in groups for pair in group.pairs),
    )
    return render(request, "tasks/compare.html", page)


def _id(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise BadInput("The ID of a task must be its row number.", "Select two tasks of the list, and choose Compare.")
    return min(int(text), MAX_ID)


async def _task(store: Store, text: str) -> TaskDetail:
    task = await get_task(store, _id(text))
    if task is None:
        raise NotFound("One of these tasks does not exist, or was deleted.", "Open the list of tasks.")
    return task


def compare(a: TaskDetail, b: TaskDetail) -> tuple[PairGroup, ...]:
    """Returns the fields of both tasks, without those that neither has."""
    sections = (
        ("Outcome", _outcome(a), _outcome(b), False),
        ("Arguments", _arguments(a), _arguments(b), True),
        ("Timings", _timings(a), _timings(b), False),
        ("Where it ran", _place(a), _place(b), False),
        ("Traceback", _traceback(a), _traceback(b), True),
    )
    groups = []
    for title, of_a, of_b, is_code in sections:
        labels = list(dict.fromkeys((*of_a, *of_b)))
        pairs = [_pair(label, of_a, of_b, is_code=is_code) for label in labels if of_a.get(label) or of_b.get(label)]
        if pairs:
            groups.append(PairGroup(title, tuple(pairs)))
    return tuple(groups)


def _pair(label: str, of_a: Mapping[str, str], of_b: Mapping[str, str], *, is_code: bool) -> Pair:
    a, b = of_a.get(label, ""), of_b.get(label, "")
    return Pair(label, a, b, a != b and label not in TIMES, is_code)


def _outcome(task: TaskDetail) -> dict[str, str]:
    row = task.row
    return {
        "name": row.name, "label": row.label, "state": row.state, "reason": row.reason, "attempt": str(row.attempt + 1),
        "exception": row.error_type, "message": row.error, "result": pretty_text(row.result) if row.result else "",
        "flags": ", ".join(sorted(row.flags)),
    }  # fmt: skip


def _arguments(task: TaskDetail) -> dict[str, str]:
    parsed = arguments_of(task.row.args)
    if parsed is None:
        return {"arguments": task.row.args}
    positional, named = parsed
    return {str(place): pretty(value) for place, value in enumerate(positional)} | {name: pretty(value) for name, value in named.items()}


def _timings(task: TaskDetail) -> dict[str, str]:
    row = task.row
    times = {"enqueued": row.enqueued_at, "due": row.eta_at, "received": row.received_at, "started": row.started_at, "ended": row.ended_at}
    spans = {"waited": row.waited_us, "ran": row.runtime_us}
    usage = next((usage_texts(run.usage) for run in reversed(task.runs) if run.usage), ())
    return (
        {word: value for word, value, _ in usage}
        | {name: duration(us) for name, us in spans.items() if us is not None}
        | {name: absolute(at) for name, at in times.items() if at is not None}
    )


def _place(task: TaskDetail) -> dict[str, str]:
    row, sent = task.row, task.sent
    return {
        "app": row.app, "environment": row.environment, "engine": row.engine, "queue": row.queue, "worker": row.worker,
        "release": row.release, "host": next((run.host for run in reversed(task.runs) if run.host), ""),
        "enqueued by": str(sent.get("code", "")), "route": str(sent.get("route", "")), "priority": str(sent.get("priority", "")),
    }  # fmt: skip


def _traceback(task: TaskDetail) -> dict[str, str]:
    return {"traceback": next((run.traceback for run in reversed(task.runs) if run.traceback), "")}
