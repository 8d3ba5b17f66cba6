# SPDX-License-Identifier: AGPL-3.0-or-later
"""What the last word of a query may become: fields, and the values of a field. Pure; the caller knows the values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from z4j.rules.queries.fields import ALIASES, FIELDS, KNOWN, ORDERS
from z4j.rules.queries.query import Query, Term, format_query
from z4j.rules.tasks.states import STATES

TIMES: Final = ("15m", "1h", "24h", "7d")


@dataclass(frozen=True, slots=True)
class LastWord:
    """The end of a query that is being typed. `head` is all before the value or, where there is no colon yet, before the field."""

    head: str
    is_not: bool
    field: str
    """Its field; empty while there is no colon."""
    partial: str


@dataclass(frozen=True, slots=True)
class Completion:
    """The text of the query with the word completed, and what is said about it."""

    text: str
    hint: str


def last_word(text: str) -> LastWord | None:
    """Returns the word that is being typed; None within quotes and for fields whose values are not listed."""
    if text.count('"') % 2:
        return None
    start = max((at + 1 for at, letter in enumerate(text) if letter.isspace()), default=0)
    word = text[start:]
    is_not = word.startswith("-")
    key, colon, value = word.removeprefix("-").partition(":")
    if not colon:
        return LastWord(text[:start], is_not, "", key) if '"' not in word else None
    field = ALIASES.get(key, key)
    if field not in FIELDS or '"' in value:
        return None
    done = value.rfind(",") + 1
    return LastWord(text[: len(text) - len(value) + done], is_not, field, value[done:])


def fields_for(word: LastWord) -> list[Completion]:
    """Returns the fields that the word may become."""
    sign = "-" if word.is_not else ""
    found = [field for name, field in FIELDS.items() if name.startswith(word.partial)]
    return [Completion(f"{word.head}{sign}{field.name}{'.' if field.kind == 'arguments' else ':'}", field.hint) for field in found]


def values_for(word: LastWord, values: list[tuple[str, str]]) -> list[Completion]:
    """Returns the values, (value, what is said about it), that contain what was typed; those that begin with it come first. An error is
    also found by its title, which is said about its number."""
    wanted, has_titles = word.partial.casefold(), FIELDS[word.field].kind == "group"
    found = [(value, hint) for value, hint in values if wanted in value.casefold() or (has_titles and wanted in hint.casefold())]
    found.sort(key=lambda item: not item[0].casefold().startswith(wanted))
    return [Completion(word.head + _written(word.field, value), hint) for value, hint in found]


def fixed_values(field: str) -> list[str]:
    """Returns the values of a field that has the same ones everywhere."""
    return {"state": list(STATES), "order": list(ORDERS), "enqueued": list(KNOWN), "since": list(TIMES), "until": list(TIMES)}.get(
        field, []
    )


def _written(field: str, value: str) -> str:
    """A value as the language writes it."""
    return format_query(Query((Term(field, value),))).partition(":")[2]
