# SPDX-License-Identifier: AGPL-3.0-or-later
"""The API of queues."""

from __future__ import annotations

from typing import Final

from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from z4j.store.fleet.paused_queues import PausedQueueRow, list_paused
from z4j.store.fleet.queues import QueueRow, list_queues
from z4j.web import command_requests
from z4j.web.api.commands import Commands, check_word
from z4j.web.api.endpoints import LISTED, Operation, answer, read_body
from z4j.web.frame.paging import text_of
from z4j.web.pages.queues.list import EXPORTED, page_of, position_from
from z4j.web.pages.tasks.filters import Filters
from z4j.web.services import services


class QueueList(Struct):
    """Queues in their order, and all pauses; `after` is the cursor of the next page, null at the end."""

    queues: list[QueueRow]
    paused: list[PausedQueueRow]
    after: str | None


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


async def queues(request: Request) -> Response:
    """GET /api/v1/queues."""
    server, query = services(request), request.query_params
    store, same = server.store, server.hub.same_brokers()
    scope = Filters(app=query.get("app", ""), environment=query.get("environment", ""), engine=query.get("engine", ""))
    last = None
    if (name := query.get("name")) is not None:
        rows = await list_queues(store, app=scope.app, environment=scope.environment, engine=scope.engine, name=name, same=same)
    else:
        rows, last = await page_of(request, scope, position_from(request), EXPORTED)
    return answer({"queues": rows, "paused": await list_paused(store, same), "after": text_of(last) if last else None})


async def act_on_queue(request: Request) -> Response:
    """POST /api/v1/queues/actions."""
    server, body = services(request), await read_body(request, QueueAction)
    check_word(body.action, body.confirm)
    params, same = {"place": body.place, "limit": body.limit, "broker": body.broker}, server.hub.same_brokers()
    command_request = await command_requests.queue_request(
        server.store, body.action, body.app, body.environment, body.engine, body.queue, params, body.reason, same
    )  # fmt: skip
    return answer({"commands": await server.dispatch.submit(request.scope["identity"], command_request)}, 202)


OPERATIONS: Final = (
    Operation("GET", "/api/v1/queues", queues, "viewer", "Queues and pauses.", QueueList, query=LISTED),
    Operation("POST", "/api/v1/queues/actions", act_on_queue, "operator", "Act on a queue.", Commands, QueueAction, status=202),
)  # fmt: skip
