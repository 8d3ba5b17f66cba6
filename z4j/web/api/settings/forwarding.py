# SPDX-License-Identifier: AGPL-3.0-or-later
"""The API of forwarding: targets with their state, and the log of deliveries to webhooks."""

from __future__ import annotations

from typing import Final

from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from z4j.rules.forwarding.target import TargetKind, TargetRequest, patterns_of
from z4j.store.forwarding import deliveries, targets
from z4j.web.api.endpoints import Operation, answer, read_body
from z4j.web.frame import export
from z4j.web.services import services


class TargetBody(Struct, forbid_unknown_fields=True):
    """A target. Of one that exists, an empty `url`, `key` or `ca` stays as it is. `actions` are patterns; none: every action. A new target
    gets what comes from now on, or with `from_beginning` everything there is."""

    name: str
    kind: TargetKind
    url: str = ""
    key: str = ""
    ca: str = ""
    audit: bool = True
    alerts: bool = False
    actions: list[str] = []
    from_beginning: bool = False


class TargetItem(Struct):
    """A target without secrets. `waiting_*` are rows that it has not received; times are microseconds UTC."""

    id: int
    name: str
    kind: str
    address: str
    audit: bool
    alerts: bool
    actions: list[str]
    is_enabled: bool
    waiting_audit: int
    waiting_alerts: int
    oldest_waiting_at: int | None
    sent: int
    sent_at: int | None
    failing_since: int | None
    error: str


class DeliveryItem(Struct):
    """A message to a webhook. `outcome`: delivered, failed (it is tried again) or refused (it was skipped)."""

    target: str
    stream: str
    seq: int
    what: str
    at: int
    attempts: int
    delivered_at: int | None
    outcome: str
    error: str


class Forwarding(Struct):
    """All targets, and the newest deliveries to webhooks."""

    targets: list[TargetItem]
    deliveries: list[DeliveryItem]


class MadeTarget(Struct):
    """The id of what was created or changed."""

    id: int


class Tested(Struct):
    """Why a test message did not arrive, "" where it was sent."""

    why: str


async def list_targets(request: Request) -> Response:
    """GET /api/v1/forwarding."""
    store = services(request).store
    ends, found = await targets.read_ends(store), []
    for each in await targets.list_targets(store):
        waiting = await targets.read_waiting(store, each, ends)
        found.append(
            {
                "id": each.id, "name": each.name, "kind": each.kind, "address": each.shown, "audit": each.has_audit,
                "alerts": each.has_alerts, "actions": each.actions, "is_enabled": each.is_enabled, "waiting_audit": waiting.audit,
                "waiting_alerts": waiting.alerts, "oldest_waiting_at": waiting.oldest_at, "sent": each.sent, "sent_at": each.sent_at,
                "failing_since": each.failing_since, "error": each.error,
            }
        )  # fmt: skip
    listed = [export.plain(each) for each in await deliveries.list_deliveries(store)]
    return export.to_json({"targets": found, "deliveries": listed})


async def create_target(request: Request) -> Response:
    """POST /api/v1/forwarding."""
    return answer({"id": await _put(request, None)}, 201)


async def change_target(request: Request) -> Response:
    """POST /api/v1/forwarding/{id}."""
    return answer({"id": await _put(request, request.path_params["id"])})


async def _put(request: Request, id: int | None) -> int:
    body = await read_body(request, TargetBody)
    wanted = TargetRequest(
        body.name.strip(), body.kind, body.url, body.key, body.ca, body.audit, body.alerts, patterns_of(" ".join(body.actions))
    )  # fmt: skip
    return await services(request).forwarding.put_target(request.scope["identity"], id, wanted, from_beginning=body.from_beginning)


async def test_target(request: Request) -> Response:
    """POST /api/v1/forwarding/{id}/test."""
    return answer({"why": await services(request).forwarding.test_target(request.scope["identity"], request.path_params["id"])})


async def enable_target(request: Request) -> Response:
    """POST /api/v1/forwarding/{id}/enable."""
    return await _set_enabled(request, is_enabled=True)


async def disable_target(request: Request) -> Response:
    """POST /api/v1/forwarding/{id}/disable."""
    return await _set_enabled(request, is_enabled=False)


async def _set_enabled(request: Request, *, is_enabled: bool) -> Response:
    id = request.path_params["id"]
    await services(request).forwarding.set_enabled(request.scope["identity"], id, is_enabled=is_enabled)
    return answer({"id": id})


async def delete_target(request: Request) -> Response:
    """POST /api/v1/forwarding/{id}/delete."""
    await services(request).forwarding.delete_target(request.scope["identity"], request.path_params["id"])
    return answer({"id": request.path_params["id"]})


OPERATIONS: Final = (
    Operation("GET", "/api/v1/forwarding", list_targets, "auditor", "Targets of forwarding, without secrets.", Forwarding),
    Operation("POST", "/api/v1/forwarding", create_target, "admin", "Add a target.", MadeTarget, TargetBody, status=201),
    Operation("POST", "/api/v1/forwarding/{id:int}", change_target, "admin", "Change a target.", MadeTarget, TargetBody),
    Operation("POST", "/api/v1/forwarding/{id:int}/test", test_target, "admin", "Send a test message.", Tested),
    Operation("POST", "/api/v1/forwarding/{id:int}/enable", enable_target, "admin", "Enable a target.", MadeTarget),
    Operation("POST", "/api/v1/forwarding/{id:int}/disable", disable_target, "admin", "Turn a target off.", MadeTarget),
    Operation("POST", "/api/v1/forwarding/{id:int}/delete", delete_target, "admin", "Delete a target.", MadeTarget),
)  # fmt: skip
