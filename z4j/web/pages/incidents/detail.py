# SPDX-License-Identifier: AGPL-3.0-or-later
"""One incident: events in order of time, and its notes. Its files and the page of a shared link are in `exports.py`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from z4j.exceptions import Z4jError
from z4j.operations.incidents import ACTION
from z4j.rules.incidents.record import WORDS, Event, Record
from z4j.rules.permissions import may_act
from z4j.store.incidents.incidents import Incident
from z4j.web.frame import export
from z4j.web.frame.forms import read_form
from z4j.web.frame.render import Notice, Shell, render, see_other
from z4j.web.frame.shell import make_shell
from z4j.web.services import services

STATES = {
    "finding": "failed", "over": "succeeded", "error": "failed", "release": "received", "action": "running", "alert": "retrying",
    "note": "unknown", "began": "queued", "ended": "succeeded",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class EventLine:
    """An event as one row."""

    event: Event
    word: str
    state: str


@dataclass(frozen=True, slots=True)
class IncidentPage:
    """The context of incidents/detail.html."""

    shell: Shell
    incident: Incident
    record: Record
    lines: tuple[EventLine, ...]
    may_change: bool


def lines_of(record: Record) -> tuple[EventLine, ...]:
    """Returns the events as rows."""
    return tuple(EventLine(event, WORDS[event.kind], STATES[event.kind]) for event in record.events)


async def detail_page(request: Request) -> Response:
    """GET /incidents/{id}."""
    service, id = services(request).incidents, request.path_params["id"]
    incident, _ = await service.get(id)
    record = await service.record_of(id)
    shell = await make_shell(request, "changes")
    page = IncidentPage(shell, incident, record, lines_of(record), may_act(request.scope["identity"].role, ACTION))
    return render(request, "incidents/detail.html", page)


async def detail_json(request: Request) -> Response:
    """GET /incidents/{id}.json and GET /api/v1/incidents/{id}."""
    record = await services(request).incidents.record_of(request.path_params["id"])
    return export.to_json({"id": request.path_params["id"], **msgspec.to_builtins(record)})


async def note(request: Request) -> Response:
    """POST /incidents/{id}/note."""
    form = await read_form(request)
    return await _do(
        request, lambda id: services(request).incidents.note(request.scope["identity"], id, form.get("text", "")), "Note added."
    )


async def rename(request: Request) -> Response:
    """POST /incidents/{id}/rename."""
    form = await read_form(request)
    return await _do(
        request, lambda id: services(request).incidents.rename(request.scope["identity"], id, form.get("title", "")), "Renamed."
    )


async def end(request: Request) -> Response:
    """POST /incidents/{id}/end."""
    return await _do(request, lambda id: services(request).incidents.end(request.scope["identity"], id), "Incident ended and saved.")


async def share(request: Request) -> Response:
    """POST /incidents/{id}/share."""
    id = request.path_params["id"]
    try:
        path = await services(request).incidents.share(request.scope["identity"], id)
    except Z4jError as error:
        return see_other(f"/incidents/{id}", Notice("bad", error.explanation))
    return see_other(f"/incidents/{id}", Notice("good", f"Anyone with this link can read the record for a week: {path}", path))


async def delete(request: Request) -> Response:
    """POST /incidents/{id}/delete."""
    try:
        await services(request).incidents.delete(request.scope["identity"], request.path_params["id"])
    except Z4jError as error:
        return see_other("/incidents", Notice("bad", error.explanation))
    return see_other("/incidents", Notice("good", "Incident and record deleted."))


async def _do(request: Request, work: Callable[[int], Awaitable[None]], done: str) -> Response:
    here, id = f"/incidents/{request.path_params['id']}", request.path_params["id"]
    try:
        await work(id)
    except Z4jError as error:
        return see_other(here, Notice("bad", error.explanation))
    return see_other(here, Notice("good", done))
