# SPDX-License-Identifier: AGPL-3.0-or-later
"""The API of plans: create, preview, execute, pause, resume, abort, undo."""

from __future__ import annotations

from typing import Final

from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from z4j import clock
from z4j.exceptions import BadInput
from z4j.operations.plans import Source
from z4j.rules.plans import Item, read_pace
from z4j.store.operations import plans
from z4j.store.operations.plans import GroupRow, ItemRow, PlanRow
from z4j.web.api.endpoints import Operation, answer, read_body
from z4j.web.pages.tasks.filters import Filters, from_query
from z4j.web.services import services

MAX_IDS: Final = 5_000
ITEMS: Final = 500


class PlanFreeze(Struct, forbid_unknown_fields=True):
    """An action, and its tasks: all that match `filter` (as in the URL of the list), or the rows `ids`."""

    action: str
    filter: dict[str, str] = {}
    ids: list[int] = []
    level: str | None = None
    queue: str | None = None
    reason: str = ""


class PlanExecute(Struct, forbid_unknown_fields=True):
    """`digest` is that of the plan that was previewed; `pace` is all, canary or a number per minute such as 60/m; `limit` is the
    percentage of failures that stops a canary."""

    digest: str
    pace: str = "all"
    limit: int | None = None


class PlanState(Struct):
    """A plan, its groups, and the number of its items by status."""

    plan: PlanRow
    groups: list[GroupRow]
    account: dict[str, int]


class PlanList(Struct):
    """Newest first; `before` is the cursor of the next page."""

    plans: list[PlanRow]
    before: int | None


class ItemList(Struct):
    """Items in order; `after` is the cursor of the next page."""

    items: list[ItemRow]
    after: int | None


def source_of(filters: Filters, ids: list[int], now: int) -> Source:
    """Returns the source of a plan. Raises BadInput where it has no filter."""
    if ids:
        if len(ids) > MAX_IDS:
            raise BadInput(f"At most {MAX_IDS:,} tasks can be listed by ID. No changes were made.")
        return Source(f"{len(ids)} selected tasks", ids=tuple(sorted(set(ids), reverse=True)))
    if filters.is_any:
        raise BadInput("A plan for all tasks is not allowed. No changes were made.", "Narrow the list, at least to one state.")
    return Source(filters.href("")[1:], task_filter=filters.for_store(now))


async def freeze(request: Request) -> Response:
    """POST /api/v1/plans."""
    server, body = services(request), await read_body(request, PlanFreeze)
    source = source_of(from_query(body.filter, [body.filter.get("state", "")]), body.ids, clock.now())
    params = {name: value for name, value in (("level", body.level), ("queue", body.queue)) if value is not None}
    plan = await server.plans.freeze(request.scope["identity"], body.action, params, source, body.reason)
    return await plan_state(request, plan, 201)


async def list_all(request: Request) -> Response:
    """GET /api/v1/plans."""
    before = _number(request, "before", plans.NEWEST)
    rows = await plans.list_plans(services(request).store, before=before)
    return answer({"plans": rows, "before": rows[-1].created_at if len(rows) == 50 else None})


async def show(request: Request) -> Response:
    """GET /api/v1/plans/{id}."""
    return await plan_state(request, await services(request).plans.get(request.path_params["id"]))


async def items(request: Request) -> Response:
    """GET /api/v1/plans/{id}/items."""
    word, server = request.query_params.get("status", ""), services(request)
    if word and word.upper() not in Item.__members__:
        raise BadInput(f"Unknown status. Use one of {', '.join(status.name.lower() for status in Item)}.")
    plan = await server.plans.get(request.path_params["id"])
    rows = await plans.list_items(
        server.store, plan.id, status=Item[word.upper()] if word else None, after=_number(request, "after", 0), limit=ITEMS
    )
    return answer({"items": rows, "after": rows[-1].seq if len(rows) == ITEMS else None})


async def execute(request: Request) -> Response:
    """POST /api/v1/plans/{id}/execute."""
    body = await read_body(request, PlanExecute)
    pace = read_pace(body.pace, "" if body.limit is None else str(body.limit))
    server = services(request)
    return await plan_state(
        request, await server.plans.execute(request.scope["identity"], request.path_params["id"], body.digest, pace), 202
    )


async def pause(request: Request) -> Response:
    """POST /api/v1/plans/{id}/pause."""
    return await plan_state(request, await services(request).plans.pause(request.scope["identity"], request.path_params["id"]))


async def resume(request: Request) -> Response:
    """POST /api/v1/plans/{id}/resume."""
    return await plan_state(request, await services(request).plans.resume(request.scope["identity"], request.path_params["id"]))


async def abort(request: Request) -> Response:
    """POST /api/v1/plans/{id}/abort."""
    return await plan_state(request, await services(request).plans.abort(request.scope["identity"], request.path_params["id"]))


async def undo(request: Request) -> Response:
    """POST /api/v1/plans/{id}/undo."""
    return await plan_state(request, await services(request).plans.undo(request.scope["identity"], request.path_params["id"]), 201)


async def plan_state(request: Request, plan: PlanRow, status: int = 200) -> Response:
    """Returns the answer of every operation on plans."""
    store = services(request).store
    groups, account = await plans.list_groups(store, plan.id), await plans.account(store, plan.id)
    return answer({"plan": plan, "groups": groups, "account": account}, status)


def _number(request: Request, name: str, otherwise: int) -> int:
    text = request.query_params.get(name, "")
    if not text:
        return otherwise
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise BadInput(f"`{name}` must be a number.")
    return int(text)


BEFORE: Final = (("before", "Cursor: the end of the previous page."),)
OPERATIONS: Final = (
    Operation("GET", "/api/v1/plans", list_all, "viewer", "Plans, newest first.", PlanList, query=BEFORE),
    Operation("POST", "/api/v1/plans", freeze, "operator", "Create a plan; it is not executed yet.", PlanState, PlanFreeze, status=201),
    Operation("GET", "/api/v1/plans/{id:int}", show, "viewer", "A plan and its results.", PlanState),
    Operation(
        "GET", "/api/v1/plans/{id:int}/items", items, "viewer", "The items of a plan, in order.", ItemList,
        query=(("status", "Only with this status."), ("after", "Cursor: the end of the previous page.")),
    ),
    Operation("POST", "/api/v1/plans/{id:int}/execute", execute, "operator", "Execute a plan.", PlanState, PlanExecute, status=202),
    Operation("POST", "/api/v1/plans/{id:int}/pause", pause, "operator", "Pause a plan.", PlanState),
    Operation("POST", "/api/v1/plans/{id:int}/resume", resume, "operator", "Resume a plan.", PlanState),
    Operation("POST", "/api/v1/plans/{id:int}/abort", abort, "operator", "Abort a plan; unsent items are dropped.", PlanState),
    Operation("POST", "/api/v1/plans/{id:int}/undo", undo, "operator", "Plan the undo of a plan.", PlanState, status=201),
)  # fmt: skip
