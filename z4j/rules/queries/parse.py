# SPDX-License-Identifier: AGPL-3.0-or-later
"""Parses what people type into the query box. Pure.

    state:failed name:emails.* -env:staging args.user_id:42 ran:>2s since:2h "free text" order:ran

A word without a field is a task ID, a state, a task name (with dots) or, else, a word to search for. Quotes keep a value together and
take everything in it as it is; in quotes, \\" and \\\\ mean a quote and a backslash. A comma separates several values of one field.
"""

from __future__ import annotations

from typing import Final

from z4j.exceptions import BadInput
from z4j.rules.queries.fields import (
    ALIASES,
    FIELDS,
    KNOWN,
    ONCE,
    ORDERS,
    WITH_WILDCARD,
    WITHOUT_NEGATION,
    WORDS,
    Field,
    count_of,
    is_group,
    is_time,
    is_trace,
    span_us,
)
from z4j.rules.queries.query import DOTTED, UUID, Query, Term, is_path
from z4j.rules.queries.words import words_of
from z4j.rules.tasks.states import STATES

MAX_LENGTH: Final = 2_000
MAX_TERMS: Final = 60
MIN_PREFIX: Final = 2
"""Letters before the * of a word to search for: fewer would find almost everything, slowly."""


class WrongQuery(BadInput):
    """The query cannot be understood. `start` and `length` say which part of its text is wrong."""

    def __init__(self, message: str, hint: str, text: str, start: int, length: int) -> None:
        super().__init__(message, hint)
        self.text = text
        self.start = start
        self.length = length

    @property
    def located(self) -> str:
        """The message with the wrong part, for answers that cannot point at it."""
        word = self.text[self.start : self.start + self.length]
        return f"{self.message} In the query at character {self.start + 1}: {word[:60] or 'the end'}."


def parse(text: str) -> Query:
    """Returns the query of a text. Raises WrongQuery."""
    return _Parser(text).query()


