# SPDX-License-Identifier: AGPL-3.0-or-later
"""Finds the tasks of one page. Only this module of the store knows cursors and walks; `tasks` uses it.

A page is found by walking the narrowest index: one of the tasks, or that of the words. Where its conditions leave few tasks of many, the
search stops after ten milliseconds and reports how far it came: a page never pretends to be complete.
"""

from __future__ import annotations

import contextlib
import heapq
import json
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Final, Literal

from z4j import clock
from z4j.exceptions import BadInput
from z4j.rules.errors.group_states import CURED, FAILED, RETRIED
from z4j.rules.queries import annotation_terms, arguments, words
from z4j.rules.queries.query import Term
from z4j.rules.tasks.states import STATES
from z4j.store.search import word_search
from z4j.store.search.conditions import Params, TaskFilter, resolve
from z4j.store.sqlite import sql
from z4j.store.sqlite.db import Store
from z4j.store.tasks import task_ids

SQL = sql.load("tasks/tasks")
LOG_LINES = sql.load("logs/log_lines")

__all__ = ["END_OF_TIME", "Found", "Params", "TaskFilter", "cursor", "find", "position", "resolve"]

WALK_US: Final = 10_000
ORDER_US: Final = 15_000
"""A result that is not in the order of time looks for this long, because what it finds first is not what comes first."""
MAX_LOG_LINES: Final = 2_000
"""Log lines of one task that are searched."""
LOOK_EVERY: Final = 16
"""Rows between two looks at the clock."""
MAX_STREAMS: Final = 40
"""Stretches of an index that are walked side by side."""
END_OF_TIME: Final = 1 << 62
BAD_ENDS: Final = frozenset(STATES[name] for name in ("lost", "cancelled", "expired", "rejected", "failed"))
"""Codes of the states whose tasks are also in indexes of their own by name, queue and worker."""

_KINDS: Final = (FAILED, RETRIED, CURED)
Direction = Literal["older", "newer"]
Position = tuple[int, int]
"""first_at and id of a task: the order of every list, newest first."""
Hit = tuple[int, int, int]
"""first_at and id of a task, and the duration a result is ordered by."""
Step = tuple[int, int, int, int | None]
"""id, first_at, whether the conditions match, and that duration."""


@dataclass(frozen=True, slots=True)
class Found:
    """Ids in the order of the page, and where the neighbouring pages begin. `searched` is how many tasks were read where that is the
    bound of an order by duration. `first` is the cursor of the first row, None where that is no place in the list."""

    ids: list[int]
    older: str | None
    newer: str | None
    searched_to: int | None
    searched: int | None = None
    first: str | None = None


def cursor(position: Position) -> str:
    """Returns a position in the list as the text in a URL."""
    return f"{position[0]}-{position[1]}"


def position(text: str) -> Position:
    """Returns the position of a cursor. Raises BadInput."""
    at, _, id = text.partition("-")
    if not (at.isascii() and at.isdigit() and id.isascii() and id.isdigit() and len(text) < 40):
        raise BadInput("This page of the list does not exist.", "Open the first page of the list.")
    return min(int(at), END_OF_TIME), min(int(id), END_OF_TIME)


