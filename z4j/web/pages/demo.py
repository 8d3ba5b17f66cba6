# SPDX-License-Identifier: AGPL-3.0-or-later
"""GET /demo: what goes wrong in a demo, and what of it is found now. POST /demo/reset: ends this round of a demo. The next one begins
with the same seed, and signs the visitor in by a link."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import Response

from z4j.appliance.demo_faults import FAULTS, NOT_SHOWN, DemoFault
from z4j.exceptions import NotFound
from z4j.rules.findings.finding import Finding
from z4j.web.frame.render import Shell, Theme, render, theme_of
from z4j.web.frame.shell import make_shell
from z4j.web.pages.finding_items import FindingAction, action_of
from z4j.web.services import services


@dataclass(frozen=True, slots=True)
class ResetPage:
    """The context of demo/reset.html. `href` is the link of the next round; `error` and `hint` are those of the frame."""

    theme: Theme
    href: str
    title: str = "Resetting the demo"
    error: str = ""
    hint: str = ""


@dataclass(frozen=True, slots=True)
class FaultLine:
    """A fault with the findings that show it now."""

    fault: DemoFault
    found: tuple[tuple[Finding, FindingAction | None], ...]


@dataclass(frozen=True, slots=True)
class FaultsPage:
    """The context of demo/faults.html."""

    shell: Shell
    lines: tuple[FaultLine, ...]
    found: int
    not_shown: tuple[DemoFault, ...]


async def page(request: Request) -> Response:
    """GET /demo. Raises NotFound on a real server."""
    server = services(request)
    if server.demo is None:
        raise NotFound("This server does not run a demo.")
    current = [*server.findings.current, *(finding for finding, _ in server.findings.muted)]
    lines = tuple(
        FaultLine(fault, tuple((each, action_of(request, each.action)) for each in current if each.kind == fault.kind)) for fault in FAULTS
    )
    context = FaultsPage(await make_shell(request, "now"), lines, sum(bool(line.found) for line in lines), NOT_SHOWN)
    return render(request, "demo/faults.html", context)


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
