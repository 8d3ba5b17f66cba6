# SPDX-License-Identifier: AGPL-3.0-or-later
"""GET /healthz: whether this process can read its database, and when each background duty ran and succeeded last.

The URL is public, so a cause is one word, and no path, message or number of tasks is included.
"""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from z4j import clock
from z4j.duty_loop import WHENEVER_S, Duty
from z4j.exceptions import StoreError
from z4j.formats import iso
from z4j.store.access.users import has_admin
from z4j.web.services import services


async def show(request: Request) -> Response:
    """200 with `ok`, or with `degraded` and the duties that fail; 503 where the database does not answer. JSON by Accept header."""
    server, cause = services(request), ""
    try:
        await has_admin(server.store)
    except StoreError as error:
        cause = error.cause
    unhealthy = server.duties.unhealthy
    why = server.retention.report.why_not_held
    status = "unavailable" if cause else "degraded" if unhealthy or why else "ok"
    code = 503 if cause else 200
    if "json" in request.headers.get("accept", ""):
        body: dict[str, Any] = {
            "status": status, "at": clock.now(), "database": cause or "ok", "retention": "behind" if why else "ok",
            "duties": [_plain(duty) for duty in server.duties.all()],
        }  # fmt: skip
        return JSONResponse(body, code)
    lines = [f"the database does not respond: {cause}"] if cause else [status]
    lines += [f"{duty.name}: {duty.state}{f', {duty.cause}' if duty.cause else ''}, last succeeded {_when(duty)}" for duty in unhealthy]
    lines += ["retention: limits exceeded"] if why else []
    return PlainTextResponse("\n".join(lines) + "\n", code)


def _plain(duty: Duty) -> dict[str, Any]:
    """Returns a duty for JSON; times are microseconds UTC."""
    return {
        "name": duty.name, "every_s": duty.every_s if duty.every_s < WHENEVER_S else None, "state": duty.state, "ran_at": duty.ran_at,
        "succeeded_at": duty.succeeded_at, "failing_since": duty.failing_since, "failures": duty.failures, "cause": duty.cause,
    }  # fmt: skip


def _when(duty: Duty) -> str:
    return iso(duty.succeeded_at) if duty.succeeded_at is not None else "never"
