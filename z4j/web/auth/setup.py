# SPDX-License-Identifier: AGPL-3.0-or-later
"""The first start: the printed link creates the first administrator, once."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from z4j.exceptions import BadInput, NotAllowed
from z4j.web.auth.auth_pages import AuthPage, address_of, client_of, welcome
from z4j.web.frame.forms import read_form
from z4j.web.frame.render import render, theme_of
from z4j.web.services import services

TITLE = "Create the first administrator"
USED_UP = "This setup link has expired or was already used. No changes were made."
AGAIN = "Restart the server to get a new link. It prints one while there is no administrator."


async def show(request: Request) -> Response:
    """GET /setup?code=…"""
    code = request.query_params.get("code", "")[:200]
    if not await services(request).auth.is_setup_link(code):
        page = AuthPage(theme_of(request), TITLE, USED_UP, AGAIN, is_usable=False)
        return render(request, "auth/setup.html", page, NotAllowed.status)
    return render(request, "auth/setup.html", AuthPage(theme_of(request), TITLE, code=code))


async def create(request: Request) -> Response:
    """POST /setup."""
    form = await read_form(request)
    code, name = form.get("code", "")[:200], form.get("name", "")
    try:
        cookie = await services(request).auth.create_first_admin(
            code, name, form.get("password", ""), address_of(request), client_of(request)
        )
    except BadInput as error:
        page = AuthPage(theme_of(request), TITLE, error.message, error.hint, name=name, code=code)
        return render(request, "auth/setup.html", page, error.status)
    except NotAllowed as error:
        page = AuthPage(theme_of(request), TITLE, error.message, error.hint, is_usable=False)
        return render(request, "auth/setup.html", page, error.status)
    return await welcome(request, cookie, "/settings/apps")
