# SPDX-License-Identifier: AGPL-3.0-or-later
"""The API of queues and workers, of what was asked, and of the audit log."""

from __future__ import annotations

from typing import Any, Final

from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from z4j import clock
from z4j.exceptions import BadInput, NotFound
from z4j.rules.commands import RULES
from z4j.store.access import audit
from z4j.store.fleet.paused_queues import PausedQueueRow, list_paused
from z4j.store.fleet.queues import QueueRow, list_queues
from z4j.store.fleet.workers import WorkerRow, list_workers
from z4j.store.operations import commands
from z4j.store.operations.commands import CommandRow
from z4j.web import command_requests
from z4j.web.api.operations import Operation, answer, read_body
from z4j.web.api.plans import BEFORE, PlanState, plan_state
from z4j.web.frame import export
from z4j.web.frame.formats import DAY
from z4j.web.frame.paging import text_of
from z4j.web.pages.changes import before_of
from z4j.web.pages.queues.list import EXPORTED, page_of, place_from
from z4j.web.pages.tasks.filters import Filters
from z4j.web.pages.workers import list as worker_pages
from z4j.web.services import services

PAGE: Final = 100


class QueueList(Struct):
    """Queues in their order, and all that are paused; `after` is the place to go on with, null at the end."""

    queues: list[QueueRow]
    paused: list[PausedQueueRow]
    after: str | None


class WorkerList(Struct):
    """Workers seen within a day, connected ones first; `after` is the place to go on with, null at the end."""

    workers: list[WorkerRow]
    after: str | None


class CommandList(Struct):
    """Newest first; `before` is the `created_at` to go on with."""

    commands: list[CommandRow]
    before: int | None


class Commands(Struct):
    """What was asked: one command for each agent it concerns."""

    commands: list[CommandRow]


class AuditRows(Struct):
    """Newest first, each with the code of the chain; `before` is the number to go on with."""

    audit: list[dict[str, Any]]
    before: int | None


class QueueAction(Struct, forbid_unknown_fields=True):
    """`place` (waiting, delayed, dead) and `limit` for peek_queue; `place`, and `confirm` with the word "purge", for purge_queue;
    `broker` where the queue is in several."""

    action: str
    app: str
    engine: str
    queue: str
    environment: str = ""
    place: str | None = None
    limit: int | None = None
    broker: str = ""
    confirm: str = ""
    reason: str = ""


class WorkerAction(Struct, forbid_unknown_fields=True):
    """`environment` where the app has workers of this name in several; `by` for resize_worker, `queue` for consume_queue and leave_queue;
    `confirm` with the action's word where it ends something."""

    action: str
    app: str
    worker: str
    environment: str | None = None
    by: int | None = None
    queue: str | None = None
    confirm: str = ""
    reason: str = ""


class NameLimit(Struct, forbid_unknown_fields=True):
    """Limits of a task name: `rate` such as "10/m" ("0" lifts it), seconds for the time limits; what is null stays as it is."""

    app: str
    engine: str
    name: str
    environment: str = ""
    rate: str | None = None
    soft_s: float | None = None
    hard_s: float | None = None
    reason: str = ""


async def queues(request: Request) -> Response:
    """GET /api/v1/queues."""
    found, query = services(request), request.query_params
    store, same = found.store, found.hub.same_brokers()
    scope = Filters(app=query.get("app", ""), environment=query.get("environment", ""), engine=query.get("engine", ""))
    last = None
    if (name := query.get("name")) is not None:
        rows = await list_queues(store, app=scope.app, environment=scope.environment, engine=scope.engine, name=name, same=same)
    else:
        rows, last = await page_of(request, scope, place_from(request), EXPORTED)
    return answer({"queues": rows, "paused": await list_paused(store, same), "after": text_of(last) if last else None})


async def act_on_queue(request: Request) -> Response:
    """POST /api/v1/queues/actions."""
    found, body = services(request), await read_body(request, QueueAction)
    _check_word(body.action, body.confirm)
    params, same = {"place": body.place, "limit": body.limit, "broker": body.broker}, found.hub.same_brokers()
    wish = await command_requests.queue_request(
        found.store, body.action, body.app, body.environment, body.engine, body.queue, params, body.reason, same
    )  # fmt: skip
    return answer({"commands": await found.dispatch.wish(request.scope["identity"], wish)}, 202)


