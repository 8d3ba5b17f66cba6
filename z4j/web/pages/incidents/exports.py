# SPDX-License-Identifier: AGPL-3.0-or-later
"""The record of an incident for others: as a file without scripts, as Markdown, or on the page of a shared link."""

from __future__ import annotations

import re
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from z4j import resources
from z4j.rules.incidents.record import Record, markdown
from z4j.web.frame.render import Theme, render, respond, theme_of, to_html
from z4j.web.pages.incidents.detail import EventLine, lines_of
from z4j.web.services import services


@dataclass(frozen=True, slots=True)
class RecordPage:
    """The context of incidents/shared.html and incidents/file.html."""

    theme: Theme
    record: Record
    lines: tuple[EventLine, ...]


async def file(request: Request) -> Response:
    """GET /incidents/{id}.html: the record as one file that loads nothing and has no script."""
    record = await services(request).incidents.record_of(request.path_params["id"])
    html = to_html("incidents/file.html", RecordPage(theme_of(request), record, lines_of(record)))
    answer = respond(request, html.replace("</head>", f"<style>{_style()}</style></head>", 1))
    answer.headers["Content-Disposition"] = f'attachment; filename="{_file_name(record)}.html"'
    return answer


async def as_markdown(request: Request) -> Response:
    """GET /incidents/{id}.md."""
    record = await services(request).incidents.record_of(request.path_params["id"])
    address = f"{request.url.scheme}://{request.url.netloc}"
    headers = {"Content-Disposition": f'attachment; filename="{_file_name(record)}.md"'}
    return Response(markdown(record, address), media_type="text/markdown", headers=headers)


async def shared(request: Request) -> Response:
    """GET /incidents/shared/{code}: the record for anyone who has the link, for a week."""
    service = services(request).incidents
    record = await service.record_of(await service.incident_of_link(request.path_params["code"][:300]))
    return render(request, "incidents/shared.html", RecordPage(theme_of(request), record, lines_of(record)))


def _style() -> str:
    folder = resources.static()
    return "\n".join(folder.joinpath(f"css/{sheet}.css").read_text("utf-8") for sheet in ("tokens", "base", "incidents"))


def _file_name(record: Record) -> str:
    return re.sub(r"[^A-Za-z0-9]+", "-", record.title).strip("-").lower()[:60] or "incident"
