# SPDX-License-Identifier: AGPL-3.0-or-later
"""Signing in and out. A wrong password is answered on the same page, with the name kept."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from z4j.exceptions import NotAllowed, StoreError, TooMany
from z4j.web.auth import COOKIE, CodeNeeded, TicketOver
from z4j.web.forms import local_path, read_form
from z4j.web.gate import GatePage, address_of, client_of, welcome
from z4j.web.render import render, see_other, theme_of
from z4j.web.services import services

CODE = "Enter your code"


async def show(request: Request) -> Response:
    """GET /login, or with `code` the one-time link that `z4j dev` and `z4j user link` print."""
    code = request.query_params.get("code", "")
    if code:
        try:
            cookie = await services(request).auth.use_login_link(code[:200], address_of(request), client_of(request))
        except NotAllowed as error:
            page = GatePage(theme_of(request), "Sign in", error.message, error.hint)
            return render(request, "login.html", page, error.status)
        return welcome(request, cookie, "/tasks")
    back = local_path(request.query_params.get("next", ""))
    if request.scope["identity"].kind == "session":
        return see_other(back)
    return render(request, "login.html", GatePage(theme_of(request), "Sign in", back=back))


async def sign_in(request: Request) -> Response:
    """POST /login."""
    form = await read_form(request)
    name, back = form.get("name", ""), local_path(form.get("back", ""))
    auth = services(request).auth
    try:
        cookie = await auth.sign_in(name, form.get("password", ""), address_of(request), client_of(request))
    except CodeNeeded as needed:
        return render(request, "login_code.html", GatePage(theme_of(request), CODE, code=needed.ticket, back=back))
    except (NotAllowed, TooMany) as error:
        page = GatePage(theme_of(request), "Sign in", error.message, error.hint, name=name, back=back)
        return render(request, "login.html", page, error.status)
    return welcome(request, cookie, back)


async def check_code(request: Request) -> Response:
    """POST /login/code: the second step, with the ticket of the first."""
    form = await read_form(request)
    ticket, back = form.get("ticket", ""), local_path(form.get("back", ""))
    auth = services(request).auth
    try:
        cookie = await auth.sign_in_with_code(ticket, form.get("code", ""), address_of(request), client_of(request))
    except TicketOver as error:
        page = GatePage(theme_of(request), "Sign in", error.message, error.hint, back=back)
        return render(request, "login.html", page, error.status)
    except (NotAllowed, TooMany, StoreError) as error:
        page = GatePage(theme_of(request), CODE, error.message, error.hint, code=ticket, back=back)
        return render(request, "login_code.html", page, error.status)
    return welcome(request, cookie, back)


async def sign_out(request: Request) -> Response:
    """POST /logout: the session ends on the server too."""
    await services(request).auth.sign_out(request.cookies.get(COOKIE), request.scope["identity"])
    response = see_other("/login")
    response.delete_cookie(COOKIE, httponly=True, samesite="lax")
    return response
