# SPDX-License-Identifier: AGPL-3.0-or-later
from __future__ import annotations

import pytest

from z4j.rules.queries.fields import (
    ALIASES,
    FIELDS,
    KNOWN,
    ONCE,
    ORDERS,
    WITH_WILDCARD,
    WITHOUT_NEGATION,
    WORDS,
    count_of,
    is_group,
    is_time,
    span_us,
)


@pytest.mark.parametrize(
    ("text", "us"),
    [("5s", 5_000_000), ("200ms", 200_000), ("1.5h", 5_400_000_000), ("7us", 7), ("2m", 120_000_000), ("1d", 86_400_000_000)],
)
def test_durations(text: str, us: int) -> None:
    assert span_us(text) == us


@pytest.mark.parametrize("text", ["5", "s", "-5s", "5 s", "5S", "1e3s", "9999999999s", "٣s", ""])
def test_no_durations(text: str) -> None:
    assert span_us(text) is None


def test_counts() -> None:
    assert [count_of(text) for text in ("0", "2", "9999", "10000", "-1", "2.5", "", "٣")] == [0, 2, 9999, None, None, None, None, None]


def test_numbers_of_errors() -> None:
    assert all(map(is_group, ("0", "12", "9" * 15)))
    assert not any(map(is_group, ("", "x", "-1", "1.5", "9" * 16, "٣")))


def test_times() -> None:
    assert all(map(is_time, ("15m", "24h", "7d", "2w", "2026-11-23", "2026-11-23T05:15Z", "2026-11-23 05:15:01.5+01:00")))
    assert not any(map(is_time, ("yesterday", "15", "m", "2026-11", "2026-11-23x")))


def test_every_field_says_what_it_is() -> None:
    assert all(field.hint and field.name == name for name, field in FIELDS.items())


def test_the_language() -> None:
    assert {name: field.kind for name, field in FIELDS.items()} == {
        "state": "state",
        "name": "name",
        "queue": "name",
        "engine": "name",
        "worker": "name",
        "app": "name",
        "env": "name",
        "release": "name",
        "error": "text",
        "error_group": "group",
        "label": "text",
        "route": "text",
        "caller": "text",
        "enqueued": "known",
        "args": "arguments",
        "note": "arguments",
        "trace": "trace",
        "waited": "span",
        "ran": "span",
        "attempt": "count",
        "since": "time",
        "until": "time",
        "id": "id",
        "order": "order",
    }
    assert (WORDS.name, WORDS.kind) == ("words", "words")
    assert ALIASES == {"task": "name", "environment": "env", "task_id": "id", "arg": "args"}
    assert ORDERS == ("first", "ran", "waited")
    assert KNOWN == ("known", "unknown")
    assert {"since", "until", "id", "order"} == ONCE
    assert {"name", "text", "arguments", "words"} == WITH_WILDCARD
    assert {"id", "span", "count", "time", "order", "known"} == WITHOUT_NEGATION


def test_hints() -> None:
    assert {name: field.hint for name, field in FIELDS.items()} == {
        "state": "state of the task",
        "name": "task name, or a prefix such as emails.*",
        "queue": "queue",
        "engine": "engine, such as celery",
        "worker": "worker that ran the task",
        "app": "app",
        "env": "environment",
        "release": "release of the worker",
        "error": "type of the exception",
        "error_group": "number of an error, as in the URL of its page",
        "label": "label set by the application",
        "route": "route of the request that enqueued it",
        "caller": "code that enqueued it, such as shop/views.py:12",
        "enqueued": "unknown: sent by a producer that is not monitored",
        "args": "an argument: args.user_id:42, or args.0:42 by position",
        "note": "an annotation of the task: note.order:42",
        "trace": "trace ID of OpenTelemetry or event ID of Sentry",
        "waited": "time until it started: waited:>5s",
        "ran": "time it ran: ran:>2s",
        "attempt": "number of the attempt: attempt:>1",
        "since": "reported since: since:2h, since:2026-11-23",
        "until": "reported before",
        "id": "ID of the engine",
        "order": "first (newest first), ran or waited (longest first)",
    }
    assert WORDS.hint == "words in names, arguments, results and exceptions"
