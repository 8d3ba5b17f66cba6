# SPDX-License-Identifier: AGPL-3.0-or-later
"""POST /theme: system, light or dark, remembered in a cookie of this browser."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from z4j.exceptions import BadInput
from z4j.web.frame.forms import local_path, read_form
from z4j.web.frame.render import THEME_COOKIE, see_other

YEAR_S = 365 * 24 * 3600


async def choose(request: Request) -> Response:
    """Stores the theme and redirects back."""
    form = await read_form(request)
    theme = form.get("theme", "")
    if theme not in ("system", "light", "dark"):
        raise BadInput("Unknown theme. No changes were made.", "Choose system, light or dark.")
    response = see_other(local_path(form.get("back", "")))
    response.set_cookie(THEME_COOKIE, theme, max_age=YEAR_S, httponly=True, samesite="lax")
    return response
