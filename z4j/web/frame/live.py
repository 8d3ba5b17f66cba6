# SPDX-License-Identifier: AGPL-3.0-or-later
"""GET /events: server-sent events named after topics. They report that something changed, not what. `since` is when the page was
rendered: topics that changed since then are sent first."""

from __future__ import annotations

from collections.abc import AsyncIterator

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from z4j.rate_limit import bearer
from z4j.web.auth.authentication import COOKIE
from z4j.web.services import services

RETRY_MS = 2_000
STILL_HERE_S = 15


async def events(request: Request) -> Response:
    """Streams until the page is closed or the server stops."""
    server, since = services(request), request.query_params.get("since", "")
    cookie, token = request.cookies.get(COOKIE), bearer(request.headers.get("authorization"))

    async def stream() -> AsyncIterator[str]:
        yield f"retry: {RETRY_MS}\n\n"
        quiet = 0
        async for topics in server.live.subscribe(int(since) if since.isascii() and since.isdecimal() and len(since) < 19 else None):
            # At least once a second: a person who was disabled or signed out receives no further events.
            if not await server.auth.is_still_known(cookie, token):
                return
            quiet = 0 if topics else quiet + 1
            if quiet >= STILL_HERE_S:
                quiet = 0
                yield ": still here\n\n"
            for topic in sorted(topics):
                yield f"event: {topic}\ndata: changed\n\n"

    headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
    return StreamingResponse(stream(), media_type="text/event-stream", headers=headers)
