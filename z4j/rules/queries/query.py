# SPDX-License-Identifier: AGPL-3.0-or-later
"""A parsed query and its text: `parse(format_query(query)) == query` for every query that `parse` returns. Pure."""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass
from typing import Final

from z4j.rules.queries.fields import FIELDS, WORDS, Field
from z4j.rules.tasks.states import STATES

UUID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE)
DOTTED: Final = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)+")
"""A word that is taken for a task name."""
_PLAIN: Final = re.compile(r'[^\s",*\\<>=:-][^\s",*\\]*')
_PATH: Final = re.compile(r"[\w-]+(?:\.[\w-]+)*")


@dataclass(frozen=True, slots=True)
class Term:
    """One condition. Terms of one field that are not negated are alternatives, all others have to hold together; words, comparisons and
    arguments with different paths always do. `op` is one of > >= < <= or "" (equal). `start` and `length` say where its word is."""

    field: str
    value: str
    op: str = ""
    path: str = ""
    """Of an argument: its name or position, then keys of objects, joined by dots."""
    is_not: bool = False
    is_prefix: bool = False
    start: int = dataclasses.field(default=0, compare=False)
    length: int = dataclasses.field(default=0, compare=False)

    @property
    def key(self) -> str:
        """The word before the colon; empty for words."""
        return f"{self.field}.{self.path}" if self.path else "" if self.field == "words" else self.field

    @property
    def is_exact(self) -> bool:
        """Whether it asks for one value and nothing else."""
        return not (self.is_not or self.is_prefix or self.op or self.path)

    def info(self) -> Field:
        """Returns its field."""
        return WORDS if self.field == "words" else FIELDS[self.field]


@dataclass(frozen=True, slots=True)
class Query:
    """The terms in the order they were written, and the order of the result."""

    terms: tuple[Term, ...] = ()
    order: str = "first"

    def of(self, name: str) -> list[Term]:
        """Returns the terms of one field."""
        return [term for term in self.terms if term.field == name]


def format_query(query: Query) -> str:
    """Returns the text of a query, for the box and for URLs."""
    parts: list[str] = []
    last = ""
    for term in query.terms:
        key = f"{'-' if term.is_not else ''}{term.key}"
        if key == last and key.strip("-") and not term.op:
            parts[-1] += f",{_value(term)}"
        else:
            parts.append(f"{key}:{_value(term)}" if term.key else f"{key}{_value(term)}")
        last = "" if term.op else key
    if query.order != "first":
        parts.append(f"order:{query.order}")
    return " ".join(parts)


def is_path(text: str) -> bool:
    """Whether a text may follow `args.`."""
    return _PATH.fullmatch(text) is not None


def _value(term: Term) -> str:
    star = "*" if term.is_prefix else ""
    if term.op:
        return term.op + term.value
    if _PLAIN.fullmatch(term.value) and (term.key or _is_plain_word(term.value)):
        return term.value + star
    escaped = term.value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"{star}'


def _is_plain_word(word: str) -> bool:
    return ":" not in word and word not in STATES and not UUID.fullmatch(word) and not DOTTED.fullmatch(word)
