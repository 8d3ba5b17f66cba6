# SPDX-License-Identifier: AGPL-3.0-or-later
"""Changes, Commands: the commands sent to agents, with their results."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from z4j.rules.permissions import is_allowed
from z4j.store.operations import commands
from z4j.store.operations.commands import NEWEST, CommandRow
from z4j.web.frame import export
from z4j.web.frame.paging import before_of
from z4j.web.frame.render import Shell, render
from z4j.web.frame.shell import make_shell
from z4j.web.services import services

PAGE: Final = 100
COMMAND_COLUMNS: Final = (
    "created_at", "asked_by", "action", "engine", "task_id", "target", "status", "reason", "sent_at", "ended_at", "id",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class CommandsPage:
    """The context of changes/commands.html."""

    shell: Shell
    rows: tuple[CommandRow, ...]
    older_href: str
    live_href: str
    may_audit: bool


async def list_page(request: Request) -> Response:
    """GET /changes: commands, newest first."""
    before = before_of(request)
    rows = await commands.list_commands(services(request).store, before=before, limit=PAGE + 1)
    page = CommandsPage(
        shell=await make_shell(request, "changes"),
        rows=tuple(rows[:PAGE]),
        older_href=f"/changes?before={rows[PAGE - 1].created_at}" if len(rows) > PAGE else "",
        live_href="/changes" if before == NEWEST else f"/changes?before={before}",
        may_audit=is_allowed(request.scope["identity"].role, "auditor"),
    )
    return render(request, "changes/commands.html", page)


async def list_json(request: Request) -> Response:
    """GET /changes.json: `before` is the created_at of the last row of the previous page."""
    rows = await commands.list_commands(services(request).store, before=before_of(request), limit=PAGE)
    return export.to_json({"commands": [export.plain(row) for row in rows]})


async def list_csv(request: Request) -> Response:
    """GET /changes.csv: all of them."""
    store = services(request).store
    rows = export.each_of_pages(
        lambda before, limit: commands.list_commands(store, before=before, limit=limit), lambda row: int(row.created_at), NEWEST
    )
    return await export.to_csv(request, "changes", COMMAND_COLUMNS, rows)
