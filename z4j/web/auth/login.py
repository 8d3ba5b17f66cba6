# SPDX-License-Identifier: AGPL-3.0-or-later
"""Sign-in and sign-out. After a wrong password the same page is shown again, with the name filled in."""

from __future__ import annotations

import asyncio
from functools import cache

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from z4j.exceptions import NotAllowed, StoreError, TooMany
from z4j.listener.connection_limits import refuse_late
from z4j.rate_limit import spread
from z4j.web.auth import authentication as rules
from z4j.web.auth.auth_pages import AuthPage, address_of, client_of, welcome
from z4j.web.auth.authentication import COOKIE, CodeNeeded, TicketOver
from z4j.web.auth.login_limits import BROWSER_COOKIE, REFUSED_S, too_many
from z4j.web.frame.forms import local_path, read_form
from z4j.web.frame.render import Theme, is_of_demo, render, see_other, theme_of, to_html
from z4j.web.services import services

CODE = "Enter your code"


async def show(request: Request) -> Response:
    """GET /login, or with `code` the one-time link that `z4j dev` and `z4j user link` print."""
    code = request.query_params.get("code", "")
    if code and request.method == "GET":  # HEAD requests come from programs that preview links
        try:
            cookie = await services(request).auth.use_login_link(code[:200], address_of(request), client_of(request))
        except NotAllowed as error:
            page = AuthPage(theme_of(request), "Sign in", error.message, error.hint)
            return render(request, "auth/login.html", page, error.status)
        return await welcome(request, cookie, "/tasks")
    back = local_path(request.query_params.get("next", ""))
    if request.scope["identity"].kind == "session":
        return see_other(back)
    return render(request, "auth/login.html", AuthPage(theme_of(request), "Sign in", back=back))


async def sign_in(request: Request) -> Response:
    """POST /login. Over the limit the request is not read."""
    auth, browser = services(request).auth, request.cookies.get(BROWSER_COOKIE)
    if auth.limits.is_over(browser, address_of(request)):
        return await refuse_slowly(request)
    form = await read_form(request)
    name, back = form.get("name", ""), local_path(form.get("back", ""))
    try:
        cookie = await auth.sign_in(name, form.get("password", ""), address_of(request), client_of(request), browser)
    except CodeNeeded as needed:
        return render(request, "auth/totp.html", AuthPage(theme_of(request), CODE, code=needed.ticket, back=back))
    except (NotAllowed, TooMany) as error:
        page = AuthPage(theme_of(request), "Sign in", error.message, error.hint, name=name, back=back)
        return render(request, "auth/login.html", page, error.status)
    return await welcome(request, cookie, back)


async def refuse_slowly(request: Request) -> Response:
    """Too many failed attempts. The page is rendered once per theme, so that a client that tries in a loop costs little."""
    refuse_late(request.scope)
    await asyncio.sleep(spread(min(REFUSED_S, rules.FLOOR_S * 4)))
    error = too_many()
    return HTMLResponse(_refused_page(theme_of(request), is_demo=is_of_demo(request)), error.status, headers={"Cache-Control": "no-store"})


@cache
def _refused_page(theme: Theme, *, is_demo: bool) -> str:
    error = too_many()
    return to_html("auth/login.html", AuthPage(theme, "Sign in", error.message, error.hint), is_demo=is_demo)


async def check_code(request: Request) -> Response:
    """POST /login/code: the code, with the ticket of the first step."""
    form = await read_form(request)
    ticket, back = form.get("ticket", ""), local_path(form.get("back", ""))
    auth = services(request).auth
    try:
        browser = request.cookies.get(BROWSER_COOKIE)
        cookie = await auth.sign_in_with_code(ticket, form.get("code", ""), address_of(request), client_of(request), browser)
    except TicketOver as error:
        page = AuthPage(theme_of(request), "Sign in", error.message, error.hint, back=back)
        return render(request, "auth/login.html", page, error.status)
    except (NotAllowed, TooMany, StoreError) as error:
        page = AuthPage(theme_of(request), CODE, error.message, error.hint, code=ticket, back=back)
        return render(request, "auth/totp.html", page, error.status)
    return await welcome(request, cookie, back)


async def sign_out(request: Request) -> Response:
    """POST /logout: ends the session on the server too."""
    await services(request).auth.sign_out(request.cookies.get(COOKIE), request.scope["identity"])
    response = see_other("/login")
    response.delete_cookie(COOKIE, httponly=True, samesite="lax")
    return response
