# SPDX-License-Identifier: AGPL-3.0-or-later
"""The API of errors: list and show, which are the pages' own exports, and the actions of users."""

from __future__ import annotations

from typing import Final

from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from z4j.exceptions import BadInput
from z4j.store.errors.error_groups import ErrorGroup
from z4j.store.operations.plans import PlanRow
from z4j.web.api.endpoints import Operation, answer, read_body
from z4j.web.pages.errors.actions import split_of
from z4j.web.pages.errors.detail import detail_json
from z4j.web.pages.errors.list import list_json
from z4j.web.services import services

ACTIONS: Final = ("resolve", "resolve_next", "reopen", "ignore", "assign", "note", "merge", "split", "retry")
LISTED: Final = (
    ("state", "unresolved, regressed, resolved or ignored; separated by commas. Default: open errors."),
    ("app", "Only of this app."), ("environment", "Only of this environment."), ("engine", "Only of this engine."),
    ("queue", "Only in this queue."), ("name", "Only of this task name."), ("assigned", "Only those assigned to this user."),
    ("after", "Cursor of the next page."),
)  # fmt: skip


class ErrorList(Struct):
    """The last seen first; `after` is the cursor of the next page, null at the end."""

    errors: list[ErrorGroup]
    after: str | None


class ErrorPlace(Struct):
    """Where stored failures of a group happened."""

    environment: str
    engine: str
    queue: str
    name: str
    failed: int
    retried: int
    cured: int


class ErrorHistory(Struct):
    """An action of a user on a group; `actor` is empty for the server."""

    at: int
    actor: str
    action: str
    detail: str


class MergedError(Struct):
    """A group that was merged into another one."""

    id: int
    title: str
    function: str


class ErrorPart(Struct):
    """A group that was split off from another one: `by` message or code, as in `pattern`."""

    id: int
    title: str
    by: str
    pattern: str
    is_running: bool


class FailedTask(Struct):
    """A failed task of a group, and when it failed."""

    id: int
    at: int


class ErrorDetail(Struct):
    """A group with its places, history, merged groups, the group it was split off from, its parts, and its newest failed tasks."""

    error: ErrorGroup
    places: list[ErrorPlace]
    actions: list[ErrorHistory]
    merged: list[MergedError]
    split_from: ErrorPart | None
    parts: list[ErrorPart]
    tasks: list[FailedTask]


class ErrorAction(Struct, forbid_unknown_fields=True):
    """`for_s` (seconds), `rate` (failed tasks in an hour), `count` (more failed tasks) for ignore; `user` for assign; `note` and
    `runbook` for note, which keeps the one that is null; `other` for merge: the error that is added to this one. Split shows a
    merged error on its own or, with `message` (a pattern with `*`) or `code` (a line of code), a part of one."""

    action: str
    for_s: int | None = None
    rate: int | None = None
    count: int | None = None
    user: str = ""
    note: str | None = None
    runbook: str | None = None
    other: int | None = None
    message: str = ""
    code: str = ""
    reason: str = ""


class ErrorChange(Struct):
    """The group afterwards, of a split the one that was split off, and the frozen plan of a retry."""

    error: ErrorGroup
    plan: PlanRow | None


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
    elif body.action == "split" and (body.message or body.code):
        id = await errors.split_off(actor, id, split_of(body.message, body.code), body.reason)
    elif body.action == "split":
        await errors.split(actor, id, body.reason)
    elif body.action == "retry":
        plan = await errors.retry(actor, id, body.reason)
    else:
        what = f"Unknown action {body.action[:40]}, or a field of it is missing. No changes were made."
        raise BadInput(what, f"Use one of {', '.join(ACTIONS)}.")
    return answer({"error": await errors.get(id), "plan": plan})


OPERATIONS: Final = (
    Operation("GET", "/api/v1/errors", list_json, "viewer", "Errors: failures grouped by problem.", ErrorList, query=LISTED),
    Operation("GET", "/api/v1/errors/{id:int}", detail_json, "viewer", "An error.", ErrorDetail),
    Operation("POST", "/api/v1/errors/{id:int}/actions", act_on_error, "operator", "Act on an error.", ErrorChange, ErrorAction),
)  # fmt: skip
