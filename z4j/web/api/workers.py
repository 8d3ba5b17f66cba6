# SPDX-License-Identifier: AGPL-3.0-or-later
"""The API of workers."""

from __future__ import annotations

from typing import Final

from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from z4j import clock
from z4j.formats import DAY
from z4j.store.fleet.workers import WorkerRow, list_workers
from z4j.web import command_requests
from z4j.web.api.commands import Commands, check_word
from z4j.web.api.endpoints import LISTED, Operation, answer, read_body
from z4j.web.frame.paging import text_of
from z4j.web.pages.tasks.filters import Filters
from z4j.web.pages.workers import list as worker_pages
from z4j.web.services import services


class WorkerList(Struct):
    """Workers seen in the last 24 hours, connected ones first; `after` is the cursor of the next page, null at the end."""

    workers: list[WorkerRow]
    after: str | None


class WorkerAction(Struct, forbid_unknown_fields=True):
    """`environment` where the app has workers of this name in several; `by` for resize_worker, `queue` for consume_queue and leave_queue;
    `confirm` with the action's word where it ends a process."""

    action: str
    app: str
    worker: str
    environment: str | None = None
    by: int | None = None
    queue: str | None = None
    confirm: str = ""
    reason: str = ""


async def workers(request: Request) -> Response:
    """GET /api/v1/workers."""
    store, query = services(request).store, request.query_params
    scope = Filters(app=query.get("app", ""), environment=query.get("environment", ""), engine=query.get("engine", ""))
    if (name := query.get("name")) is not None:
        rows = await list_workers(store, since=clock.now() - DAY, name=name)
        known = [row for row in rows if scope.app in ("", row.app) and scope.environment in ("", row.environment)]
        return answer({"workers": known, "after": None})
    page = await worker_pages.page_of(store, scope, clock.now(), worker_pages.position_from(request), worker_pages.EXPORTED)
    return answer({"workers": page.rows, "after": text_of(page.last) if page.last else None})


async def act_on_worker(request: Request) -> Response:
    """POST /api/v1/workers/actions."""
    server, body = services(request), await read_body(request, WorkerAction)
    check_word(body.action, body.confirm)
    params = {"by": body.by, "queue": body.queue}
    command_request = await command_requests.worker_request(
        server.store, body.action, body.app, body.worker, body.environment, params, body.reason
    )
    return answer({"commands": await server.dispatch.submit(request.scope["identity"], command_request)}, 202)


OPERATIONS: Final = (
    Operation("GET", "/api/v1/workers", workers, "viewer", "Workers and their running tasks.", WorkerList, query=LISTED),
    Operation("POST", "/api/v1/workers/actions", act_on_worker, "operator", "Act on a worker.", Commands, WorkerAction, status=202),
)  # fmt: skip