async def find(store: Store, f: TaskFilter, older: str | None, newer: str | None, limit: int) -> Found:
    """Finds one page of at most `limit` tasks, beyond the cursor `older` or `newer`, else the newest. Raises BadInput."""
    params = await resolve(store, f)
    at = newer or older
    given = position(at) if at else None
    if params is None:
        return Found([], None, None, None)
    if f.task_id:
        return await _find_task_id(store, f, params, limit)
    drive = await _narrowest(store, f, params)
    if drive is None:
        return Found([], None, None, None)
    direction: Direction = "newer" if newer and f.order == "first" else "older"
    # Of an error the failures are in order, which may be later than the times that `until` is about.
    until = f.until if f.until is not None and drive != "error_group" else END_OF_TIME
    start = given or (until, 0)
    if direction == "newer":
        params["bound"] = until
    else:
        params["bound"] = f.since if f.since is not None else 0
        start = min(start, (until, 0))
    walk = _Walk(f, direction, limit + 1 if f.order == "first" else limit)
    rows = partial(word_search.walk, f=f, params=params, direction=direction) if drive == "words" else _stretches(drive, direction, params)
    hits, reached = await store.read(partial(walk.run, rows=partial(rows, start=start)))
    if f.order != "first":
        return Found([id for _, id, _ in hits], cursor(reached) if reached else None, None, reached[0] if reached else None, walk.searched)
    places = [(at, id) for at, id, _ in hits]
    is_more = len(places) > limit
    places = places[:limit]
    if direction == "newer":
        places.reverse()
        # Stopped on the way up: the newest seen so far is where a further look begins.
        ahead = cursor(places[0]) if is_more and places else cursor(reached) if reached and not is_more else None
        back = cursor(places[-1]) if places else cursor(start)
        return Found([id for _, id in places], back, ahead, None, first=cursor(places[0]) if places else None)
    onward = places[-1] if is_more else reached
    return Found(
        [id for _, id in places],
        cursor(onward) if onward else None,
        (cursor(places[0]) if places else cursor(start)) if older else None,
        reached[0] if reached and not is_more else None,
        first=cursor(places[0]) if places else None,
    )


async def _find_task_id(store: Store, f: TaskFilter, params: Params, limit: int) -> Found:
    try:
        params["task_id"] = task_ids.encode(f.task_id)
    except UnicodeEncodeError:
        return Found([], None, None, None)
    rows = await store.fetch_all(SQL["find_by_task_id"], {**params, "chunk": limit})
    since, until = f.since or 0, f.until if f.until is not None else END_OF_TIME
    return Found([row[0] for row in rows if row[2] and since <= row[1] < until], None, None, None)


async def _narrowest(store: Store, f: TaskFilter, params: Params) -> str | None:
    """The index that the fewest tasks stand under; None when the counters know that nothing matches."""
    if word_search.can_walk(f):
        return "words"
    if params["label"]:
        return "label"
    if 0 < _count(params["fingerprints"]) * len(_KINDS) <= MAX_STREAMS:
        return "error_group"
    terms = f.all_terms()
    wanted = {term.field for term in terms if not term.is_not}
    candidates = [
        kind
        for kind in ("state", "name", "queue", "worker")
        if kind in wanted and (kind == "state" or _count(params[f"{kind}_ids"]) <= MAX_STREAMS)
    ]
    broad = {term.field for term in terms} - set(candidates)
    if not candidates and not broad:
        return "first"
    if len(candidates) == 1 and not broad:
        return candidates[0]
    row = await store.fetch_one(SQL["weigh"], params)
    assert row is not None
    if not row[3]:
        return None
    # Workers have no counter of their own; the tasks of one are few beside those of a name or a queue.
    weights = {"state": row[0], "name": row[1], "queue": row[2]}
    weights["worker"] = min(weights[kind] for kind in weights) // 8 or 1
    others = [kind for kind in candidates if kind != "state"]
    if "state" in candidates and others and BAD_ENDS.issuperset(_codes(params)):
        return f"bad_{min(others, key=lambda kind: weights[kind])}"
    return min(candidates, key=lambda drive: weights[drive], default="first")


def _codes(params: Params) -> list[int]:
    """The states that the conditions leave."""
    mask = params["states"]
    assert isinstance(mask, int)
    return [code for code in STATES.values() if mask >> code & 1]


def _count(ids: str | None) -> int:
    return 0 if ids is None else len(json.loads(ids))


def _stretches(drive: str, direction: Direction, params: Params) -> partial[Iterator[Step]]:
    """A walk along one index, as a function of a connection and its start."""
    streams: list[Params] = [{}]
    # Each state, and each of several names, is its own stretch of the index.
    if drive == "state":
        streams = [{"state": code} for code in _codes(params)]
    elif (kind := drive.removeprefix("bad_")) in ("name", "queue", "worker"):
        streams = [{f"{kind}_id": id} for id in json.loads(params[f"{kind}_ids"])]
    elif drive == "error_group":
        streams = [{"fingerprint": id, "kind": kind} for id in json.loads(params["fingerprints"]) for kind in _KINDS]
    block = SQL[f"walk_{drive}_{direction}"]
    return partial(_walk_stretches, block=block, streams=[{**params, **stream} for stream in streams], is_older=direction == "older")


