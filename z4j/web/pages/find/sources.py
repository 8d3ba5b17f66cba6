# SPDX-License-Identifier: AGPL-3.0-or-later
"""The sources of search results, one for each kind. Each reads a list that is cached for some seconds, or a few rows by an index; none
reads all rows of a table."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import cache, partial
from typing import Final
from urllib.parse import quote, urlencode

from starlette.requests import Request

from z4j import clock
from z4j.duty_loop import WHENEVER_S
from z4j.rules.findings.finding import Scope, queue_href, worker_href
from z4j.rules.queries.search_ranking import EXACT, MOST, PART, PER_KIND, Candidate, Found, best, closest
from z4j.store.search import saved_views, searchable_names
from z4j.store.search.searchable_names import ErrorTitle, Place, ScheduleName
from z4j.store.sqlite.db import Store
from z4j.web.pages import documents
from z4j.web.pages.find.destinations import destinations_for, verbs_for
from z4j.web.services import services

KEPT_US: Final = 10_000_000
OLD_US: Final = 60_000_000
LEAST_ID: Final = 4
"""Minimum characters of a task ID."""
LONGEST: Final = 200
PER_VERB: Final = 4

Source = Callable[[Request, str], Awaitable[list[Candidate]]]


async def find(request: Request, query: str) -> list[Found]:
    """Returns the results for a text, the best first; pages and actions for an empty one."""
    query = " ".join(query.split())[:LONGEST]
    if not query:  # the palette was opened: a text follows
        _read_later(request)
        return [Found(each, PART) for each in destinations_for(request.scope["identity"].role)]
    found: list[Candidate] = []
    for source in SOURCES.values():
        found += await source(request, query)
    ranked = best(query, found)
    acts = [Found(each, EXACT) for each in await _acts(request, query)]
    return [*acts, *ranked][:MOST]


async def _destinations(request: Request, query: str) -> list[Candidate]:
    return destinations_for(request.scope["identity"].role)


async def _tasks(request: Request, query: str) -> list[Candidate]:
    if len(query) < LEAST_ID:
        return []
    tasks = await searchable_names.tasks_from(services(request).store, query, PER_KIND)
    return [Candidate("task", task.task_id, f"/tasks/{task.id}", f"{task.name} · {task.state} · {task.app}") for task in tasks]


async def _names(request: Request, query: str) -> list[Candidate]:
    known, store = await _known(request), services(request).store
    names = closest(query.lower(), known.names)
    if len(known.names) == searchable_names.MOST:
        names = list(dict.fromkeys([*names, *await searchable_names.names_from(store, query, PER_KIND)]))
    return [Candidate("name", name, f"/names/{quote(name, safe='')}") for name in names]


async def _queues(request: Request, query: str) -> list[Candidate]:
    found = closest(query.lower(), (await _known(request)).queues)
    return [Candidate("queue", each.name, queue_href(each.scope, each.name), _of(each.scope)) for each in found]


async def _workers(request: Request, query: str) -> list[Candidate]:
    found = closest(query.lower(), (await _known(request)).workers)
    return [Candidate("worker", each.name, worker_href(each.scope, each.name), _of(each.scope)) for each in found]


async def _schedules(request: Request, query: str) -> list[Candidate]:
    found = closest(query.lower(), (await _known(request)).schedules)
    places = [f"{each.task_name} · {_of(Scope(each.app, each.environment, each.scheduler))}" for each in found]
    return [
        Candidate("schedule", each.name, f"/schedules/{each.id}", place, each.task_name.lower())
        for each, place in zip(found, places, strict=True)
    ]


async def _errors(request: Request, query: str) -> list[Candidate]:
    found = closest(query.lower(), (await _known(request)).errors)
    return [Candidate("error", each.title, f"/errors/{each.id}", f"{each.state} · {each.app}") for each in found]


async def _releases(request: Request, query: str) -> list[Candidate]:
    found = closest(query.lower(), (await _known(request)).releases)
    return [Candidate("release", release, f"/releases/{quote(release, safe='')}") for release in found]


async def _findings(request: Request, query: str) -> list[Candidate]:
    found = services(request).findings.current
    return [Candidate("finding", each.title, "/", _of(each.scope), each.text.lower()) for each in found]


async def _views(request: Request, query: str) -> list[Candidate]:
    user_id = request.scope["identity"].user_id
    views = await saved_views.list_views(services(request).store, user_id)
    owners = ["" if view.user_id == user_id else f"by {view.owner}" for view in views]
    return [Candidate("view", view.name, f"/tasks?{view.query}", owner) for view, owner in zip(views, owners, strict=True)]


@cache
def _of_documents() -> list[Candidate]:
    known = documents.library()
    found = [Candidate("document", each.title, f"/docs/{each.name}") for each in known.values()]
    found += [Candidate("document", part.title, f"/docs/{each.name}#{part.anchor}", each.title)
              for each in known.values() for part in each.sections if part.anchor]  # fmt: skip
    return found


async def _documents(request: Request, query: str) -> list[Candidate]:
    return _of_documents()


SOURCES: Final[dict[str, Source]] = {
    "destination": _destinations,
    "task": _tasks,
    "name": _names,
    "queue": _queues,
    "worker": _workers,
    "schedule": _schedules,
    "error": _errors,
    "finding": _findings,
    "release": _releases,
    "view": _views,
    "document": _documents,
}


async def _acts(request: Request, query: str) -> list[Candidate]:
    """Returns actions on named items, each as a link to the page that has its form: `pause emails`."""
    acts = []
    for verb, rest in verbs_for(request.scope["identity"].role, query):
        for found in best(rest, await SOURCES[verb.kind](request, rest), PER_VERB):
            thing = found.candidate
            href = f"/tasks/run?{urlencode({'q': thing.text})}" if verb.kind == "name" else thing.href
            acts.append(Candidate("action", f"{verb.word.capitalize()} {verb.kind} {thing.text}…", href, thing.note))
    return acts[:PER_KIND]


def _of(scope: Scope) -> str:
    return " · ".join(part for part in (scope.engine, scope.app, scope.environment) if part)


@dataclass(frozen=True, slots=True)
class _Known:
    """Named items, each with its text in lower case; for a schedule also the name of its task."""

    names: list[tuple[str, str]]
    queues: list[tuple[str, Place]]
    workers: list[tuple[str, Place]]
    schedules: list[tuple[str, ScheduleName]]
    errors: list[tuple[str, ErrorTitle]]
    releases: list[tuple[str, str]]


async def _known(request: Request) -> _Known:
    """Returns the cached lists; they are refreshed in the background, and awaited only if they are old."""
    store = services(request).store
    until, known = store.memo.get("directory", (0, None))
    late = clock.ticks() - until
    if known is None or late >= OLD_US:
        known = await _read(store)
    elif late >= 0:
        _read_later(request)
    found: _Known = known
    return found


def _read_later(request: Request) -> None:
    server = services(request)
    _, task = server.store.memo.get("directory read", (0, None))
    if task is None or task.done():
        task = asyncio.create_task(server.duties.add("names of Find", WHENEVER_S).attempt(partial(_read, server.store)))
        server.store.memo["directory read"] = (0, task)  # asyncio keeps only weak references to tasks


async def _read(store: Store) -> _Known:
    read = await searchable_names.read_directory(store, clock.now() - clock.DAY_US)
    known = _Known(
        names=[(name.lower(), name) for name in read.names],
        queues=[(each.name.lower(), each) for each in read.queues],
        workers=[(each.name.lower(), each) for each in read.workers],
        schedules=[(f"{each.name} {each.task_name}".lower(), each) for each in read.schedules],
        errors=[(each.title.lower(), each) for each in read.errors],
        releases=[(release.lower(), release) for release in read.releases],
    )
    store.memo["directory"] = (clock.ticks() + KEPT_US, known)
    return known
