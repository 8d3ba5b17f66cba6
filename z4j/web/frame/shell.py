# SPDX-License-Identifier: AGPL-3.0-or-later
"""The shell around every page of a signed-in person: navigation, filter chips, status bar, user."""

from __future__ import annotations

from typing import Final

from starlette.requests import Request

from z4j import __version__, clock
from z4j.formats import HOUR, plural
from z4j.rules.permissions import is_allowed
from z4j.store.fleet import agents
from z4j.store.sqlite.db import Store
from z4j.store.tasks.counters import Counts, Facet, count_scopes
from z4j.store.tasks.minute_stats import StatusNumbers
from z4j.web.frame import status_bar
from z4j.web.frame.render import Choice, ChoiceGroup, RailItem, RailLink, Shell, notice_of, theme_of
from z4j.web.frame.times import reader_zone
from z4j.web.pages.tasks.filters import Filters
from z4j.web.services import Services, services

CHIPS: Final = {"environment": 5, "app": 5, "engine": 8}
"""Largest number of chips per filter; further values are in the query box and the facets."""
SCOPED: Final = ("now", "tasks", "errors", "queues", "workers", "schedules")
"""Sections whose pages can be narrowed to an environment, an app or an engine."""
AGENTS_US: Final = 3_000_000
RAIL: Final = (
    ("Now", "now", "/", "n", "viewer"),
    ("Tasks", "tasks", "/tasks", "t", "viewer"),
    ("Errors", "errors", "/errors", "e", "viewer"),
    ("Queues", "queues", "/queues", "q", "viewer"),
    ("Workers", "workers", "/workers", "w", "viewer"),
    ("Schedules", "schedules", "/schedules", "d", "viewer"),
    ("Alerts", "alerts", "/alerts", "a", "viewer"),
    ("Changes", "changes", "/changes", "c", "viewer"),
    ("Settings", "settings", "/settings", "s", "auditor"),
)


async def make_shell(request: Request, section: str, filters: Filters | None = None) -> Shell:
    """Returns the shell of one page. `section` is an icon of the rail; `filters` are all filters of the page, if it has any."""
    server, identity, now = services(request), request.scope["identity"], request.scope["came_at"]
    store = server.store
    mine = filters if filters is not None else status_bar.scope_of(request)
    scope = mine.scope()
    path = request.url.path
    is_scoped = section in SCOPED
    known, numbers, connected = await store.at_once(lambda: _read(services(request), scope, now, is_scoped=is_scoped))
    return Shell(
        now=now,
        theme=theme_of(request),
        path=f"{path}?{request.url.query}" if request.url.query else path,
        user=identity.name,
        role=identity.role,
        rail=tuple(
            RailItem(word, icon, scope.href(href) if icon in SCOPED else href, icon == section, key, _count(request, icon))
            for word, icon, href, key, role in RAIL
            if is_allowed(identity.role, role)
        ),
        chips=chips(known, mine, path) if is_scoped else (),
        strip=(*status_bar.cells(numbers, scope, now), *status_bar.alarms_of(request)),
        strip_href=scope.href("/strip"),
        agents=connected,
        version=__version__.partition("+")[0],
        notice=notice_of(request),
        zone=reader_zone(),
        unread=len(await server.news.unread(identity.name, identity.news_at)) if identity.user_id else 0,
        views=await _views(request, f"{path}?{request.url.query}"),
    )


async def _views(request: Request, here: str) -> tuple[RailLink, ...]:
    views = await services(request).sidebar_views.views_of(request.scope["identity"].user_id)
    return tuple(
        RailLink(view.name, view.href, view.href == here, f"{view.name}, shared by {view.owner}" if view.owner else view.name, view.count)
        for view in views
    )


async def _read(server: Services, scope: Filters, now: int, *, is_scoped: bool) -> tuple[Counts, StatusNumbers, str]:
    known = await count_scopes(server.store) if is_scoped else Counts()
    return known, await status_bar.read_numbers(server, scope, now), await _agents(server.store, now)


def _count(request: Request, section: str) -> int:
    """Number of critical findings, beside the entry of Now."""
    return sum(finding.level == "bad" for finding in services(request).findings.current) if section == "now" else 0


async def _agents(store: Store, now: int) -> str:
    """Returns the number of connected agents as text, read at most every few seconds for all pages. The status bar shows silent agents."""
    until, text = store.memo.get("agents", (0, ""))
    if clock.ticks() >= until:
        connected, seen = await agents.count_connected(store, since=now - HOUR)
        text = f"{plural(connected, 'agent')} connected" if connected else "no agents connected" if seen else "no agents in the last hour"
        store.memo["agents"] = (clock.ticks() + AGENTS_US, text)
    return str(text)


def chips(known: Counts, filters: Filters, path: str) -> tuple[ChoiceGroup, ...]:
    """Returns environment, app and engine as chips: a click selects one, a second click deselects it."""
    groups = (("environment", known.by_environment), ("app", known.by_app), ("engine", known.by_engine))
    return tuple(
        ChoiceGroup(title, tuple(_chip(filters, path, title, word) for word in _words(facet, getattr(filters, title), CHIPS[title])))
        for title, facet in groups
        if len(facet) > 1 or getattr(filters, title)
    )


def _words(facet: Facet, chosen: str, most: int) -> list[str]:
    words = [word for word, _ in facet if word]
    shown = sorted(words[:most])
    return shown if not chosen or chosen in shown else [*shown, chosen]


def _chip(filters: Filters, path: str, title: str, word: str) -> Choice:
    is_on = getattr(filters, title) == word
    return Choice(word, filters.but(**{title: "" if is_on else word}).href(path), is_on)
