# SPDX-License-Identifier: AGPL-3.0-or-later
"""The log lines of a task: a part of its page, and all of them on a page of their own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from z4j.exceptions import BadInput
from z4j.operations.commands import find_task
from z4j.store.logs.log_lines import MAX_LINES, LogLine, LogRun, read_log
from z4j.store.tasks.tasks import TaskRow
from z4j.web.frame import export
from z4j.web.frame.render import Shell, is_refresh, render
from z4j.web.frame.shell import make_shell
from z4j.web.services import services

LEVELS: Final = {"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50}
ON_TASK_PAGE: Final = 50
"""Lines of each run there."""
COLUMNS: Final = ("attempt", "run", "at", "level", "logger", "message", "dropped")
MAX_ID: Final = 1 << 62


@dataclass(frozen=True, slots=True)
class Line:
    """One line as it is shown. `dropped` lines were dropped between it and the line before."""

    at: int
    level: str
    mark: str
    """The state whose color it has."""
    logger: str
    message: str
    dropped: int


@dataclass(frozen=True, slots=True)
class RunView:
    """The lines of one attempt in one process. `dropped` lines were dropped after the last one."""

    attempt: int
    run: str
    host: str
    total: int
    dropped: int
    lines: tuple[Line, ...]
    href: str
    """Of all its lines, "" where all are shown."""


@dataclass(frozen=True, slots=True)
class LogView:
    """The lines of a task. `levels`: (word, address, whether it is chosen) of each level filter."""

    runs: tuple[RunView, ...]
    level: str
    levels: tuple[tuple[str, str, bool], ...]
    href: str
    """The page of the lines alone."""
    here: str
    """The address of the page that shows them so."""


@dataclass(frozen=True, slots=True)
class LogPage:
    """The context of tasks/logs.html."""

    shell: Shell
    row: TaskRow
    log: LogView


async def logs_page(request: Request) -> Response:
    """GET /tasks/{id}/logs?level=warning&run=7: all lines of the newest attempts, or of one."""
    task = await find_task(services(request).store, request.path_params["id"])
    page = LogPage(await make_shell(request, "tasks"), task.row, await view_of(request, task.row.id, alone=True))
    return render(request, "tasks/_logs.html" if is_refresh(request) else "tasks/logs.html", page)


async def logs_json(request: Request) -> Response:
    """GET /tasks/{id}/logs.json: the same lines."""
    return export.to_json({"runs": [export.plain(run) for run in await read_request(request)]})


async def logs_csv(request: Request) -> Response:
    """GET /tasks/{id}/logs.csv: the same lines."""
    rows = [ExportedLine(run.attempt, run.run, *_exported(line)) for run in await read_request(request) for line in run.lines]
    return await export.to_csv(request, f"task-{request.path_params['id']}-log", COLUMNS, export.each(rows))


@dataclass(frozen=True, slots=True)
class ExportedLine:
    """A row of the .csv."""

    attempt: int
    run: str
    at: int
    level: str
    logger: str
    message: str
    dropped: int


def _exported(line: LogLine) -> tuple[int, str, str, str, int]:
    return line.at, word_of(line.level), line.logger, line.message, line.dropped


async def read_request(request: Request) -> list[LogRun]:
    """Reads the lines that the parameters of an address name. Raises BadInput, or NotFound for an unknown task."""
    store, query = services(request).store, request.query_params
    task = await find_task(store, request.path_params["id"])
    return await read_log(store, task.row.id, level=level_of(query.get("level", "")), run=_run_of(query.get("run", "")))


def level_of(text: str) -> int:
    """Returns the number of a level, 0 for none. Raises BadInput."""
    word = text.lower()
    if word and word not in LEVELS:
        raise BadInput(f"Unknown level “{text[:40]}”.", f"Levels are: {', '.join(LEVELS)}.")
    return LEVELS.get(word, 0)


def word_of(level: int) -> str:
    """Returns the word for a level; one between two has that of the lower."""
    return next((word for word, number in reversed(LEVELS.items()) if level >= number), "debug")


def _run_of(text: str) -> int | None:
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise BadInput("The attempt must be given by its number.", "Open the log from the page of the task.")
    return min(int(text), MAX_ID)


async def view_of(request: Request, task: int, *, alone: bool = False) -> LogView:
    """Returns the lines of a task (row id) for a page: all of them on the page of their own, else the last ones. Raises BadInput."""
    query, store = request.query_params, services(request).store
    word = query.get("level", "").lower()
    level = level_of(word)
    run = _run_of(query.get("run", "")) if alone else None
    path = f"/tasks/{task}/logs"
    here = path if alone else f"/tasks/{task}"
    chosen = f"&run={run}" if run is not None else ""
    levels = tuple((each or "all", _href(here, each, chosen), each == word) for each in ("", *LEVELS))
    found = await read_log(store, task, level=level, limit=MAX_LINES if alone else ON_TASK_PAGE, run=run)
    runs = tuple(
        _run_view(each, f"{path}?run={each.id}" if len(each.lines) < each.total and not alone and not level else "") for each in found
    )
    return LogView(runs, word, levels, _href(path, word, ""), _href(here, word, chosen))


def _href(path: str, level: str, chosen: str) -> str:
    query = (f"level={level}" if level else "") + chosen
    return f"{path}?{query.removeprefix('&')}" if query else path


def _run_view(run: LogRun, href: str) -> RunView:
    lines, dropped = [], run.lines[0].dropped if run.lines and len(run.lines) < run.total else 0
    for line in run.lines:
        mark = "failed" if line.level >= LEVELS["error"] else "retrying" if line.level >= LEVELS["warning"] else ""
        lines.append(Line(line.at, word_of(line.level), mark, line.logger, line.message, max(line.dropped - dropped, 0)))
        dropped = max(line.dropped, dropped)
    return RunView(run.attempt, run.run, run.host, run.total, max(run.dropped - dropped, 0), tuple(lines), href)
