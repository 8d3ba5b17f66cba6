# SPDX-License-Identifier: AGPL-3.0-or-later
"""What the pages before sign-in share: their frame, and how the session cookie is set."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from z4j.web.auth.authentication import COOKIE, SESSION_US
from z4j.web.auth.login_limits import BROWSER_COOKIE
from z4j.web.frame.render import Theme, see_other
from z4j.web.services import services

BROWSER_S = 365 * 24 * 3600


@dataclass(frozen=True, slots=True)
class AuthPage:
    """The context of the templates in `auth/`. `code` is the secret of the setup link or the ticket of the first
    step, `back` where to go afterwards."""

    theme: Theme
    title: str
    error: str = ""
    hint: str = ""
    name: str = ""
    code: str = ""
    back: str = ""
    is_usable: bool = True


def address_of(request: Request) -> str:
    """Returns the network address of a request."""
    return request.client.host if request.client else ""


def client_of(request: Request) -> str:
    """Returns the user agent of a request."""
    return request.headers.get("user-agent", "")[:200]


async def welcome(request: Request, cookie: str, path: str) -> Response:
    """Returns the redirect after a sign-in, with the session cookie."""
    response = see_other(path)
    is_secure = services(request).settings.behind_proxy or request.url.scheme == "https"
    response.set_cookie(COOKIE, cookie, max_age=SESSION_US // 1_000_000, httponly=True, samesite="lax", secure=is_secure)
    if known := await services(request).auth.browser_of(cookie, request.cookies.get(BROWSER_COOKIE)):
        response.set_cookie(BROWSER_COOKIE, known, max_age=BROWSER_S, httponly=True, samesite="lax", secure=is_secure)
    return response