def _walk_stretches(db: sqlite3.Connection, *, block: str, streams: list[Params], is_older: bool, start: Position) -> Iterator[Step]:
    with contextlib.ExitStack() as cursors:
        at: Params = {"at": start[0], "id": start[1]}
        walks = [cursors.enter_context(contextlib.closing(db.execute(block, {**stream, **at}))) for stream in streams]
        yield from walks[0] if len(walks) == 1 else heapq.merge(*walks, key=_place_of, reverse=is_older)


def _place_of(row: Step) -> Position:
    return row[1], row[0]


class _Walk:
    """Takes rows until the page is full or its time is up. `searched` is how many it read."""

    def __init__(self, f: TaskFilter, direction: Direction, limit: int) -> None:
        self._texts = f.texts()
        self._is_ordered = f.order != "first"
        self._limit = limit
        self.searched = 0

    def run(self, db: sqlite3.Connection, *, rows: partial[Iterator[Step]]) -> tuple[list[Hit], Position | None]:
        """Returns the matches, nearest or longest first; and, if the time ran out before the end, how far it came. It looks at the clock on
        the way: rows that are not in memory take a hundred times as long."""
        deadline = clock.ticks() + (ORDER_US if self._is_ordered else WALK_US)
        hits: list[Hit] = []
        with contextlib.closing(rows(db)) as steps:  # type: ignore[type-var]
            for self.searched, (id, at, matches, value) in enumerate(steps, 1):
                if matches and (not self._is_ordered or value is not None) and self._has_texts(db, id):
                    hits.append((at, id, value or 0))
                    if len(hits) == self._limit and not self._is_ordered:
                        return hits, None
                if (not self.searched % LOOK_EVERY or self._texts) and clock.ticks() > deadline:
                    return self._best(hits), (at, id)
        return self._best(hits), None

    def _best(self, hits: list[Hit]) -> list[Hit]:
        return heapq.nlargest(self._limit, hits, key=_value_of) if self._is_ordered else hits

    def _has_texts(self, db: sqlite3.Connection, id: int) -> bool:
        if not self._texts:
            return True
        row = db.execute(SQL["read_texts"], {"id": id}).fetchone()
        return row is not None and has_texts(self._texts, *row, *self._log_of(db, id))

    def _log_of(self, db: sqlite3.Connection, id: int) -> list[str]:
        """The log lines of a task, as far as they are in the index of words."""
        if all(term.field != "words" for term in self._texts):
            return []
        return [row[0] for row in db.execute(LOG_LINES["list_messages"], {"task": id, "limit": MAX_LOG_LINES})]


def _value_of(hit: Hit) -> tuple[int, int, int]:
    return hit[2], hit[0], hit[1]


def has_texts(terms: list[Term], its_notes: str, name: str | None, args: str | None, *others: str | None) -> bool:
    """Whether a task has all these words, arguments and annotations. Values of one argument are alternatives."""
    texts = [text for text in (name, args, *others) if text]
    pairs = arguments.pairs_of(args or "") if any(term.field == "args" for term in terms) else set()
    its_pairs = annotation_terms.note_pairs_of(its_notes) if any(term.field in ("note", "trace") for term in terms) else set()
    paths: dict[str, bool] = {}
    for term in terms:
        if term.field == "words":
            if words.has_words(texts, term.value, is_prefix=term.is_prefix) is term.is_not:
                return False
        else:
            has = (
                arguments.has_argument(pairs, term.path, term.value, is_prefix=term.is_prefix)
                if term.field == "args"
                else annotation_terms.has_note(its_pairs, term.path, term.value, is_prefix=term.is_prefix)
            )
            if term.is_not and has:
                return False
            if not term.is_not:
                paths[term.key] = paths.get(term.key, False) or has
    return all(paths.values())
