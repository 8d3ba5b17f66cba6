# SPDX-License-Identifier: AGPL-3.0-or-later
"""Completes the query box: fields, and values by their use. The page has those for an empty word, htmx gets more while a person types."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from z4j.exceptions import BadInput
from z4j.formats import plural
from z4j.rules.queries.completion import Completion, LastWord, fields_for, fixed_values, last_word, values_for
from z4j.rules.queries.parse import MAX_LENGTH
from z4j.store.search import known_values
from z4j.store.sqlite.db import Store
from z4j.store.tasks.counters import count_tasks
from z4j.web.frame.render import respond, to_html
from z4j.web.pages.tasks.filters import Filters, from_text
from z4j.web.services import services

SHOWN: Final = 20
_FACETS: Final = {
    "state": "by_state",
    "name": "by_name",
    "queue": "by_queue",
    "engine": "by_engine",
    "env": "by_environment",
    "app": "by_app",
}


@dataclass(frozen=True, slots=True)
class Completions:
    """The context of tasks/_completions.html."""

    completions: tuple[Completion, ...]


async def complete(request: Request) -> Response:
    """GET /tasks/complete: the options of the query box for the text `q`."""
    found = await completions_of(services(request).store, request.query_params.get("q", "")[:MAX_LENGTH])
    return respond(request, to_html("tasks/_completions.html", Completions(found)))


async def completions_of(store: Store, text: str) -> tuple[Completion, ...]:
    """Returns what the last word of a text may become, the most used first."""
    word = last_word(text)
    if word is None:
        return ()
    if not word.field:
        return tuple(fields_for(word)[:SHOWN])
    return tuple(values_for(word, await _values(store, word))[:SHOWN])


async def _values(store: Store, word: LastWord) -> list[tuple[str, str]]:
    if word.field == "error_group":
        return await known_values.list_errors(store, word.partial, SHOWN)
    facet = _FACETS.get(word.field)
    if facet is None:
        return [(value, "") for value in fixed_values(word.field) or await known_values.list_values(store, word.field, word.partial, SHOWN)]
    counts = await count_tasks(store, _before(word).for_store(0))
    counted: list[tuple[str, int]] = getattr(counts, facet) if counts else []
    values = [(value, plural(count, "task")) for value, count in counted if value]
    return values or [(value, "") for value in fixed_values(word.field)]


def _before(word: LastWord) -> Filters:
    """The part of the query that the counters know, without the word: the values are those under the other conditions."""
    try:
        filters = from_text(word.head.rpartition(" ")[0])
    except BadInput:
        return Filters()
    return Filters(
        state=filters.state, name=filters.name, queue=filters.queue, engine=filters.engine, app=filters.app, environment=filters.environment
    )
