# SPDX-License-Identifier: AGPL-3.0-or-later
"""GET /metrics: figures for Prometheus. Who may read it is decided by `--metrics`, see `Guard`."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from z4j.exceptions import NotFound
from z4j.web.services import services


async def show(request: Request) -> Response:
    """GET /metrics: in the format that the Accept header prefers."""
    server = services(request)
    if server.settings.metrics == "off":
        raise NotFound("Metrics are disabled.", "Start the server with --metrics loopback or --metrics token.")
    found = await server.metrics.expose(request.headers.get("accept", ""))
    return Response(found.body, headers={"content-type": found.media_type})
