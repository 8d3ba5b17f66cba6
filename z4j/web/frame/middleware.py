# SPDX-License-Identifier: AGPL-3.0-or-later
"""The middleware around every endpoint. Pure ASGI, outermost first:

`RequestEnvelope` adds an ID, a time and security headers; `Guard` finds the route (none: 404), refuses cross-site changes, identifies the
person, checks the role, and sets the time zone in which the answer is written. No endpoint checks a role itself.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable
from typing import Any, Final
from urllib.parse import quote, urlsplit

from starlette.convertors import IntegerConvertor, register_url_convertor
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import compile_path
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from z4j import clock, logs
from z4j.exceptions import BadInput, NotAllowed, NotFound, Z4jError
from z4j.listener.connection_limits import admit
from z4j.operations.signed_links import without_code
from z4j.rate_limit import basic_password, bearer
from z4j.rules.addresses import is_loopback
from z4j.rules.permissions import METRICS, PACKAGES, is_allowed
from z4j.web.auth.authentication import COOKIE, NOBODY
from z4j.web.frame.times import reading_in, zone_for
from z4j.web.garbage_collection import BetweenRequests

CSP: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; font-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS: Final = {
    "content-security-policy": CSP,
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "x-robots-tag": "noindex, nofollow",
    "cross-origin-opener-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
}
BODY_LIMIT: Final = 4 * 1024 * 1024
STRANGER_LIMIT: Final = 64 * 1024
"""Bytes of a request without a known person: a name and a password."""
SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
HOW_TO_READ_PACKAGES: Final = (
    "Reading packages requires an index token as the password. Create one with `z4j token create --packages`, or under Settings, Apps.\n"
)
HOW_TO_READ_METRICS: Final = (
    "Reading metrics requires an API token (Authorization: Bearer). Create one with `z4j token create --api prometheus --role metrics`.\n"
)
_PROXIED: Final = ("x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip", "forwarded", "via")


class StoredId(IntegerConvertor):
    """`{id:int}` of a route: a number that the database can hold. No row has a longer one, so its URL is not found."""

    regex = "[0-9]{1,18}"


register_url_convertor("int", StoredId())


class RequestEnvelope:
    """Adds ID, time and security headers, and writes a line in the access log. `scope["came_at"]` is when the request arrived, before
    anything was read for it (microseconds UTC): changes while a page is rendered are newer."""

    def __init__(self, app: ASGIApp, is_https_only: Callable[[], bool] = lambda: False) -> None:
        self.app = app
        self.is_https_only = is_https_only
        self._collection = BetweenRequests()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request_id = secrets.token_hex(6)
        scope["request_id"] = request_id
        scope["came_at"] = clock.now()
        began = clock.ticks()
        status = 0
        is_stream = scope["path"] == "/events"  # it ends when its page does
        if not is_stream:
            self._collection.begin()

        async def send_on(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                headers["x-request-id"] = request_id
                if scope["scheme"] == "https" and self.is_https_only():
                    headers["strict-transport-security"] = "max-age=31536000"
                if not scope["path"].startswith("/static/"):
                    headers.setdefault("cache-control", "no-store")
            await send(message)

        try:
            await self.app(scope, receive, send_on)
        finally:
            path = scope["path"]
            if not is_stream:
                self._collection.end()
            if not path.startswith("/static/") and not is_stream:
                who = scope.get("identity", NOBODY).name or "-"
                logs.access(scope["method"], without_code(path), status, clock.ticks() - began, who, request_id)


class TooLarge(BadInput):
    """The body is longer than any endpoint accepts."""

    status = 413


def limit_body(receive: Receive, limit: int) -> Receive:
    """`receive`, but a body longer than `limit` bytes raises TooLarge."""
    total = 0

    async def receive_some() -> Message:
        nonlocal total
        message = await receive()
        total += len(message.get("body", b""))
        if total > limit:
            raise TooLarge(f"The request is longer than {limit:,} bytes. No changes were made.")
        return message

    return receive_some


class Guard:
    """Denies by default: only routes of the route table are served, and only to the roles that they require."""

    def __init__(self, app: ASGIApp, find: Callable[[str, str], str | None], answer_error: Any) -> None:
        """`find(method, path)` returns the role that a route requires, or None; `answer_error(connection, error)` returns a response."""
        self.app = app
        self.find = find
        self.answer_error = answer_error

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        connection = HTTPConnection(scope)
        try:
            response = await self._check(connection, scope)
        except Z4jError as error:
            response = await self.answer_error(connection, error)
        if response is not None:
            await response(scope, receive, send)
            return
        with reading_in(zone_for(connection)):
            await self.app(scope, limit_body(receive, BODY_LIMIT if scope["identity"].is_known else STRANGER_LIMIT), send)

    async def _check(self, connection: HTTPConnection, scope: Scope) -> Response | None:
        method, path = scope["method"], scope["path"]
        services = connection.app.state.services
        address = scope["client"][0] if scope.get("client") else ""
        header, needed = connection.headers.get("authorization"), self.find(method, path)
        token = bearer(header) or (basic_password(header) if needed == PACKAGES else "")
        if method not in SAFE:
            try:
                refuse_cross_site(connection.headers)
            except NotAllowed:  # the refusal is recorded with its author
                scope["identity"] = await services.auth.identify(connection.cookies.get(COOKIE), token, address)
                raise
        scope["identity"] = identity = NOBODY
        if needed == "public" and path.startswith(("/static/", "/healthz")):
            return None
        scope["identity"] = identity = await services.auth.identify(connection.cookies.get(COOKIE), token, address)
        if identity.is_known:
            admit(scope)
        if needed is None:
            raise NotFound("Page not found.", "The navigation lists all pages.")
        if is_allowed(identity.role, needed) or (needed == METRICS and services.settings.metrics == "loopback" and _is_local(connection)):
            return None
        if not identity.is_known:
            if needed == PACKAGES and (header or not _is_browser(connection)):
                return PlainTextResponse(HOW_TO_READ_PACKAGES, 401, headers={"www-authenticate": 'Basic realm="z4j packages"'})
            if needed == METRICS and not _is_browser(connection):
                return PlainTextResponse(HOW_TO_READ_METRICS, 401, headers={"www-authenticate": 'Bearer realm="z4j metrics"'})
            if token or path.startswith("/api/") or path.endswith((".json", ".csv")) or method not in SAFE:
                raise SignInNeeded("You are not signed in, or your session has ended. No changes were made.", "Sign in and try again.")
            asked = path + (f"?{scope['query_string'].decode('latin-1')}" if scope["query_string"] else "")
            return RedirectResponse("/login" if asked == "/" else f"/login?next={quote(asked, safe='')}", status_code=303)
        raise NotAllowed(
            f"Your role, {identity.role}, does not allow this; it requires {needed}. No changes were made.", "Ask an administrator."
        )


def _is_browser(connection: HTTPConnection) -> bool:
    """Whether a person asks, who can sign in; an installer accepts HTML, too, and needs the answer 401 to send its token."""
    accept = connection.headers.get("accept", "")
    return "text/html" in accept and "vnd.pypi" not in accept


def _is_local(connection: HTTPConnection) -> bool:
    """Whether a program on this host asks directly: not through a proxy, and not a browser that was sent here by a foreign host name."""
    settings, headers = connection.app.state.services.settings, connection.headers
    host = urlsplit(f"//{headers.get('host', '')}").hostname or ""
    return (
        not settings.behind_proxy
        and not any(name in headers for name in _PROXIED)
        and is_loopback(connection.scope["client"][0] if connection.scope.get("client") else "")
        and (host == "localhost" or is_loopback(host))
        and headers.get("sec-fetch-site", "none") in ("none", "same-origin")
    )


def role_finder(rows: Iterable[tuple[str, str, str]]) -> Callable[[str, str], str | None]:
    """Returns a function that finds the role of a request in (method, path, role) rows, None when none matches. HEAD counts as GET."""
    listed = list(rows)
    table = [(method, compile_path(path)[0], role) for method, path, role in listed]

    def search(method: str, path: str) -> str | None:
        return next((role for route_method, pattern, role in table if route_method == method and pattern.match(path)), None)

    known = {(method, path): search(method, path) for method, path, _ in listed if "{" not in path}

    def find(method: str, path: str) -> str | None:
        asked = "GET" if method == "HEAD" else method
        return known[asked, path] if (asked, path) in known else search(asked, path)

    return find


class SignInNeeded(NotAllowed):
    """The request has no known person."""

    status = 401


def refuse_cross_site(headers: Headers) -> None:
    """Only pages of this server, and clients that are not browsers, may make changes. Raises NotAllowed."""
    site = headers.get("sec-fetch-site")
    if site is not None:
        if site not in ("same-origin", "none"):
            raise NotAllowed("This request came from another site and was refused. No changes were made.")
        return
    origin = headers.get("origin")
    if origin is None:
        if headers.get("authorization"):
            return  # an API client: a browser does not send a bearer token on its own
        raise NotAllowed("This request has no Origin header and was refused. No changes were made.", "Send an Origin header.")
    try:
        is_here = urlsplit(origin).netloc == headers.get("host", "")
    except ValueError:  # brackets without an address
        is_here = False
    if not is_here:
        raise NotAllowed("This request came from another site and was refused. No changes were made.")
