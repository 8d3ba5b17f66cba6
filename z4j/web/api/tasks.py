# SPDX-License-Identifier: AGPL-3.0-or-later
"""The API of tasks and of registered task names: the list, one task and its actions, running a task by its name, limits of a name."""

from __future__ import annotations

from typing import Any, Final

from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from z4j import clock
from z4j.exceptions import BadInput
from z4j.operations.commands import find_task
from z4j.rules.commands import RULES
from z4j.rules.plans import LEVELS
from z4j.store.fleet.agents import TaskNameRow, list_task_names
from z4j.store.logs.log_lines import LogRun
from z4j.store.operations.commands import CommandRow
from z4j.store.tasks.tasks import TaskDetail, TaskRow, list_tasks
from z4j.web import command_requests
from z4j.web.api.commands import Commands
from z4j.web.api.endpoints import Operation, answer, read_body
from z4j.web.pages.tasks.exports import PAGE, limit_of
from z4j.web.pages.tasks.filters import filters_of
from z4j.web.pages.tasks.logs import read_request
from z4j.web.services import services

FILTERS: Final = (
    ("state", "States, joined by commas."), ("name", "Task name."), ("queue", "Queue."), ("engine", "Engine."), ("worker", "Worker."),
    ("app", "App."), ("environment", "Environment."), ("since", "15m, 24h, 7d, or a date."), ("until", "Like `since`."),
    ("task_id", "The ID of the engine."), ("label", "The label set by the application."),
    ("error_group", "Number of an error: tasks with its failures."),
    ("q", "A query, such as `state:failed name:emails.* -env:staging ran:>2s`; it narrows further. See docs/search.md."),
)  # fmt: skip
LOG: Final = (
    ("level", "Lines from this level on: debug, info, warning, error or critical."),
    ("run", "Only lines of the attempt with this `id`."),
)
PAGING: Final = (("older", "Cursor of the next page."), ("newer", "Cursor of the previous page."), ("limit", "Rows, at most 500."))


class TaskList(Struct):
    """One page, newest first; `searched_to` is set when the search stopped at that time and continues with `older`. With an order by
    duration the tasks are the longest of those that were searched, `searched` of them."""

    tasks: list[TaskRow]
    older: str | None
    newer: str | None
    searched_to: int | None
    searched: int | None


class TaskLog(Struct):
    """The newest attempts of a task that wrote log lines, the earliest first, each with its lines. `level` is a number of Python's
    `logging`; `dropped` counts lines that the agent dropped before a line, or in the whole attempt."""

    runs: list[LogRun]


class TaskNames(Struct):
    """The registered tasks of the apps."""

    names: list[TaskNameRow]


class TaskAction(Struct, forbid_unknown_fields=True):
    """`edit`: {"args": {"0": value}, "kwargs": {name: value}} for `edit_task`; `level` for `prioritise_task`; `queue` for `move_task`."""

    action: str
    reason: str = ""
    edit: dict[str, dict[str, Any]] | None = None
    level: str | None = None
    queue: str | None = None


class TaskRun(Struct, forbid_unknown_fields=True):
    """A registered task and its arguments. An empty queue or broker is the default of the task."""

    app: str
    engine: str
    name: str
    environment: str = ""
    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    queue: str = ""
    broker: str = ""
    reason: str = ""


class NameLimit(Struct, forbid_unknown_fields=True):
    """Limits of a task name: `rate` such as "10/m" ("0" removes it), seconds for the time limits; null leaves a limit unchanged."""

    app: str
    engine: str
    name: str
    environment: str = ""
    rate: str | None = None
    soft_s: float | None = None
    hard_s: float | None = None
    reason: str = ""


async def list_all(request: Request) -> Response:
    """GET /api/v1/tasks."""
    query, filters = request.query_params, filters_of(request)
    page = await list_tasks(
        services(request).store, filters.for_store(clock.now()), older=query.get("older"), newer=query.get("newer"),
        limit=limit_of(query.get("limit", "")) if query.get("limit") else PAGE,
    )  # fmt: skip
    return answer(
        {"tasks": page.rows, "older": page.older, "newer": page.newer, "searched_to": page.searched_to, "searched": page.searched}
    )


async def show(request: Request) -> Response:
    """GET /api/v1/tasks/{id}."""
    return answer(await find_task(services(request).store, request.path_params["id"]))


async def logs(request: Request) -> Response:
    """GET /api/v1/tasks/{id}/logs."""
    return answer({"runs": await read_request(request)})


async def act(request: Request) -> Response:
    """POST /api/v1/tasks/{id}/actions."""
    server, body = services(request), await read_body(request, TaskAction)
    task = await find_task(server.store, request.path_params["id"])
    if (rule := RULES.get(body.action)) is None or rule.subject != "task":
        raise BadInput(f"Unknown action {body.action[:40]} for tasks. No changes were made.")
    params: dict[str, Any] = {}
    if body.action == "edit_task":
        if not body.edit or not set(body.edit) <= {"args", "kwargs"}:
            raise BadInput('`edit` must be an object such as {"args": {"0": 1}, "kwargs": {"name": "value"}}. No changes were made.')
        params["edit"] = body.edit
    elif body.action == "prioritise_task":
        if body.level not in LEVELS:
            raise BadInput(f"`level` must be one of {', '.join(LEVELS)}. No changes were made.")
        params["level"] = body.level
    elif body.action == "move_task":
        if not body.queue:
            raise BadInput("`queue` must be the name of the target queue. No changes were made.")
        params["queue"] = body.queue
    return answer(await server.dispatch.ask(request.scope["identity"], body.action, task, body.reason, params), 202)


async def run(request: Request) -> Response:
    """POST /api/v1/tasks."""
    server, body = services(request), await read_body(request, TaskRun)
    command_request = await command_requests.run_request(
        server.store, body.app, body.environment, body.engine, body.name, body.args, body.kwargs, body.queue, body.reason, body.broker
    )
    return answer((await server.dispatch.submit(request.scope["identity"], command_request))[0], 202)


async def names(request: Request) -> Response:
    """GET /api/v1/task-names."""
    return answer({"names": await list_task_names(services(request).store)})


async def limit_name(request: Request) -> Response:
    """POST /api/v1/task-names/limits."""
    server, body = services(request), await read_body(request, NameLimit)
    params = {"rate": body.rate, "soft_s": body.soft_s, "hard_s": body.hard_s}
    command_request = await command_requests.limit_request(
        server.store, body.app, body.environment, body.engine, body.name, params, body.reason
    )
    return answer({"commands": await server.dispatch.submit(request.scope["identity"], command_request)}, 202)


OPERATIONS: Final = (
    Operation("GET", "/api/v1/tasks", list_all, "viewer", "Tasks, newest first.", TaskList, query=FILTERS + PAGING),
    Operation("POST", "/api/v1/tasks", run, "operator", "Run a registered task.", CommandRow, TaskRun, status=202),
    Operation("GET", "/api/v1/tasks/{id:int}", show, "viewer", "All fields of one task.", TaskDetail),
    Operation("GET", "/api/v1/tasks/{id:int}/logs", logs, "viewer", "Log lines of one task.", TaskLog, query=LOG),
    Operation("POST", "/api/v1/tasks/{id:int}/actions", act, "operator", "Act on a task.", CommandRow, TaskAction, status=202),
    Operation("GET", "/api/v1/task-names", names, "viewer", "Registered tasks with their signatures.", TaskNames),
    Operation("POST", "/api/v1/task-names/limits", limit_name, "operator", "Limit a task name.", Commands, NameLimit, status=202),
)
