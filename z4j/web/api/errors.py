# SPDX-License-Identifier: AGPL-3.0-or-later
"""The API of errors: list, show, and what people do with them."""

from __future__ import annotations

from typing import Any, Final

from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from z4j.exceptions import BadInput
from z4j.store.errors import error_groups
from z4j.store.errors.error_groups import ErrorGroup
from z4j.store.operations.plans import PlanRow
from z4j.store.tasks.task_search import cursor
from z4j.web.api.operations import Operation, answer, read_body
from z4j.web.frame import export
from z4j.web.pages.errors.detail import everything, export_of
from z4j.web.pages.errors.filters import position_of
from z4j.web.pages.errors.list import EXPORTED, filters_of
from z4j.web.services import services

ACTIONS: Final = ("resolve", "resolve_next", "reopen", "ignore", "assign", "note", "merge", "split", "retry")
LISTED: Final = (
    ("state", "unresolved, regressed, resolved or ignored; several with commas. Default: those that are open."),
    ("app", "Only of this app."), ("environment", "Only of this environment."), ("engine", "Only of this engine."),
    ("queue", "Only in this queue."), ("name", "Only of this task name."), ("assigned", "Only those assigned to this user."),
    ("after", "Cursor of the next page."),
)  # fmt: skip


class ErrorList(Struct):
    """The last seen first; `after` is the cursor of the next page, null at the end."""

    errors: list[ErrorGroup]
    after: str | None


class ErrorDetail(Struct):
    """A group with its places, history, merged groups and newest failed tasks."""

    error: ErrorGroup
    places: list[dict[str, Any]]
    actions: list[dict[str, Any]]
    merged: list[dict[str, Any]]
    tasks: list[dict[str, int]]


class ErrorAction(Struct, forbid_unknown_fields=True):
    """`for_s` (seconds), `rate` (failed tasks in an hour), `count` (more failed tasks) for ignore; `user` for assign; `note` and
    `runbook` for note, which keeps the one that is null; `other` for merge: the error that is added to this one."""

    action: str
    for_s: int | None = None
    rate: int | None = None
    count: int | None = None
    user: str = ""
    note: str | None = None
    runbook: str | None = None
    other: int | None = None
    reason: str = ""


class ErrorChange(Struct):
    """The group afterwards, and the frozen plan of a retry."""

    error: ErrorGroup
    plan: PlanRow | None


async def list_errors(request: Request) -> Response:
    """GET /api/v1/errors."""
    groups, more = await error_groups.list_groups(
        services(request).store, filters_of(request).for_store(), position_of(request.query_params.get("after", "")), EXPORTED
    )
    return answer({"errors": groups, "after": cursor(more) if more else None})


async def show_error(request: Request) -> Response:
    """GET /api/v1/errors/{id}."""
    server = services(request)
    return export.to_json(export_of(*await everything(server.store, await server.errors.get(request.path_params["id"]))))


async def act_on_error(request: Request) -> Response:
    """POST /api/v1/errors/{id}/actions."""
    server, body, id = services(request), await read_body(request, ErrorAction), request.path_params["id"]
    errors, actor = server.errors, request.scope["identity"]
    plan = None
    if body.action == "resolve":
        await errors.resolve(actor, id, reason=body.reason)
    elif body.action == "resolve_next":
        await errors.resolve(actor, id, is_by_release=True, reason=body.reason)
    elif body.action == "reopen":
        await errors.reopen(actor, id, body.reason)
    elif body.action == "ignore":
        for_us = None if body.for_s is None else body.for_s * 1_000_000
        await errors.ignore(actor, id, for_us=for_us, rate=body.rate, count=body.count, reason=body.reason)
    elif body.action == "assign":
        await errors.assign(actor, id, body.user, body.reason)
    elif body.action == "note":
        known = await errors.get(id)
        note, runbook = known.note if body.note is None else body.note, known.runbook if body.runbook is None else body.runbook
        await errors.note(actor, id, note, runbook)
    elif body.action == "merge" and body.other is not None:
        await errors.merge(actor, body.other, id, body.reason)
    elif body.action == "split":
        await errors.split(actor, id, body.reason)
    elif body.action == "retry":
        plan = await errors.retry(actor, id, body.reason)
    else:
        what = f"Unknown action {body.action[:40]}, or one without its field. No changes were made."
        raise BadInput(what, f"Use one of {', '.join(ACTIONS)}.")
    return answer({"error": await errors.get(id), "plan": plan})


OPERATIONS: Final = (
    Operation("GET", "/api/v1/errors", list_errors, "viewer", "Errors: failures that are one problem.", ErrorList, query=LISTED),
    Operation("GET", "/api/v1/errors/{id:int}", show_error, "viewer", "An error.", ErrorDetail),
    Operation("POST", "/api/v1/errors/{id:int}/actions", act_on_error, "operator", "Act on an error.", ErrorChange, ErrorAction),
)  # fmt: skip
