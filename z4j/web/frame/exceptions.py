# SPDX-License-Identifier: AGPL-3.0-or-later
"""Turns an exception into a response: an HTML page, or RFC 9457 JSON for the API.

The message of an expected error (`Z4jError`) is shown. Any other error is logged with the ID of the request, and only that ID is shown.
"""

from __future__ import annotations

import http
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse, Response

from z4j import logs
from z4j.exceptions import Z4jError
from z4j.rules.queries.parse import WrongQuery


def wants_json(connection: HTTPConnection) -> bool:
    """Whether the answer is JSON: by path, then by the Accept header."""
    path = connection.scope["path"]
    if path.endswith(".json") or path.startswith("/api/"):
        return True
    return "text/html" not in connection.headers.get("accept", "*/*") and "json" in connection.headers.get("accept", "")


async def answer(connection: HTTPConnection, status: int, message: str, hint: str = "") -> Response:
    """Returns the answer for an error."""
    request_id = str(connection.scope.get("request_id", ""))
    connection.scope["refusal"] = message  # for the audit log, see `audit_trail`
    title = http.HTTPStatus(status).phrase
    if wants_json(connection):
        body: dict[str, Any] = {
            "type": "about:blank",
            "title": title,
            "status": status,
            "detail": message,
            "hint": hint,
            "request": request_id,
        }
        return JSONResponse(body, status, media_type="application/problem+json")
    from z4j.web.frame.render import error_page

    return await error_page(connection, status, title, message, hint, request_id)


async def on_expected(connection: HTTPConnection, error: Exception) -> Response:
    """Answers a `Z4jError`."""
    assert isinstance(error, Z4jError)
    if isinstance(error, WrongQuery):
        return await answer(connection, error.status, error.located, error.hint)
    return await answer(connection, error.status, error.message, error.hint)


async def on_http(request: Request, error: Exception) -> Response:
    """Answers an error of Starlette: no route, method not allowed."""
    assert isinstance(error, HTTPException)
    messages = {404: "Page not found.", 405: "This URL does not accept this method."}
    return await answer(request, error.status_code, messages.get(error.status_code, str(error.detail)))


async def on_unexpected(request: Request, error: Exception) -> Response:
    """Answers an unexpected error with a generic message and the ID of the request; details are in the log."""
    logs.unexpected(str(request.scope.get("request_id", "")), request.url.path, error)
    return await answer(
        request,
        500,
        "Unexpected error in z4j. This request was not completed.",
        "The server's log has the details under the request ID below.",
    )
