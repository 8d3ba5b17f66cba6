# SPDX-License-Identifier: AGPL-3.0-or-later
"""Resolves the conditions of a query: names become ids, comparisons bounds, texts patterns. They are the parameters of tasks.sql."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from z4j import clock
from z4j.exceptions import BadInput
from z4j.rules.queries.fields import count_of, is_group, span_us
from z4j.rules.queries.query import Term
from z4j.rules.tasks.states import STATES
from z4j.store.names import names
from z4j.store.sqlite import sql
from z4j.store.sqlite.db import Store

SQL = sql.load("search/conditions")

ANY: Final = -1
ALL_STATES: Final = sum(1 << code for code in STATES.values())
LONGEST: Final = 1 << 62
NONE: Final = "[]"
MAX_NAMES: Final = 2_000
"""Names that one condition may match."""
KINDS: Final = {
    "name": "name", "queue": "queue", "engine": "engine", "worker": "worker", "env": "environment", "release": "release", "app": "app",
}  # fmt: skip
"""Fields whose values are stored as ids, with what the parameters call them."""
COUNTED: Final = ("name", "queue", "engine", "environment", "app")
"""Those that the counters have; states are counted too."""
TEXT_FIELDS: Final = ("words", "args", "note", "trace")
"""Those that the index of words finds."""
TEXTS: Final = ("error", "label", "route", "caller")

Params = dict[str, Any]


@dataclass(frozen=True, slots=True)
class TaskFilter:
    """What a list of tasks is narrowed to; empty means any. Times are microseconds UTC of `first_at`, until excluded. `terms` are further
    conditions; those of a field that is also given alone are alternatives to it. `order` is one of rules/queries/fields.ORDERS."""

    states: tuple[str, ...] = ()
    name: str = ""
    queue: str = ""
    engine: str = ""
    worker: str = ""
    app: str = ""
    environment: str = ""
    since: int | None = None
    until: int | None = None
    task_id: str = ""
    label: str = ""
    error_group: str = ""
    terms: tuple[Term, ...] = ()
    order: str = "first"

    def all_terms(self) -> list[Term]:
        """Returns every condition but times and the task id as a term."""
        alone = {
            "name": self.name, "queue": self.queue, "engine": self.engine, "worker": self.worker, "app": self.app, "env": self.environment,
            "label": self.label, "error_group": self.error_group,
        }  # fmt: skip
        states = [Term("state", state) for state in self.states]
        return [*states, *(Term(field, value) for field, value in alone.items() if value), *self.terms]

    def counted_states(self) -> set[str]:
        """Returns the states that match. Raises BadInput for an unknown one."""
        mask = _states([term for term in self.all_terms() if term.field == "state"])
        return {state for state, code in STATES.items() if mask >> code & 1}

    def texts(self) -> list[Term]:
        """Returns the conditions that are about words, arguments and annotations."""
        return [term for term in self.terms if term.field in TEXT_FIELDS]

    @property
    def is_counted(self) -> bool:
        """Whether the counters know how many tasks match."""
        is_open = self.task_id or self.label or self.worker or self.error_group or self.since is not None or self.until is not None
        return not is_open and all(term.field == "state" or KINDS.get(term.field) in COUNTED for term in self.terms)


async def resolve(store: Store, f: TaskFilter) -> Params | None:
    """Returns the conditions as parameters for SQL; None if they name something that no task has. Raises BadInput."""
    by_field: dict[str, list[Term]] = {}
    for term in f.all_terms():
        by_field.setdefault(term.field, []).append(term)
    params: Params = {
        "states": _states(by_field.get("state", [])),
        "now": clock.now(),
        "order": f.order,
        "since": f.since,
        "until": f.until,
    }
    for field, kind in KINDS.items():
        ids, is_in = await _ids(store, field, by_field.get(field, []))
        if is_in and ids == []:
            return None
        params[f"{kind}_ids"] = None if ids is None else json.dumps(ids)
        params[f"{kind}_in"] = int(is_in)
        # The one id there is, which costs less to compare; other queries know one of each only.
        params[f"{kind}_id"] = ids[0] if is_in and ids is not None and len(ids) == 1 else ANY
    for field in TEXTS:
        terms = by_field.get(field, [])
        params[f"{field}s"] = _patterns(field, [term for term in terms if not term.is_not])
        params[f"not_{field}s"] = _patterns(field, [term for term in terms if term.is_not])
    labels = [term for term in by_field.get("label", ()) if not term.is_not]
    params["label"] = labels[0].value if len(labels) == 1 and labels[0].is_exact else ""
    groups = by_field.get("error_group", [])
    params["error_groups"], params["fingerprints"] = await _error_groups(store, [term for term in groups if not term.is_not])
    params["not_error_groups"], _ = await _error_groups(store, [term for term in groups if term.is_not])
    if params["error_groups"] == NONE:
        return None
    for field in ("waited", "ran", "attempt"):
        terms = by_field.get(field, [])
        low, high = _bounds(terms)
        params[f"{field}_min"], params[f"{field}_max"] = low if terms or field == "attempt" else None, high
    known = {term.value for term in by_field.get("enqueued", ())}
    params["enqueued"] = int("known" in known) if len(known) == 1 else None
    simple = {*KINDS, "state", *TEXT_FIELDS} - {"release"}
    params["is_simple"] = int(set(by_field) <= simple)
    return params if params["states"] else None


def _states(terms: list[Term]) -> int:
    for term in terms:
        if term.value not in STATES:
            raise BadInput(f"Unknown state “{term.value}”.", f"States are: {', '.join(STATES)}.")
    wanted = sum(1 << STATES[value] for value in {term.value for term in terms if not term.is_not}) or ALL_STATES
    return wanted & ~sum(1 << STATES[value] for value in {term.value for term in terms if term.is_not})


async def _ids(store: Store, field: str, terms: list[Term]) -> tuple[list[int] | None, bool]:
    """(ids, whether a task must have one of them; otherwise it must have none); (None, True) for no condition."""
    if not terms:
        return None, True
    wanted = [term for term in terms if not term.is_not]
    unwanted = await _find(store, field, [term for term in terms if term.is_not])
    if not wanted:
        return (sorted(unwanted), False) if unwanted else (None, True)
    return sorted(await _find(store, field, wanted) - unwanted), True


async def _find(store: Store, field: str, terms: list[Term]) -> set[int]:
    if field == "app":
        apps = await store.fetch_all(SQL["list_apps"])
        return {id for id, name in apps for term in terms if _is_app(name, term)}
    ids: set[int] = set()
    kind = KINDS[field]
    for term in terms:
        if term.is_prefix:
            rows = await store.fetch_all(SQL["find_by_prefix"], {"kind": kind, "prefix": term.value, "limit": MAX_NAMES + 1})
            if len(rows) > MAX_NAMES:
                raise BadInput(f"More than {MAX_NAMES:,} {field}s begin with “{term.value[:40]}”.", "Write more letters before the *.")
            ids.update(row[0] for row in rows)
        else:
            ids.update((await names.find(store, {kind: term.value})).values())
    return ids


def _is_app(name: str, term: Term) -> bool:
    # Names of apps differ in more than capitals (the column is NOCASE).
    return name.lower().startswith(term.value.lower()) if term.is_prefix else name.lower() == term.value.lower()


async def _error_groups(store: Store, terms: list[Term]) -> tuple[str | None, str]:
    """The groups of failures as JSON, None for no condition, and their fingerprints. Of a merged group the one that shows it."""
    if not terms:
        return None, NONE
    if wrong := next((term.value for term in terms if not is_group(term.value)), ""):
        raise BadInput(f"“{wrong[:40]}” is not the number of an error.", "The page of an error has its number in its address.")
    rows = await store.fetch_all(SQL["find_error_groups"], {"ids": json.dumps([int(term.value) for term in terms])})
    return json.dumps(sorted({group for group, _ in rows})), json.dumps(sorted(id for _, id in rows))


def _patterns(field: str, terms: Iterable[Term]) -> str | None:
    patterns = [pattern for term in terms for pattern in _globs(field, term)]
    return json.dumps(patterns) if patterns else None


def _globs(field: str, term: Term) -> list[str]:
    text = "".join(f"[{letter}]" if letter in "*?[" else letter for letter in term.value) + ("*" if term.is_prefix else "")
    # `ConnectionError` is also the last part of `redis.exceptions.ConnectionError`.
    return [text, f"*.{text}"] if field == "error" and "." not in term.value else [text]


def _bounds(terms: list[Term]) -> tuple[int, int]:
    """The lowest and the highest value that hold all comparisons. Attempts are counted from 0 in the database."""
    low, high = 0, LONGEST
    for term in terms:
        value = span_us(term.value) if term.field != "attempt" else (count_of(term.value) or 0) - 1
        assert value is not None
        if term.op in (">", ">=", ""):
            low = max(low, value + (term.op == ">"))
        if term.op in ("<", "<=", ""):
            high = min(high, value - (term.op == "<"))
    return low, high
