# SPDX-License-Identifier: AGPL-3.0-or-later
"""Saved views of the task list: a person's own, and those that others share; saving, renaming, sharing and deleting them.

Every signed-in user may store views. Sharing one, and changing one that another user shares, requires the roles in `MAY_SHARE` and
`MAY_CHANGE_OTHERS`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import Response

from z4j import clock
from z4j.exceptions import BadInput, NotAllowed, NotFound, WrongState, Z4jError
from z4j.rules.permissions import is_allowed
from z4j.store.search import saved_views
from z4j.store.search.saved_views import TaskView
from z4j.store.sqlite.db import Connection
from z4j.web.frame.forms import read_form
from z4j.web.frame.render import Notice, Shell, render, see_other
from z4j.web.frame.shell import make_shell
from z4j.web.frame.times import reader_zone
from z4j.web.pages.settings.access import record_action
from z4j.web.pages.tasks.filters import Filters, filters_of, from_query, located
from z4j.web.pages.tasks.sidebar_views import count_of, filters_of_view
from z4j.web.services import services

MAY_SHARE: Final = "operator"
MAY_CHANGE_OTHERS: Final = "admin"
MAX_NAME: Final = 60
PATH: Final = "/tasks/views"


@dataclass(frozen=True, slots=True)
class ViewLine:
    """A view as a row of its page. `count` is None where the counters do not know it."""

    id: int
    name: str
    owner: str
    text: str
    href: str
    count: int | None
    is_shared: bool
    may_change: bool


@dataclass(frozen=True, slots=True)
class ViewsPage:
    """The context of tasks/saved_views.html. `text` is the query that can be saved, `query` the same as in the URL."""

    shell: Shell
    lines: tuple[ViewLine, ...]
    text: str
    query: str
    back: str
    may_share: bool


async def views_page(request: Request) -> Response:
    """GET /tasks/views: every view, and a form that saves the query in the URL as another one."""
    filters, identity, store = filters_of(request), request.scope["identity"], services(request).store
    lines = []
    for view in await saved_views.list_views(store, identity.user_id):
        of_view = filters_of_view(view)
        owner, text = "" if view.user_id == identity.user_id else view.owner, of_view.text() if of_view else ""
        lines.append(
            ViewLine(
                view.id, view.name, owner, text, _href(of_view),
                await count_of(store, of_view), view.is_shared, _may_change(view, identity.user_id, identity.role),
            )
        )  # fmt: skip
    page = ViewsPage(
        await make_shell(request, "tasks", filters.scope()), tuple(lines), filters.text(), _query(filters), filters.href(),
        is_allowed(identity.role, MAY_SHARE),
    )  # fmt: skip
    return render(request, "tasks/saved_views.html", page)


def _href(filters: Filters | None) -> str:
    return filters.href() if filters else PATH


def _query(filters: Filters) -> str:
    return filters.href("").removeprefix("?")


def _may_change(view: TaskView, user_id: int, role: str) -> bool:
    return view.user_id == user_id or is_allowed(role, MAY_CHANGE_OTHERS)


async def create(request: Request) -> Response:
    """POST /tasks/views: saves a query under a name."""
    form, identity, at = await read_form(request), request.scope["identity"], clock.now()
    try:
        name, is_shared = _name(form), _shared(form, identity.role)
        query = {key: values[-1] for key, values in parse_qs(form.get("query", "")).items()}
        filters = located(from_query(query, [query.get("state", "")]), reader_zone())
        filters.for_store(at)
        if not identity.user_id:
            raise NotAllowed("Views belong to users, and this token has no owner. No changes were made.")
        await services(request).store.write(
            lambda db: saved_views.add_view(db, identity.user_id, name, _query(filters), at, is_shared=is_shared), durable=True
        )
    except Z4jError as error:
        return _refused(error)
    services(request).sidebar_views.changed()
    await record_action(request, "create_view", f"view:{name}", query=filters.text(), shared=is_shared)
    return see_other(filters.href(), Notice("good", f"View “{name}” was saved."))


async def change(request: Request) -> Response:
    """POST /tasks/views/{id}/change: renames it, and shares it or not."""
    form, identity, at = await read_form(request), request.scope["identity"], clock.now()

    def write(db: Connection) -> str:
        view = _own(db, request)
        saved_views.change_view(db, view, name, at, is_shared=is_shared)
        return view.name

    try:
        name, is_shared = _name(form), _shared(form, identity.role)
        before = await services(request).store.write(write, durable=True)
    except Z4jError as error:
        return _refused(error)
    services(request).sidebar_views.changed()
    await record_action(request, "change_view", f"view:{before}", name=name, shared=is_shared)
    return see_other(PATH, Notice("good", f"View “{name}” was changed."))


async def delete(request: Request) -> Response:
    """POST /tasks/views/{id}/delete."""

    def write(db: Connection) -> TaskView:
        view = _own(db, request)
        saved_views.delete_view(db, view.id)
        return view

    try:
        view = await services(request).store.write(write, durable=True)
    except Z4jError as error:
        return _refused(error)
    services(request).sidebar_views.changed()
    await record_action(request, "delete_view", f"view:{view.name}", query=view.query, shared=view.is_shared)
    return see_other(PATH, Notice("good", f"View “{view.name}” was deleted."))


def _own(db: Connection, request: Request) -> TaskView:
    identity = request.scope["identity"]
    view = saved_views.get_view(db, request.path_params["id"])
    if view is None or not (view.is_shared or view.user_id == identity.user_id):
        raise NotFound("This view does not exist. No changes were made.")
    if not _may_change(view, identity.user_id, identity.role):
        raise NotAllowed(f"This view belongs to {view.owner}. No changes were made.", "Save its query as a view of your own.")
    return view


def _name(form: dict[str, str]) -> str:
    name = form.get("name", "")
    if not name or len(name) > MAX_NAME or not name.isprintable():
        raise BadInput(f"A view needs a name of at most {MAX_NAME} characters. No changes were made.")
    return name


def _shared(form: dict[str, str], role: str) -> bool:
    is_shared = form.get("shared", "") == "yes"
    if is_shared and not is_allowed(role, MAY_SHARE):
        raise NotAllowed(f"Only an {MAY_SHARE} can share a view. No changes were made.")
    return is_shared


def _refused(error: Z4jError) -> Response:
    if isinstance(error, (BadInput, NotAllowed, NotFound, WrongState)):
        return see_other(PATH, Notice("bad", error.explanation))
    raise error