class _Parser:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.terms: list[Term] = []
        self.order = ""

    def query(self) -> Query:
        if len(self.text) > MAX_LENGTH:
            raise self._wrong(f"The query is longer than {MAX_LENGTH} characters.", "Use fewer words.", MAX_LENGTH, len(self.text))
        while self._skip_space():
            start = self.at
            self._word()
            if len(self.terms) > MAX_TERMS:
                raise self._wrong(f"The query has more than {MAX_TERMS} conditions.", "Use fewer words.", start, self.at)
        return Query(tuple(self.terms), self.order or "first")

    def _skip_space(self) -> bool:
        while self.at < len(self.text) and self.text[self.at].isspace():
            self.at += 1
        return self.at < len(self.text)

    def _word(self) -> None:
        start = self.at
        is_not = self.text[start] == "-"
        self.at += is_not
        key = self._key()
        field = self._field(key, start) if key is not None else WORDS
        if is_not and field.kind in WITHOUT_NEGATION:
            raise self._wrong(f"“{key}:” cannot be negated.", _instead_of_negation(field), start, self._end_of_word())
        path = "" if key is None else key.partition(".")[2]  # only an argument has one
        more = True
        while more:
            value_at = self.at
            op = self._operator(field)
            value, is_quoted, is_prefix = self._value(key, field, start)
            more = self.at < len(self.text) and self.text[self.at] == ","  # after a word without a field only a space can follow
            begin = start if key is None or value_at == start + is_not + len(key) + 1 else value_at
            self._add(field, value, op, path, is_not, is_quoted, is_prefix, begin)
            self.at += more

    def _key(self) -> str | None:
        """The field before a colon, and moves behind it; None if the word has none."""
        end = self.at
        while end < len(self.text) and not self.text[end].isspace() and self.text[end] not in '":':
            end += 1
        if end >= len(self.text) or self.text[end] != ":":
            return None
        key = self.text[self.at : end]
        self.at = end + 1
        return key

    def _field(self, key: str, start: int) -> Field:
        name, _, path = key.partition(".")
        field = FIELDS.get(ALIASES.get(name, name))
        if field is None or (path and field.kind != "arguments"):
            raise self._wrong(
                f"Unknown field “{key[:40]}”.",
                f"Fields are {', '.join(FIELDS)}. To search for the text, put quotes around it.",
                start,
                start + len(key) + (self.text[start] == "-"),
            )
        if field.kind == "arguments" and not is_path(path):
            raise self._wrong(
                "An argument needs its name or its position." if field.name == "args" else "An annotation needs its name.",
                "Use args.user_id:42, or args.0:42 for the first one." if field.name == "args" else "Use note.order:42.",
                start,
                self.at,
            )
        return field

    def _operator(self, field: Field) -> str:
        if field.kind not in ("span", "count"):
            return ""
        for op in (">=", "<=", ">", "<"):
            if self.text.startswith(op, self.at):
                self.at += len(op)
                return op
        return ""

    def _value(self, key: str | None, field: Field, start: int) -> tuple[str, bool, bool]:
        """(value, whether it is quoted, whether a * follows it); moves behind them."""
        is_quoted = self.at < len(self.text) and self.text[self.at] == '"'
        value = self._quoted() if is_quoted else self._plain(key is None)
        if not value:
            if is_quoted or key is None:
                raise self._wrong("There is nothing to search for.", "Write a word, or put quotes around several words.", start, self.at)
            raise self._wrong(f"“{key[:40]}:” has no value.", f"Expected: {field.hint}.", start, self.at)
        is_prefix = self.at < len(self.text) and self.text[self.at] == "*"
        self.at += is_prefix
        stops = self.at >= len(self.text) or self.text[self.at].isspace() or (key is not None and self.text[self.at] == ",")
        if not stops:
            word_end = self._end_of_word()
            if is_prefix:
                raise self._wrong(
                    "A * is allowed only at the end of a value.", "Put quotes around a value that contains a *.", start, word_end
                )
            raise self._wrong(
                "There is a quote in the middle of a word.",
                'Put a space before or after it; inside quotes write \\" for a quote.',
                start,
                word_end,
            )
        return value, is_quoted, is_prefix

    def _quoted(self) -> str:
        start = self.at
        self.at += 1
        letters: list[str] = []
        while self.at < len(self.text):
            letter = self.text[self.at]
            self.at += 1
            if letter == '"':
                return "".join(letters)
            if letter == "\\" and self.at < len(self.text) and self.text[self.at] in '"\\':
                letter = self.text[self.at]
                self.at += 1
            letters.append(letter)
        raise self._wrong("A quote is not closed.", 'Put a " at the end of the value.', start, len(self.text))

    def _plain(self, is_word: bool) -> str:
        start = self.at
        while self.at < len(self.text) and not self.text[self.at].isspace() and self.text[self.at] not in '"*':
            if self.text[self.at] == "," and not is_word:
                break
            self.at += 1
        return self.text[start : self.at]

    def _end_of_word(self) -> int:
        end = self.at
        while end < len(self.text) and not self.text[end].isspace():
            end += 1
        return end

    def _add(self, field: Field, value: str, op: str, path: str, is_not: bool, is_quoted: bool, is_prefix: bool, start: int) -> None:
        end = self.at
        if field.kind == "words" and not is_quoted and not is_prefix:
            field = _field_of_word(value)
            if is_not and field.kind in WITHOUT_NEGATION:
                raise self._wrong("A task ID cannot be excluded.", "Exclude a name, a state or a word.", start, end)
        if is_prefix and field.kind not in WITH_WILDCARD:
            raise self._wrong(f"“{field.name}:” does not support *.", "Write the whole value.", start, end)
        if is_prefix and field.kind == "words" and len(value) < MIN_PREFIX:
            raise self._wrong("A * needs at least two letters before it.", "Add a letter.", start, end)
        if field.kind == "words" and not words_of(value):
            raise self._wrong("This text contains no word.", "Search for letters or digits.", start, end)
        self._check(field, value, op, start, end)
        if field.name in ONCE and (self.order if field.kind == "order" else any(term.field == field.name for term in self.terms)):
            raise self._wrong(f"“{field.name}:” is used twice.", "Remove one of them.", start, end)
        if field.kind == "order":
            self.order = value
            return
        self.terms.append(Term(field.name, value, op, path, is_not, is_prefix, start, end - start))

    def _check(self, field: Field, value: str, op: str, start: int, end: int) -> None:
        if field.kind == "state" and value not in STATES:
            raise self._wrong(f"Unknown state “{value[:40]}”.", f"Use one of {', '.join(STATES)}.", start, end)
        if field.kind == "order" and value not in ORDERS:
            raise self._wrong(f"Unknown order “{value[:40]}”.", f"Use one of {', '.join(ORDERS)}.", start, end)
        if field.kind == "known" and value not in KNOWN:
            raise self._wrong(f"“{field.name}:” must be known or unknown.", f"Use {field.name}:{KNOWN[1]}.", start, end)
        if field.kind == "span" and (not op or span_us(value) is None):
            raise self._wrong(
                f"“{field.name}:” needs a comparison with a duration.",
                f"Use {field.name}:>5s, or <, with us, ms, s, m, h or d.",
                start,
                end,
            )
        if field.kind == "count" and count_of(value) is None:
            raise self._wrong(f"“{field.name}:” needs a number.", f"Use {field.name}:>1, or {field.name}:2.", start, end)
        if field.kind == "group" and not is_group(value):
            raise self._wrong(
                f"“{field.name}:” needs the number of an error.", f"Use {field.name}:12; the page of the error has that number.", start, end
            )
        if field.kind == "trace" and not is_trace(value):
            raise self._wrong(f"“{value[:40]}” is not a trace ID.", "It has up to 64 letters, digits and hyphens.", start, end)
        if field.kind == "time" and not is_time(value):
            raise self._wrong(
                f"“{value[:40]}” is not a valid time.", "Use 15m, 24h, 7d, or a date like 2026-11-23 or 2026-11-23T05:15Z.", start, end
            )

    def _wrong(self, message: str, hint: str, start: int, end: int) -> WrongQuery:
        return WrongQuery(message, hint, self.text, start, max(end - start, 1))


def _field_of_word(word: str) -> Field:
    if UUID.fullmatch(word):
        return FIELDS["id"]
    if word in STATES:
        return FIELDS["state"]
    return FIELDS["name"] if DOTTED.fullmatch(word) else WORDS


def _instead_of_negation(field: Field) -> str:
    return f"Reverse the comparison: {field.name}:<=5s." if field.kind == "span" else "Use the opposite condition."
