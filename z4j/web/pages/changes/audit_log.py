# SPDX-License-Identifier: AGPL-3.0-or-later
"""Changes, Audit log: every action of a user or an API token, and the state of the log's verification."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from z4j.rules.audit.checkpoints import Checkpoint
from z4j.rules.audit.entries import AuditRow
from z4j.store.access import audit, audit_checkpoints
from z4j.store.operations.commands import NEWEST
from z4j.web.frame import export
from z4j.web.frame.paging import before_of
from z4j.web.frame.render import Notice, Shell, render
from z4j.web.frame.shell import make_shell
from z4j.web.services import services

PAGE: Final = 100
AUDIT_COLUMNS: Final = ("seq", "at", "actor", "role", "action", "target", "outcome", "detail", "address", "key_id")


@dataclass(frozen=True, slots=True)
class AuditLine:
    """A row of the log with its detail as short text."""

    row: AuditRow
    detail: str


@dataclass(frozen=True, slots=True)
class AuditPage:
    """The context of changes/audit_log.html."""

    shell: Shell
    lines: tuple[AuditLine, ...]
    older_href: str
    public_key: str = ""
    key_id: str = ""
    signed: Checkpoint | None = None
    alarm: Notice | None = None


async def audit_page(request: Request) -> Response:
    """GET /changes/audit: the log, newest first."""
    rows = await audit.list_audit(services(request).store, before=before_of(request), limit=PAGE + 1)
    page = AuditPage(
        shell=await make_shell(request, "changes"),
        lines=tuple(AuditLine(row, _detail(row.detail)) for row in rows[:PAGE]),
        older_href=f"/changes/audit?before={rows[PAGE - 1].seq}" if len(rows) > PAGE else "",
        public_key=services(request).audit.signer.public_text,
        key_id=services(request).audit.signer.key_id,
        signed=await audit_checkpoints.newest_checkpoint(services(request).store),
        alarm=_alarm(request),
    )
    return render(request, "changes/audit_log.html", page)


def _alarm(request: Request) -> Notice | None:
    """Returns a notice if the log failed a check, with what to do."""
    alarm = services(request).audit.alarm
    if alarm is None:
        return None
    text = f"The audit log could not be verified: {alarm.why}. Tasks, commands and pages are not affected."
    hint = "Run z4j audit verify on the server, compare with a backup, and find out who had access to the data folder."
    return Notice("bad", f"{text} {hint}")


def _detail(text: str) -> str:
    return ", ".join(f"{name} {value}" for name, value in json.loads(text).items() if value not in ("", None))


async def audit_json(request: Request) -> Response:
    """GET /changes/audit.json: includes the code of each row, so that the chain can be verified elsewhere."""
    rows = await audit.list_audit(services(request).store, before=before_of(request), limit=PAGE)
    return export.to_json({"audit": [{**export.plain(row), "mac": row.mac.hex()} for row in rows]})


async def audit_csv(request: Request) -> Response:
    """GET /changes/audit.csv: the whole log."""
    store = services(request).store
    rows = export.each_of_pages(lambda before, limit: audit.list_audit(store, before=before, limit=limit), lambda row: int(row.seq), NEWEST)
    return await export.to_csv(request, "audit", AUDIT_COLUMNS, rows)
