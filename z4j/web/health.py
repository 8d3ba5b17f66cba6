# SPDX-License-Identifier: AGPL-3.0-or-later
"""GET /healthz: whether this process can read its database. Says nothing else to strangers."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from z4j.exceptions import StoreError
from z4j.store.users import has_admin
from z4j.web.services import services


async def show(request: Request) -> Response:
    """200 `ok`, or 503 when the database does not answer."""
    try:
        await has_admin(services(request).store)
    except StoreError:
        return PlainTextResponse("the database does not answer\n", 503)
    return PlainTextResponse("ok\n")
