# SPDX-License-Identifier: AGPL-3.0-or-later
"""POST /demo/reset: ends this round of a demo. The next one begins with the same seed, and signs the visitor in by a link."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import Response

from z4j.exceptions import NotFound
from z4j.web.frame.render import Theme, render, theme_of
from z4j.web.services import services


@dataclass(frozen=True, slots=True)
class ResetPage:
    """The context of demo/reset.html. `href` is the link of the next round; `error` and `hint` are those of the frame."""

    theme: Theme
    href: str
    title: str = "Resetting the demo"
    error: str = ""
    hint: str = ""


async def reset(request: Request) -> Response:
    """Requests the reset; the server ends after the response. Raises NotFound on a real server."""
    demo = services(request).demo
    if demo is None:
        raise NotFound("This server does not run a demo. No changes were made.")
    href = f"/login?code={demo.request_reset()}"
    response = render(request, "demo/reset.html", ResetPage(theme_of(request), href))
    response.headers["Refresh"] = f"2; url={href}"
    response.headers["Connection"] = "close"  # the next request must not reach the server that ends
    response.background = BackgroundTask(demo.stop)
    return response
