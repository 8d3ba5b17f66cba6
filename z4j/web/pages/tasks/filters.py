# SPDX-License-Identifier: AGPL-3.0-or-later
"""The filters of the task list: in the URL, as typed text, and for the store. Pure, but for `filters_of`.

A query has one form in the URL. What a parameter can say (one value of a field as it is, several states) is in that parameter, as it was
before there was a query language; everything else is in `q`, as text of the language. A URL may have all of it in `q`: it is taken apart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Final
from urllib.parse import quote_plus

from starlette.requests import Request

from z4j.exceptions import BadInput
from z4j.rules.queries.parse import WrongQuery, parse
from z4j.rules.queries.query import Query, Term, format_query
from z4j.rules.schedules.due_times import zone_of
from z4j.rules.tasks.states import STATES
from z4j.store.tasks.tasks import TaskFilter
from z4j.web.frame.times import reader_zone, when, with_offset

COLUMNS: Final[dict[str, str]] = {
    "place": "queue, worker", "env": "environment", "app": "app", "release": "release", "error": "exception", "label": "label",
    "enqueued": "enqueued", "started": "started", "waited": "waited", "ran": "ran", "updated": "updated",
}  # fmt: skip
"""Columns that a person can choose, in the order of the table, with their headings. State and task are always there."""
USUAL_COLUMNS: Final = ("place", "waited", "ran", "updated")
_PARAMETERS: Final = {
    "name": "name", "queue": "queue", "engine": "engine", "worker": "worker", "app": "app", "env": "environment", "since": "since",
    "until": "until", "id": "task_id", "label": "label", "error_group": "error_group",
}  # fmt: skip
"""Fields of the language that are a parameter of the URL when they are given once and alone."""
_FIELDS: Final = {parameter: name for name, parameter in _PARAMETERS.items()} | {"state": "state"}
KEPT: Final = 2_000
"""Filters and URLs that are kept: a list has the same few in each of its rows."""
_TIME_HINT: Final = "Use 15m, 24h, 7d, or a date like 2026-11-23 or 2026-11-23T05:15Z."


class UrlFilters:
    """Filters in the URL of a list: the fields of a dataclass in their order. App, environment and engine apply to every page."""

    __slots__ = ()
    app: str
    environment: str
    engine: str

    def pairs(self) -> list[tuple[str, str]]:
        """Returns (name, value) for a query string in a fixed order, so that equal filters have equal URLs."""
        names: tuple[str, ...] = self.__slots__
        values = [(name, getattr(self, name)) for name in names]
        return [(name, ",".join(value) if isinstance(value, tuple) else value) for name, value in values if value]

    def scope(self) -> Filters:
        """Returns only the filters that apply to every page."""
        return Filters(engine=self.engine, app=self.app, environment=self.environment)


@dataclass(frozen=True, slots=True)
class Filters(UrlFilters):
    """The filters as text. Times are stored as written (`1h`), so that a URL keeps its meaning. `q` is what the other fields cannot say."""

    state: tuple[str, ...] = ()
    name: str = ""
    queue: str = ""
    engine: str = ""
    worker: str = ""
    app: str = ""
    environment: str = ""
    since: str = ""
    until: str = ""
    task_id: str = ""
    label: str = ""
    error_group: str = ""
    q: str = ""
    columns: tuple[str, ...] = ()
    """Columns of the table; empty: the usual ones. They narrow nothing."""

    @property
    def is_any(self) -> bool:
        """Whether there is no filter."""
        return replace(self, columns=()) == Filters()

    def href(self, path: str = "/tasks", **more: str | int | None) -> str:
        """Returns a URL with these filters and `more` (a cursor)."""
        extra = tuple((name, str(value)) for name, value in more.items() if value is not None)
        return _href(self, path, extra)

    def but(self, **changes: str | tuple[str, ...]) -> Filters:
        """Returns these filters with `changes`. What `q` says about a changed field is dropped: a chosen value is no alternative to it."""
        return _changed(self, tuple(changes.items()))

    def ordered(self, order: str) -> Filters:
        """Returns these filters with another order of the result."""
        return replace(self, q=format_query(replace(parse(self.q), order=order)))

    def query(self) -> Query:
        """Returns the whole query. Raises WrongQuery."""
        terms = [Term("state", state) for state in self.state]
        terms += [Term(name, value) for name, parameter in _PARAMETERS.items() if (value := getattr(self, parameter))]
        rest = parse(self.q)
        return Query((*terms, *rest.terms), rest.order)

    def text(self) -> str:
        """Returns the text of the query box."""
        return format_query(self.query())

    def for_store(self, now: int) -> TaskFilter:
        """Returns the filter of the store; `1h` is an hour before `now`. Raises BadInput for a time that cannot be parsed, WrongQuery."""
        rest = parse(self.q)
        return TaskFilter(
            states=self.state, name=self.name, queue=self.queue, engine=self.engine, worker=self.worker, app=self.app,
            environment=self.environment, since=_time(self.since, now), until=_time(self.until, now), task_id=self.task_id,
            label=self.label, error_group=self.error_group, terms=rest.terms, order=rest.order,
        )  # fmt: skip


@lru_cache(KEPT)
def _quoted(text: str) -> str:
    return quote_plus(text, safe=",:*")


@lru_cache(KEPT)
def _href(filters: Filters, path: str, extra: tuple[tuple[str, str], ...]) -> str:
    query = "&".join([f"{_quoted(name)}={_quoted(value)}" for name, value in (*filters.pairs(), *extra)])
    return f"{path}?{query}" if query else path


@lru_cache(KEPT)
def _changed(filters: Filters, changes: tuple[tuple[str, Any], ...]) -> Filters:
    changed = dict(changes)
    names = {_FIELDS[parameter] for parameter in changed if parameter in _FIELDS}
    if filters.q and names and "q" not in changed:
        rest = parse(filters.q)
        kept = tuple(term for term in rest.terms if term.field not in names)
        changed["q"] = format_query(Query(kept, rest.order))
    return replace(filters, **changed)


def from_query(query: Mapping[str, str], states: Sequence[str]) -> Filters:
    """Parses a query string; `states` are all its `state` values, repeated or joined by commas. Raises BadInput, WrongQuery."""
    wanted = tuple(dict.fromkeys(part for value in states for part in value.split(",") if part))
    for state in wanted:
        if state not in STATES:
            raise BadInput(f"Unknown state “{state[:40]}”.", f"Use one of {', '.join(STATES)}.")
    values: dict[str, Any] = {parameter: query.get(parameter, "").strip()[:1_000] for parameter in _PARAMETERS.values()}
    given = Filters(wanted, columns=_columns(query.get("columns", "")), **values)
    text = query.get("q", "").strip()
    return _of(replace(given, q=text).query()).but(columns=given.columns) if text else given


def filters_of(request: Request) -> Filters:
    """Returns the filters in the URL of a request. A local time gets the offset of the reader's zone, so that a URL that is passed on
    means the same to all users. Raises BadInput, WrongQuery."""
    query = request.query_params
    return located(from_query({**query, "columns": ",".join(query.getlist("columns"))}, query.getlist("state")), reader_zone())


def located(filters: Filters, zone: str) -> Filters:
    """Returns the filters with the offset of a time zone at times that have none."""
    if not (filters.since or filters.until):
        return filters
    local = zone_of(zone)
    return replace(filters, since=with_offset(filters.since, local), until=with_offset(filters.until, local))


def from_text(text: str) -> Filters:
    """Parses typed text: `state:failed queue:emails since:1h`, see rules/queries/parse.py. Raises WrongQuery."""
    return _of(parse(text))


def _of(query: Query) -> Filters:
    """The one form of a query."""
    states = query.of("state")
    simple: dict[str, Any] = {}
    taken: list[Term] = []
    if not any(term.is_not for term in states):
        taken += states
    for name, parameter in _PARAMETERS.items():
        terms = query.of(name)
        if len(terms) == 1 and terms[0].is_exact:
            simple[parameter] = terms[0].value
            taken += terms
        elif len(terms) > 1 and name in ("since", "until", "id"):
            text = format_query(query)
            raise WrongQuery(f"“{name}:” is used twice.", "Remove one of them.", text, text.rindex(f"{name}:"), len(name) + 1)
    rest = Query(tuple(term for term in query.terms if term not in taken), query.order)
    return Filters(
        tuple(dict.fromkeys(term.value for term in states)) if states and states[0] in taken else (), **simple, q=format_query(rest)
    )


def _columns(text: str) -> tuple[str, ...]:
    wanted = tuple(dict.fromkeys(name for name in text.split(",") if name in COLUMNS))
    return () if wanted == USUAL_COLUMNS else tuple(name for name in COLUMNS if name in wanted)


def _time(text: str, now: int) -> int | None:
    if not text:
        return None
    try:
        return when(text, now)
    except (ValueError, OverflowError):
        raise BadInput(f"“{text[:40]}” is not a valid time.", _TIME_HINT) from None
