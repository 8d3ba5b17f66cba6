# SPDX-License-Identifier: AGPL-3.0-or-later
"""The link in a message, which acknowledges an alert without signing in. Opening it changes nothing: mail programs open links, too."""

from __future__ import annotations

from dataclasses import dataclass, replace

from starlette.requests import Request
from starlette.responses import Response

from z4j.exceptions import NotAllowed, WrongState, Z4jError
from z4j.web.auth.authentication import Identity
from z4j.web.frame.render import Theme, render, theme_of
from z4j.web.services import services

TITLE = "Acknowledge an alert"
LONGEST = 200


@dataclass(frozen=True, slots=True)
class AcknowledgePage:
    """The context of alerts/acknowledge.html. `is_done`: the alert is already acknowledged or resolved."""

    theme: Theme
    title: str
    alert: str = ""
    code: str = ""
    done: str = ""
    error: str = ""
    hint: str = ""


async def show(request: Request) -> Response:
    """GET /acknowledge/{code}."""
    try:
        page = await _page(request)
    except NotAllowed as error:
        return _refused(request, error)
    return render(request, "alerts/acknowledge.html", page)


async def confirm(request: Request) -> Response:
    """POST /acknowledge/{code}."""
    try:
        page = await _page(request)
        if not page.code:
            return render(request, "alerts/acknowledge.html", page, WrongState.status)
        stored = await services(request).alerts.alert_of_link(page.code)
        client = request.scope["client"][0] if request.scope.get("client") else ""
        await services(request).alerts.acknowledge(Identity("link in a message", "operator", "link", client), stored.id)
    except (NotAllowed, WrongState) as error:
        return _refused(request, error)
    return render(request, "alerts/acknowledge.html", replace(page, done="Acknowledged. No more reminders are sent."))


async def _page(request: Request) -> AcknowledgePage:
    code = request.path_params["code"][:LONGEST]
    stored = await services(request).alerts.alert_of_link(code)
    if stored.alert.resolved_at is not None:
        return AcknowledgePage(theme_of(request), TITLE, stored.title, done="This alert is resolved. There is nothing to do.")
    if stored.alert.acknowledged_at is not None:
        return AcknowledgePage(theme_of(request), TITLE, stored.title, done=f"Already acknowledged by {stored.alert.acknowledged_by}.")
    return AcknowledgePage(theme_of(request), TITLE, stored.title, code)


def _refused(request: Request, error: Z4jError) -> Response:
    page = AcknowledgePage(theme_of(request), TITLE, error=error.message, hint=error.hint)
    return render(request, "alerts/acknowledge.html", page, error.status)
