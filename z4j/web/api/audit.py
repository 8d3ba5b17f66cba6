# SPDX-License-Identifier: AGPL-3.0-or-later
"""The API of the audit log."""

from __future__ import annotations

from typing import Final

from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from z4j.store.access import audit
from z4j.web.api.endpoints import PAGE, Operation, answer
from z4j.web.api.plans import BEFORE
from z4j.web.frame import export
from z4j.web.frame.paging import before_of
from z4j.web.services import services


class AuditItem(Struct):
    """One action. `at` is microseconds UTC; `outcome` is done, refused or failed; `detail` is JSON text, `mac` hexadecimal."""

    seq: int
    at: int
    actor: str
    role: str
    action: str
    target: str
    outcome: str
    detail: str
    address: str
    key_id: str
    mac: str


class AuditRows(Struct):
    """Newest first, each with its code of the chain; `before` is the cursor of the next page."""

    audit: list[AuditItem]
    before: int | None


async def audit_rows(request: Request) -> Response:
    """GET /api/v1/audit."""
    rows = await audit.list_audit(services(request).store, before=before_of(request), limit=PAGE)
    entries = [{**export.plain(row), "mac": row.mac.hex()} for row in rows]
    return answer({"audit": entries, "before": rows[-1].seq if len(rows) == PAGE else None})


OPERATIONS: Final = (
    Operation("GET", "/api/v1/audit", audit_rows, "auditor", "The audit log, newest first.", AuditRows, query=BEFORE),
)  # fmt: skip
