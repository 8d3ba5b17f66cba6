# SPDX-License-Identifier: AGPL-3.0-or-later
"""One task: all that is stored about it, and the actions on it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from z4j import clock
from z4j.formats import duration, size
from z4j.operations.commands import find_task
from z4j.rules.tasks.states import ENDED_BADLY, FINAL
from z4j.store.annotations.link_templates import list_link_templates
from z4j.store.errors import error_groups
from z4j.store.operations import commands
from z4j.store.operations.commands import CommandRow
from z4j.store.schedules import fires
from z4j.store.sqlite.db import Store
from z4j.store.tasks.attempts import AttemptRow, RunUsage
from z4j.store.tasks.tasks import Link, SameId, TaskDetail, TaskRow
from z4j.store.workflows.workflow_tasks import read_workflow
from z4j.web.frame import export, tracebacks, values
from z4j.web.frame.render import Shell, is_refresh, render
from z4j.web.frame.shell import make_shell
from z4j.web.pages.tasks.actions import Action, actions_of
from z4j.web.pages.tasks.annotations import Field, NotesOfAttempt, ToolLink, ids_of, links_of, notes_of
from z4j.web.pages.tasks.filters import Filters
from z4j.web.pages.tasks.logs import LogView, view_of
from z4j.web.pages.tasks.workflow import ON_TASK_PAGE, WorkflowView, make_view
from z4j.web.services import services

ORIGINALS: Final = {
    "plain": "stored as it was sent",
    "sealed": "stored, encrypted with the app's seal key",
    "too_large": "not stored: larger than 64 KB",
    "no_key": "not stored: the app has no seal key",
    "none": "not stored",
}
SENT: Final = (("group_id", "group"), ("root_id", "root"), ("code", "sent from"), ("route", "route"), ("priority", "priority"))

BAD_ENDS: Final = (*ENDED_BADLY, "cancelled")
BLOCKED: Final = "blocked"
"""The reason of a queued task that its engine does not put into the queue until other tasks have ended."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A segment of the timeline in thousandths of the whole; `word` is its text in the legend."""

    state: str
    word: str
    label: str
    x: int
    width: int
    us: int


