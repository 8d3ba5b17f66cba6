# SPDX-License-Identifier: AGPL-3.0-or-later
"""The API of findings; /now.json returns the same."""

from __future__ import annotations

from typing import Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from z4j.web.api.endpoints import LISTED, Operation, answer
from z4j.web.pages.finding_items import FindingList, findings_of


async def findings(request: Request) -> Response:
    """GET /api/v1/findings."""
    return answer(msgspec.to_builtins(findings_of(request)))


OPERATIONS: Final = (
    Operation("GET", "/api/v1/findings", findings, "viewer", "Current findings, the most severe first.", FindingList, query=LISTED[:3]),
)
