# SPDX-License-Identifier: AGPL-3.0-or-later
"""The fields of a query, what their values look like, and how a duration is read. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

Kind = Literal["state", "name", "text", "id", "group", "span", "count", "time", "order", "arguments", "trace", "words", "known"]
"""`name`: interned strings; `text`: strings of a row. `group`: number of an error. `words`: the text search. `span`: a duration to compare
with. `known`: one of `KNOWN`."""


@dataclass(frozen=True, slots=True)
class Field:
    """One field of the language. `hint` is a sentence for the list of completions."""

    name: str
    kind: Kind
    hint: str


FIELDS: Final[dict[str, Field]] = {
    field.name: field
    for field in (
        Field("state", "state", "state of the task"),
        Field("name", "name", "task name, or a prefix such as emails.*"),
        Field("queue", "name", "queue"),
        Field("engine", "name", "engine, such as celery"),
        Field("worker", "name", "worker that ran the task"),
        Field("app", "name", "app"),
        Field("env", "name", "environment"),
        Field("release", "name", "release of the worker"),
        Field("error", "text", "type of the exception"),
        Field("error_group", "group", "number of an error, as in the URL of its page"),
        Field("label", "text", "label set by the application"),
        Field("route", "text", "route of the request that enqueued it"),
        Field("caller", "text", "code that enqueued it, such as shop/views.py:12"),
        Field("enqueued", "known", "unknown: sent by a producer that is not monitored"),
        Field("args", "arguments", "an argument: args.user_id:42, or args.0:42 by position"),
        Field("note", "arguments", "an annotation of the task: note.order:42"),
        Field("trace", "trace", "trace ID of OpenTelemetry or event ID of Sentry"),
        Field("waited", "span", "time until it started: waited:>5s"),
        Field("ran", "span", "time it ran: ran:>2s"),
        Field("attempt", "count", "number of the attempt: attempt:>1"),
        Field("since", "time", "reported since: since:2h, since:2026-11-23"),
        Field("until", "time", "reported before"),
        Field("id", "id", "ID of the engine"),
        Field("order", "order", "first (newest first), ran or waited (longest first)"),
    )
}
WORDS: Final = Field("words", "words", "words in names, arguments, results and exceptions")
ALIASES: Final[dict[str, str]] = {"task": "name", "environment": "env", "task_id": "id", "arg": "args"}
ORDERS: Final = ("first", "ran", "waited")
KNOWN: Final = ("known", "unknown")
ONCE: Final = frozenset({"since", "until", "id", "order"})
"""Fields that may be given once."""
WITH_WILDCARD: Final = frozenset({"name", "text", "arguments", "words"})
"""Kinds whose value may end with a *."""
WITHOUT_NEGATION: Final = frozenset({"id", "span", "count", "time", "order", "known"})

_SPAN: Final = re.compile(r"(\d{1,9}(?:\.\d{1,6})?)(us|ms|s|m|h|d)", re.ASCII)
_UNITS: Final = {"us": 1, "ms": 1_000, "s": 1_000_000, "m": 60_000_000, "h": 3_600_000_000, "d": 86_400_000_000}
_TIME: Final = re.compile(r"\d{1,6}\s*[smhdw]|\d{4}-\d\d-\d\d(?:[T ][0-9:.]{4,15}(?:Z|[+-]\d\d:?\d\d)?)?", re.ASCII)
MAX_COUNT: Final = 9_999


def span_us(text: str) -> int | None:
    """Returns the microseconds of a duration such as 5s, 1.5h or 200ms; None if it is not one."""
    match = _SPAN.fullmatch(text)
    return round(float(match[1]) * _UNITS[match[2]]) if match else None


def count_of(text: str) -> int | None:
    """Returns a whole number up to MAX_COUNT; None if it is not one."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= len(str(MAX_COUNT)) else None


def is_group(text: str) -> bool:
    """Whether a text may be the number of an error."""
    return text.isascii() and text.isdigit() and len(text) <= 15


def is_trace(text: str) -> bool:
    """Whether a text may be the id of a trace or an event."""
    return text.isascii() and text.replace("-", "").isalnum() and len(text) <= 64


def is_time(text: str) -> bool:
    """Whether a text looks like a time: 15m, 24h, 7d (ago), 2026-11-23, 2026-11-23T05:15Z. Days that do not exist are found later."""
    return _TIME.fullmatch(text) is not None