async def workers(request: Request) -> Response:
    """GET /api/v1/workers."""
    store, query = services(request).store, request.query_params
    scope = Filters(app=query.get("app", ""), environment=query.get("environment", ""), engine=query.get("engine", ""))
    if (name := query.get("name")) is not None:
        rows = await list_workers(store, since=clock.now() - DAY, name=name)
        known = [row for row in rows if scope.app in ("", row.app) and scope.environment in ("", row.environment)]
        return answer({"workers": known, "after": None})
    found = await worker_pages.page_of(store, scope, clock.now(), worker_pages.place_from(request), worker_pages.EXPORTED)
    return answer({"workers": found.rows, "after": text_of(found.last) if found.last else None})


async def act_on_worker(request: Request) -> Response:
    """POST /api/v1/workers/actions."""
    found, body = services(request), await read_body(request, WorkerAction)
    _check_word(body.action, body.confirm)
    params = {"by": body.by, "queue": body.queue}
    wish = await command_requests.worker_request(found.store, body.action, body.app, body.worker, body.environment, params, body.reason)
    return answer({"commands": await found.dispatch.wish(request.scope["identity"], wish)}, 202)


async def limit_name(request: Request) -> Response:
    """POST /api/v1/task-names/limits."""
    found, body = services(request), await read_body(request, NameLimit)
    params = {"rate": body.rate, "soft_s": body.soft_s, "hard_s": body.hard_s}
    wish = await command_requests.limit_wish(found.store, body.app, body.environment, body.engine, body.name, params, body.reason)
    return answer({"commands": await found.dispatch.wish(request.scope["identity"], wish)}, 202)


def _check_word(action: str, confirm: str) -> None:
    rule = RULES.get(action)
    if rule is not None and rule.word and confirm != rule.word:
        raise BadInput(f"`confirm` must hold the word “{rule.word}”. Nothing was changed.")


async def list_commands(request: Request) -> Response:
    """GET /api/v1/commands."""
    rows = await commands.list_commands(services(request).store, before=before_of(request), limit=PAGE)
    return answer({"commands": rows, "before": rows[-1].created_at if len(rows) == PAGE else None})


async def find_command(request: Request) -> CommandRow:
    """The command in the path. Raises NotFound."""
    found = await commands.get_command(services(request).store, request.path_params["id"])
    if found is None:
        raise NotFound("There is no such command, or it is older than what is kept.")
    return found


async def show_command(request: Request) -> Response:
    """GET /api/v1/commands/{id}."""
    return answer(await find_command(request))


async def undo_command(request: Request) -> Response:
    """POST /api/v1/commands/{id}/undo."""
    plan = await services(request).plans.undo_purge(request.scope["identity"], await find_command(request))
    return await plan_state(request, plan, 201)


async def audit_rows(request: Request) -> Response:
    """GET /api/v1/audit."""
    rows = await audit.list_audit(services(request).store, before=before_of(request), limit=PAGE)
    told = [{**export.plain(row), "mac": row.mac.hex()} for row in rows]
    return answer({"audit": told, "before": rows[-1].seq if len(rows) == PAGE else None})


LISTED: Final = (
    ("app", "Only this app's."), ("environment", "Only this environment's."), ("engine", "Only this engine's."),
    ("name", "Only those of this name."), ("after", "The place to go on with."),
)  # fmt: skip
OPERATIONS: Final = (
    Operation("GET", "/api/v1/queues", queues, "viewer", "Queues, and which are paused.", QueueList, query=LISTED),
    Operation("POST", "/api/v1/queues/actions", act_on_queue, "operator", "Ask about a queue.", Commands, QueueAction, status=202),
    Operation("GET", "/api/v1/workers", workers, "viewer", "Workers and what they run.", WorkerList, query=LISTED),
    Operation("POST", "/api/v1/workers/actions", act_on_worker, "operator", "Ask a worker.", Commands, WorkerAction, status=202),
    Operation("POST", "/api/v1/task-names/limits", limit_name, "operator", "Limit a task name.", Commands, NameLimit, status=202),
    Operation("GET", "/api/v1/commands", list_commands, "viewer", "What was asked, newest first.", CommandList, query=BEFORE),
    Operation("GET", "/api/v1/commands/{id}", show_command, "viewer", "One command and its answer.", CommandRow),
    Operation("POST", "/api/v1/commands/{id}/undo", undo_command, "operator", "Put a purge back, as a plan.", PlanState, status=201),
    Operation("GET", "/api/v1/audit", audit_rows, "auditor", "The audit log, newest first.", AuditRows, query=BEFORE),
)  # fmt: skip
