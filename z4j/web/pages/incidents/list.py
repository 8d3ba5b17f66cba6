# SPDX-License-Identifier: AGPL-3.0-or-later
"""Changes, Incidents: ongoing ones first."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from z4j import clock
from z4j.exceptions import BadInput, NotAllowed
from z4j.operations.incidents import ACTION
from z4j.rules.permissions import is_allowed, may_act
from z4j.rules.schedules.due_times import zone_of
from z4j.store.fleet import apps
from z4j.store.incidents import incidents
from z4j.store.incidents.incidents import PAGE, Incident
from z4j.web.frame import export
from z4j.web.frame.forms import read_form
from z4j.web.frame.paging import moment_from
from z4j.web.frame.render import Notice, Shell, render, see_other
from z4j.web.frame.shell import make_shell
from z4j.web.frame.times import reader_zone, when, with_offset
from z4j.web.services import services


@dataclass(frozen=True, slots=True)
class IncidentsPage:
    """The context of incidents/list.html."""

    shell: Shell
    rows: tuple[Incident, ...]
    apps: tuple[str, ...]
    older_href: str
    may_change: bool
    may_audit: bool


async def list_page(request: Request) -> Response:
    """GET /incidents."""
    store, role = services(request).store, request.scope["identity"].role
    rows = await incidents.list_incidents(store, moment_from(request, "before"))
    page = IncidentsPage(
        shell=await make_shell(request, "changes"), rows=tuple(rows), apps=tuple(row.name for row in await apps.list_apps(store)),
        older_href=f"/incidents?before={rows[-1].began_at}-{rows[-1].id}" if len(rows) == PAGE else "", may_change=may_act(role, ACTION),
        may_audit=is_allowed(role, "auditor"),
    )  # fmt: skip
    return render(request, "incidents/list.html", page)


async def list_json(request: Request) -> Response:
    """GET /incidents.json and GET /api/v1/incidents."""
    rows = await incidents.list_incidents(services(request).store, moment_from(request, "before"))
    last = rows[-1] if len(rows) == PAGE else None
    return export.to_json({"incidents": [export.plain(row) for row in rows], "before": f"{last.began_at}-{last.id}" if last else None})


async def start(request: Request) -> Response:
    """POST /incidents: `from` is when it began, such as 20m for twenty minutes ago; empty is now."""
    form = await read_form(request)
    try:
        began = when(with_offset(form["from"], zone_of(reader_zone())), clock.now()) if form.get("from") else None
    except ValueError:
        return see_other("/incidents", Notice("bad", f"“{form['from'][:30]}” is not a time. Use 20m, 2h or a date. No changes were made."))
    try:
        id = await services(request).incidents.start(
            request.scope["identity"], title=form.get("title", ""), app=form.get("app", ""), environment=form.get("environment", ""),
            began_at=began,
        )  # fmt: skip
    except (BadInput, NotAllowed) as error:
        return see_other("/incidents", Notice("bad", error.explanation))
    return see_other(
        f"/incidents/{id}", Notice("good", "Incident started. Add notes while you work; when it ends, everything is saved in one record.")
    )
