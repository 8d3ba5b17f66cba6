# SPDX-License-Identifier: AGPL-3.0-or-later
"""Settings, Links: URL templates that make links to other tools on the page of a task."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from z4j import clock
from z4j.exceptions import NotFound, Z4jError
from z4j.operations import audited_change
from z4j.rules.permissions import is_allowed
from z4j.rules.tasks.link_templates import NOTE, PLACEHOLDERS, LinkTemplate, checked
from z4j.store.annotations import link_templates
from z4j.store.sqlite.db import Connection
from z4j.web.frame.forms import read_form
from z4j.web.frame.render import Notice, Shell, render, see_other
from z4j.web.frame.shell import make_shell
from z4j.web.services import services

ACTION = "change_link"
PATH = "/settings/links"


@dataclass(frozen=True, slots=True)
class LinksPage:
    """The context of settings/link_templates.html."""

    shell: Shell
    tab: str
    may_change: bool
    days_kept: int
    gigabytes_kept: float
    links: tuple[LinkTemplate, ...]
    placeholders: tuple[str, ...] = (*(f"{{{name}}}" for name in PLACEHOLDERS), f"{{{NOTE}order}}")


async def links_page(request: Request) -> Response:
    """GET /settings/links."""
    server = services(request)
    page = LinksPage(
        shell=await make_shell(request, "settings"), tab="links", may_change=is_allowed(request.scope["identity"].role, "admin"),
        days_kept=server.settings.days_kept, gigabytes_kept=server.settings.gigabytes_kept,
        links=tuple(await link_templates.list_link_templates(server.store)),
    )  # fmt: skip
    return render(request, "settings/link_templates.html", page)


async def add_link(request: Request) -> Response:
    """POST /settings/links: a link and its audit row, together."""
    form = await read_form(request)
    try:
        template, at = checked(form.get("name", ""), form.get("url", "")), clock.now()
        await _change(request, "added", lambda db: link_templates.add_link_template(db, template, at))
    except Z4jError as error:
        return _refused(error)
    return see_other(
        PATH, Notice("good", f"{template.name} was added. The link is shown on the pages of tasks that have every value in its URL.")
    )


async def delete_link(request: Request) -> Response:
    """POST /settings/links/{id}/delete."""
    id = request.path_params["id"]
    try:
        link = await _change(request, "deleted", lambda db: link_templates.delete_link_template(db, id))
        if link is None:
            raise NotFound("This link does not exist. No changes were made.")
    except Z4jError as error:
        return _refused(error)
    return see_other(PATH, Notice("good", f"{link.name} was deleted."))


async def _change(request: Request, what: str, work: Callable[[Connection], LinkTemplate | None]) -> LinkTemplate | None:
    server, actor = services(request), request.scope["identity"]
    await audited_change.check_role(server.store, server.audit, actor, ACTION, "links")
    done = await audited_change.change(
        server.store, server.audit, actor, ACTION, lambda link: f"link:{link.name}", lambda link: {"url": link.url, "change": what}, work
    )
    server.live.changed(("changes", "tasks"))
    return done


def _refused(error: Z4jError) -> Response:
    return see_other(PATH, Notice("bad", error.explanation))
