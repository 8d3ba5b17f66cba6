# SPDX-License-Identifier: AGPL-3.0-or-later
"""Answers plain HTTP on the port of TLS: a person who asks for a page is redirected to `https://`, everything else is refused with the
reason.

A request that carries a credential is never redirected: it has been sent in clear text, and that must be seen, not hidden.
"""

from __future__ import annotations

import re
from typing import Final

from starlette.types import Receive, Scope, Send

from z4j import logs

PASSWORD_FORMS: Final = frozenset({b"/login", b"/login/code", b"/setup"})
CREDENTIALS: Final = frozenset({b"authorization", b"proxy-authorization"})
_OURS: Final = re.compile(rb"(?:^|;)\s*z4j_session=")
"""Cookies are not bound to a port: others on this host name are of other applications, and no reason to raise an alarm."""
_HOST: Final = re.compile(r"(?:[A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::\d{1,5})?\Z")
_SECRET_QUERY: Final = re.compile(rb"(?:^|&)(?:code|token)=", re.IGNORECASE)
EXPOSED: Final = (
    "This port requires TLS, and the request was not encrypted. It carried a credential, which anyone on the network could read: "
    "revoke it. Use https://, or a connection string that begins with z4j://.\n"
)
REFUSED: Final = (
    "This port requires TLS, and the request was not encrypted. Use https://, or a connection string that begins with z4j://.\n"
)


class PlainRequests:
    """ASGI: the answer to every request that came without TLS."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            raise RuntimeError(f"not an application of {scope['type']}")
        names = {name for name, _ in scope["headers"]}
        host = next((value.decode("latin-1") for name, value in scope["headers"] if name == b"host"), "")
        has_session = any(name == b"cookie" and _OURS.search(value) for name, value in scope["headers"])
        has_password = scope["type"] == "http" and scope["method"] == "POST" and scope["raw_path"].partition(b"?")[0] in PASSWORD_FORMS
        is_exposed = has_password or has_session or bool(names & CREDENTIALS) or bool(_SECRET_QUERY.search(scope["query_string"]))
        address = str((scope["client"] or ("-",))[0])
        if scope["type"] == "websocket":
            logs.plain_request(address, is_exposed=is_exposed)
            await receive()
            await _answer(send, "websocket.http.response", 400, EXPOSED if is_exposed else REFUSED, b"")
        elif scope["method"] in ("GET", "HEAD") and not is_exposed and _HOST.match(host):
            query = b"?" + scope["query_string"] if scope["query_string"] else b""
            path = scope["raw_path"].partition(b"?")[0]
            location = b"https://" + host.encode("ascii") + (path if path.startswith(b"/") else b"/") + query
            await _answer(send, "http.response", 308, "This server requires https://.\n", location)
        else:
            logs.plain_request(address, is_exposed=is_exposed)
            await _answer(send, "http.response", 400, EXPOSED if is_exposed else REFUSED, b"")


async def _answer(send: Send, kind: str, status: int, text: str, location: bytes) -> None:
    body = text.encode("ascii")
    headers = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", b"%d" % len(body)),
        (b"cache-control", b"no-store"),
        (b"connection", b"close"),
    ]
    if location:
        headers.append((b"location", location))
    await send({"type": f"{kind}.start", "status": status, "headers": headers})
    await send({"type": f"{kind}.body", "body": body})