@dataclass(frozen=True, slots=True)
class Timeline:
    """From the enqueue to the end, or to now."""

    label: str
    parts: tuple[Segment, ...]


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt, with its exception if it had one."""

    run: AttemptRow
    trace: tracebacks.Trace | None


@dataclass(frozen=True, slots=True)
class StackView:
    """Where a task was: (file and line, function), the outermost first. `of`: thread or asyncio task. `at`: microseconds UTC."""

    lines: tuple[tuple[str, str], ...]
    of: str
    at: int


NEAR: Final = 5
"""Number of executions with the same ID that are listed on either side of the one that is shown."""


@dataclass(frozen=True, slots=True)
class LinkGroup:
    """Tasks this one is linked with; `kind` is a word for tests and styles, `title` the heading."""

    kind: str
    title: str
    links: tuple[Link, ...]


@dataclass(frozen=True, slots=True)
class Executions:
    """The executions of one ID: the number of the one that is shown, the total, and those to list."""

    number: int
    total: int
    shown: tuple[tuple[int, SameId], ...]
    """(number, execution) of its neighbours and of the newest; the earliest first."""


@dataclass(frozen=True, slots=True)
class DetailPage:
    """The context of tasks/detail.html."""

    shell: Shell
    row: TaskRow
    is_bad: bool
    is_masked: bool
    actions: tuple[Action, ...]
    arguments: tuple[tuple[str, str], ...]
    """Empty when the text cannot be parsed; then `args` is shown unchanged."""
    args: str
    result: str
    trace: tracebacks.Trace | None
    error_group: int | None
    """The error that its failure belongs to."""
    attempts: tuple[Attempt, ...]
    timeline: Timeline | None
    links: tuple[LinkGroup, ...]
    commands: tuple[CommandRow, ...]
    original: str
    sent: tuple[tuple[str, str], ...]
    schedule: tuple[int, str, int] | None
    """(row ID, name, due time) of the schedule that created the task."""
    name_href: str
    label_href: str
    queue_href: str
    worker_href: str
    log: LogView
    stack: StackView | None = None
    """The newest stack that was requested; None while none was answered."""
    usage: tuple[tuple[str, str, str], ...] = ()
    """(word, value, what it is of) of what the last attempt used."""
    workflow: WorkflowView | None = None
    """None for a task that is linked with no other."""
    blocked: str = ""
    """The reason why it is not in a queue yet, "" where it is."""
    same_id: Executions | None = None
    """None for an ID with one execution."""
    notes: tuple[NotesOfAttempt, ...] = ()
    ids: tuple[Field, ...] = ()
    tools: tuple[ToolLink, ...] = ()
    """Links to other tools, see Settings, Links."""


async def detail_page(request: Request) -> Response:
    """GET /tasks/{id}."""
    task = await find_task(services(request).store, request.path_params["id"])
    page = await make_page(request, task)
    return render(request, "tasks/_detail.html" if is_refresh(request) else "tasks/detail.html", page)


async def make_page(request: Request, task: TaskDetail) -> DetailPage:
    """Returns the page of one task for the person who requests it."""
    server, row = services(request), task.row
    attempts = tuple(Attempt(run, trace_of(run)) for run in task.runs)
    last = next((attempt.trace for attempt in reversed(attempts) if attempt.trace), None)
    is_bad = row.state not in ("succeeded", "running", "queued", "received", "scheduled")
    if is_bad and last is None and (row.error or row.error_type):
        last = tracebacks.read(_message(row.error_type, row.error), "")
    offers = await server.dispatch.offers(request.scope["identity"].role, task)
    asked = await commands.list_of_task(server.store, row.id)
    return DetailPage(
        shell=await make_shell(request, "tasks"),
        row=row,
        is_bad=row.state in ("failed", "lost", "rejected", "expired"),
        is_masked=task.masked,
        actions=await actions_of(request, task, offers),
        arguments=values.pairs(row.args),
        args=row.args,
        result=values.pretty_text(row.result) if row.result else "",
        trace=last if is_bad else None,
        error_group=await error_groups.group_of_task(server.store, row.id),
        attempts=attempts,
        timeline=timeline(row, task.runs, clock.now()),
        links=tuple(
            LinkGroup(kind, title, tuple(links))
            for kind, title, links in (
                ("retry-of", "Retry of", task.retry_of),
                ("retried-as", "Retried as", task.retried_as),
                ("depends-on", "Depends on", task.depends_on),
                ("dependents", "Tasks waiting for this one", task.dependents),
                ("parent", "Parent task", task.parent),
                ("children", "Child tasks", task.children),
            )
            if links
        ),
        log=await view_of(request, row.id),
        usage=next((usage_texts(run.usage) for run in reversed(task.runs) if run.usage), ()),
        workflow=await _workflow(server.store, task),
        blocked=_blocked(task),
        same_id=_same_id(task),
        commands=tuple(asked),
        stack=stack_of(asked),
        original=ORIGINALS.get(task.original_state, task.original_state),
        sent=tuple((word, str(task.sent[key])) for key, word in SENT if key in task.sent),
        schedule=await fires.schedule_of_task(server.store, task.app_id, row.task_id),
        notes=notes_of(task),
        ids=ids_of(task),
        tools=links_of(task, await list_link_templates(server.store)),
        name_href=Filters(name=row.name, environment=row.environment).href(),
        label_href=Filters(label=row.label, environment=row.environment).href(),
        queue_href=Filters(queue=row.queue, environment=row.environment).href(),
        worker_href=Filters(worker=row.worker).href(),
    )


def stack_of(commands: Iterable[CommandRow]) -> StackView | None:
    """Returns the newest stack among the results of commands, which are the newest first."""
    for command in sorted(commands, key=lambda each: -each.created_at):
        lines = command.detail.get("stack")
        if command.action == "inspect_task" and isinstance(lines, list):
            parts = (str(line).rpartition(" ") for line in lines)
            of = str(command.detail.get("of") or "thread")
            return StackView(tuple((place, function) for place, _, function in parts), of, command.ended_at or command.created_at)
    return None


def usage_texts(usage: RunUsage) -> tuple[tuple[str, str, str], ...]:
    """Returns what a run used as (word, value, what it is of)."""
    texts = []
    if usage.cpu_us is not None:
        texts.append(("CPU time", duration(usage.cpu_us), f"of the {usage.cpu_of}"))
    if usage.peak_kib is not None:
        if usage.is_own_process:
            note = "peak of the process of this attempt"
        else:
            rise = f"{size(usage.peak_rise_kib * 1024)} more than before" if usage.peak_rise_kib else "no increase during"
            note = f"peak of the process since its start, {rise} this attempt"
        texts.append(("memory", size(usage.peak_kib * 1024), note))
    return tuple(texts)


async def _workflow(store: Store, task: TaskDetail) -> WorkflowView | None:
    linked = task.parent or task.children or task.retry_of or task.retried_as or task.depends_on or task.dependents
    if not linked and "group_id" not in task.sent:
        return None
    found = await read_workflow(store, task.row.id)
    return make_view(found, task.row.id, ON_TASK_PAGE) if len(found.workflow.tasks) > 1 else None


def trace_of(run: AttemptRow) -> tracebacks.Trace | None:
    """Returns the exception of one attempt, None where it had none."""
    if not (run.error_type or run.error or run.traceback):
        return None
    return tracebacks.read(_message(run.error_type, run.error), run.traceback)


def _message(error_type: str, error: str) -> str:
    return f"{error_type}: {error}" if error_type and error else error_type or error


def timeline(row: TaskRow, runs: list[AttemptRow], now: int) -> Timeline | None:
    """Returns the segments of waiting and running, end to end; None when too little is known to draw them."""
    begin = row.enqueued_at if row.enqueued_at is not None else row.first_at
    stretches: list[tuple[str, str, int, int]] = []
    reached = begin
    for number, run in enumerate(each for each in runs if each.started_at is not None):
        started = run.started_at or reached
        ended = run.ended_at if run.ended_at is not None else now if run.state == "running" else started
        if started > reached:
            state = "retrying" if number else "scheduled" if row.eta_at is not None else "queued"
            stretches.append((state, "waited for retry" if number else "waited", reached, started))
        stretches.append((run.state, "running" if run.state == "running" else f"ran, {run.state}", started, max(ended, started)))
        reached = max(ended, reached)
    if not stretches or (row.state not in FINAL and row.state != "running"):
        stretches.append((row.state, f"{row.state} for", reached, max(now, reached)))
    whole = max(end for _, _, _, end in stretches) - begin
    if whole <= 0:
        return None
    parts = []
    for state, word, start, end in stretches:
        x = min(max(start - begin, 0) * 1000 // whole, 996)
        width = max((end - start) * 1000 // whole, 4)
        parts.append(Segment(state, word, f"{word} {duration(end - start)}", x, min(width, 1000 - x), end - start))
    return Timeline(", then ".join(part.label for part in parts), tuple(parts))


async def detail_json(request: Request) -> Response:
    """GET /tasks/{id}.json."""
    return export.to_json(export.plain(await find_task(services(request).store, request.path_params["id"])))


def _blocked(task: TaskDetail) -> str:
    if task.row.state != "queued" or task.row.reason != BLOCKED:
        return ""
    if over := [f"{other.name or other.task_id} ({other.state})" for other in task.depends_on if other.state in BAD_ENDS]:
        return f"This task is not in a queue. It depends on {', '.join(over[:5])} and runs only if that task runs again and succeeds."
    return "This task is not in a queue yet. The engine queues it when the tasks it depends on have ended."


def _same_id(task: TaskDetail) -> Executions | None:
    if not task.same_id:
        return None
    number = next((index for index, execution in enumerate(task.same_id, 1) if execution.id == task.row.id), 0)
    shown = tuple(
        (index, execution)
        for index, execution in enumerate(task.same_id, 1)
        if abs(index - number) <= NEAR or execution is task.same_id[-1]
    )
    return Executions(number, len(task.same_id), shown)
