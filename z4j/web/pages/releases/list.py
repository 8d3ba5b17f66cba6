# SPDX-License-Identifier: AGPL-3.0-or-later
"""Changes, Releases: newest first."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote, urlencode

from starlette.requests import Request
from starlette.responses import Response

from z4j import clock
from z4j.exceptions import BadInput, NotFound
from z4j.operations.releases import mark_release
from z4j.rules.permissions import is_allowed, may_act
from z4j.store.fleet import apps
from z4j.store.releases import release_runs
from z4j.store.releases.release_runs import PAGE, Release
from z4j.web.frame import export
from z4j.web.frame.forms import read_form
from z4j.web.frame.paging import before_of
from z4j.web.frame.render import Notice, Shell, render, see_other
from z4j.web.frame.shell import make_shell
from z4j.web.services import services


@dataclass(frozen=True, slots=True)
class ReleaseLine:
    """A release as one row."""

    release: Release
    href: str


@dataclass(frozen=True, slots=True)
class ReleasesPage:
    """The context of releases/list.html."""

    shell: Shell
    lines: tuple[ReleaseLine, ...]
    apps: tuple[str, ...]
    older_href: str
    may_audit: bool
    may_mark: bool


def href_of(release: Release) -> str:
    """Returns the URL of the page of a release."""
    query = {name: value for name, value in (("app", release.app), ("environment", release.environment)) if value}
    return f"/releases/{quote(release.release, safe='')}?{urlencode(query)}"


async def list_page(request: Request) -> Response:
    """GET /releases."""
    store, role = services(request).store, request.scope["identity"].role
    rows = await release_runs.list_releases(store, before_of(request))
    page = ReleasesPage(
        shell=await make_shell(request, "changes"), lines=tuple(ReleaseLine(row, href_of(row)) for row in rows),
        apps=tuple(row.name for row in await apps.list_apps(store)),
        older_href=f"/releases?before={rows[-1].first_at}" if len(rows) == PAGE else "", may_audit=is_allowed(role, "auditor"),
        may_mark=may_act(role, "mark_release"),
    )  # fmt: skip
    return render(request, "releases/list.html", page)


def plain(release: Release) -> dict[str, object]:
    """Returns a release as JSON data."""
    return {"app": release.app, "environment": release.environment, "release": release.release, "first_at": release.first_at}


async def list_json(request: Request) -> Response:
    """GET /releases.json and GET /api/v1/releases: `before` is the first_at of the last row of the previous page."""
    rows = await release_runs.list_releases(services(request).store, before_of(request))
    return export.to_json({"releases": [plain(row) for row in rows], "before": rows[-1].first_at if len(rows) == PAGE else None})


async def mark(request: Request) -> Response:
    """POST /releases: marks a release that no agent reports, as of now."""
    server, form = services(request), await read_form(request)
    try:
        await mark_release(
            server.store, server.audit, server.live, request.scope["identity"], release=form.get("release", ""), app=form.get("app", ""),
            environment=form.get("environment", ""), at=clock.now(),
        )  # fmt: skip
    except (BadInput, NotFound) as error:
        return see_other("/releases", Notice("bad", error.explanation))
    return see_other("/releases", Notice("good", f"Release {form['release']} is now marked on every chart."))
