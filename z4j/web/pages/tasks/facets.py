# SPDX-License-Identifier: AGPL-3.0-or-later
"""Computes the facets beside the list of tasks: their values with counts, and how many tasks match. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from typing import Final

from z4j.formats import number, plural
from z4j.rules.tasks.states import STATES
from z4j.store.errors.top_groups import TopGroup
from z4j.store.tasks.counters import Counts, Facet
from z4j.store.tasks.tasks import TaskPage
from z4j.web.frame.render import Choice, ChoiceGroup
from z4j.web.frame.times import absolute
from z4j.web.pages.tasks.filters import Filters

FACET: Final = 8
BAD_ENDS: Final = ("failed", "lost", "rejected")
"""States of a task whose failure an error counts."""
SPANS: Final = (("15m", "last 15 minutes"), ("1h", "last hour"), ("24h", "last 24 hours"), ("7d", "last 7 days"))


def summary(
    filters: Filters, states: AbstractSet[str], counts: Counts | None, page: TaskPage, *, is_first: bool, of_error: int | None = None
) -> str:
    """Returns how many tasks match: exactly where the counters know, or all were found, else at least how many, and how far was searched.
    `states` are those that match; `of_error` is the count of the chosen error, where it counts what is chosen."""
    if page.searched is not None:
        far = f" reported since {absolute(page.searched_to)}" if page.searched_to is not None else ""
        return f"the {number(len(page.rows))} longest of {plural(page.searched, 'task')}{far}"
    if counts is not None:
        total = sum(count for _, count in counts.by_state)
        chosen = sum(count for state, count in counts.by_state if state in states)
        if len(states) == len(STATES):
            return plural(total, "task")
        words = " or ".join(filters.state) or "match"
        return f"{number(chosen)} {words} of {number(total)}"
    if of_error is not None:
        return f"{plural(of_error, 'task')} that failed with this error"
    if is_first and page.older is None:
        return plural(len(page.rows), "task")
    until = page.searched_to if page.searched_to is not None else page.rows[-1].first_at if page.rows else None
    if not is_first or until is None:
        return "newest first; no count for this combination of filters"
    return f"≥ {number(len(page.rows))}, searched back to {absolute(until)}"


def facets(filters: Filters, counts: Counts | None, errors: Sequence[TopGroup] = ()) -> tuple[ChoiceGroup, ...]:
    """Returns the facets. States are always in the same order; other values are ordered by frequency. `errors` are those to choose from."""
    by_state = dict(counts.by_state) if counts else {}
    states = tuple(
        Choice(
            state,
            filters.but(state=() if filters.state == (state,) else (state,)).href(),
            state in filters.state,
            by_state.get(state, 0) if counts else None,
            state,
        )
        for state in STATES
    )
    groups = [ChoiceGroup("State", states)]
    known: tuple[tuple[str, str, Facet], ...] = (
        ("Task name", "name", counts.by_name if counts else []),
        ("Queue", "queue", counts.by_queue if counts else []),
    )
    for title, field, facet in known:
        choices = _values(filters, field, facet)
        if choices:
            groups.append(ChoiceGroup(title, choices[:FACET], choices[FACET:60], is_mono=field == "name"))
    if choices := _errors(filters, errors):
        groups.append(ChoiceGroup("Error", choices[:FACET], choices[FACET:], is_text=True))
    if filters.worker:
        groups.append(ChoiceGroup("Worker", (Choice(filters.worker, filters.but(worker="").href(), True),)))
    if filters.label:
        groups.append(ChoiceGroup("Label", (Choice(filters.label, filters.but(label="").href(), True),)))
    spans = tuple(
        Choice(word, filters.but(since="" if filters.since == since else since, until="").href(), filters.since == since)
        for since, word in SPANS
    )
    groups.append(ChoiceGroup("Time", spans))
    return tuple(groups)


def count_of_error(filters: Filters, errors: Sequence[TopGroup]) -> int | None:
    """Returns how many tasks failed with the chosen error; None where other states are chosen, or nothing counted them."""
    if set(filters.state) != set(BAD_ENDS):
        return None
    return next((each.failed for each in errors if str(each.id) == filters.error_group), None)


def _errors(filters: Filters, errors: Sequence[TopGroup]) -> tuple[Choice, ...]:
    """Each error with its failed tasks, where the chosen states are those that it counts."""
    is_counted = set(BAD_ENDS) <= set(filters.state)
    made = [
        Choice(each.title, filters.but(error_group="" if is_on else str(each.id)).href(), is_on, each.failed if is_counted else None)
        for each in errors
        for is_on in (str(each.id) == filters.error_group,)
    ]
    if filters.error_group and not any(choice.is_on for choice in made):
        made.insert(0, Choice(f"error {filters.error_group}", filters.but(error_group="").href(), True))
    return tuple(sorted(made, key=lambda choice: not choice.is_on))


def _values(filters: Filters, field: str, facet: Facet) -> tuple[Choice, ...]:
    chosen = getattr(filters, field)
    values = [(word, count) for word, count in facet if word]
    choices = [Choice(word, filters.but(**{field: "" if word == chosen else word}).href(), word == chosen, count) for word, count in values]
    if chosen and chosen not in dict(values):
        choices.insert(0, Choice(chosen, filters.but(**{field: ""}).href(), True))
    return tuple(sorted(choices, key=lambda choice: not choice.is_on))
