# SPDX-License-Identifier: AGPL-3.0-or-later
"""The API of incidents: list, start, note, end, and the record of one."""

from __future__ import annotations

from typing import Final

from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from z4j.rules.incidents.record import Record
from z4j.store.incidents.incidents import Incident
from z4j.web.api.endpoints import Operation, Saved, answer, read_body
from z4j.web.pages.incidents.detail import detail_json
from z4j.web.pages.incidents.list import list_json
from z4j.web.services import services


class IncidentStart(Struct, forbid_unknown_fields=True):
    """`began_at` is microseconds UTC; null: now."""

    title: str
    app: str = ""
    environment: str = ""
    began_at: int | None = None


class NoteBody(Struct, forbid_unknown_fields=True):
    """A note with the time of this request."""

    text: str


class IncidentList(Struct):
    """Newest first; `before` is the cursor of the next page, null at the end."""

    incidents: list[Incident]
    before: str | None


class IncidentRecord(Record, frozen=True, kw_only=True):
    """An incident with everything that was gathered. `ended_at` is null while it is open."""

    id: int


async def start(request: Request) -> Response:
    """POST /api/v1/incidents."""
    body = await read_body(request, IncidentStart)
    id = await services(request).incidents.start(
        request.scope["identity"], title=body.title, app=body.app, environment=body.environment, began_at=body.began_at
    )  # fmt: skip
    return answer({"id": id}, 201)


async def note(request: Request) -> Response:
    """POST /api/v1/incidents/{id}/notes."""
    body = await read_body(request, NoteBody)
    await services(request).incidents.note(request.scope["identity"], request.path_params["id"], body.text)
    return answer({"id": request.path_params["id"]}, 201)


async def end(request: Request) -> Response:
    """POST /api/v1/incidents/{id}/end."""
    await services(request).incidents.end(request.scope["identity"], request.path_params["id"])
    return await detail_json(request)


BEFORE: Final = (("before", "Cursor of the next page."),)
OPERATIONS: Final = (
    Operation("GET", "/api/v1/incidents", list_json, "viewer", "Recorded incidents.", IncidentList, query=BEFORE),
    Operation("POST", "/api/v1/incidents", start, "operator", "Start an incident.", Saved, IncidentStart, status=201),
    Operation("GET", "/api/v1/incidents/{id:int}", detail_json, "viewer", "The record of an incident.", IncidentRecord),
    Operation("POST", "/api/v1/incidents/{id:int}/notes", note, "operator", "Add a note.", Saved, NoteBody, status=201),
    Operation("POST", "/api/v1/incidents/{id:int}/end", end, "operator", "End an incident.", IncidentRecord),
)
