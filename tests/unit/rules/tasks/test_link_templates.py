# SPDX-License-Identifier: AGPL-3.0-or-later
"""What a template of a link may be, and that no value leads to another place."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from z4j.exceptions import BadInput
from z4j.rules.tasks.link_templates import MAX_LINKS, MAX_NAME, MAX_URL, PLACEHOLDERS, checked, fill

TRACE = "https://tracing.example/trace/{trace_id}"


@pytest.mark.parametrize(
    "url",
    [
        TRACE,
        " " + TRACE,
        "http://[::1]:8080/?q={sentry_event_id}",
        "https://shop.example/orders/{note.order}#{task_id}",
        "HTTPS://x/{name}",
    ],
)
def test_templates_that_are_fine(url: str) -> None:
    assert checked(" Trace ", url).url == url.strip()


@pytest.mark.parametrize(
    ("name", "url", "words"),
    [
        ("", TRACE, "name of 1 to"),
        ("x" * 61, TRACE, "name of 1 to"),
        ("a\nb", TRACE, "name of 1 to"),
        ("t", "", "1 to 1000"),
        ("t", TRACE + "x" * 1_000, "1 to 1000"),
        ("t", "https://x/{trace_id} y", "without spaces"),
        ("t", "https://x/\x07{trace_id}", "without spaces"),
        ("t", "x", "https:// or http://"),
        ("t", "javascript:alert({trace_id})", "https:// or http://"),
        ("t", "data:text/html,{trace_id}", "https:// or http://"),
        ("t", "//x/{trace_id}", "https:// or http://"),
        ("t", "https:///{trace_id}", "and a host"),
        ("t", "https://x:no/{trace_id}", "not a valid URL"),
        ("t", "https://{trace_id}/x", "without placeholders"),
        ("t", "https://x.{app}.example/{trace_id}", "without placeholders"),
        ("t", "https://me@x/{trace_id}", "without a user name"),
        ("t", "https://x\\@y/{trace_id}", "without a user name"),
        ("t", "https://x/\\{trace_id}", "without placeholders"),
        ("t", "https://x/trace", "no placeholder"),
        ("t", "https://x/{nothing}", "Unknown placeholder {nothing}"),
        ("t", "https://x/{}", "Unknown placeholder"),
        ("t", "https://x/{note.}", "Unknown placeholder"),
        ("t", "https://x/{trace_id", "brace"),
        ("t", "https://x/trace_id}{name}", "brace"),
        ("t", "https://x/{{trace_id}}", "brace"),
    ],
)
def test_templates_that_are_refused(name: str, url: str, words: str) -> None:
    with pytest.raises(BadInput) as caught:
        checked(name, url)
    assert words in caught.value.message


def test_limits_and_placeholders_are_those_of_the_documents() -> None:
    assert (MAX_LINKS, MAX_NAME, MAX_URL) == (20, 60, 1_000)
    assert PLACEHOLDERS == ("trace_id", "sentry_event_id", "task_id", "name", "queue", "worker", "release", "environment", "app")
    longest = TRACE + "x" * (MAX_URL - len(TRACE))
    assert checked("n" * MAX_NAME, longest) == (0, "n" * MAX_NAME, longest)


@pytest.mark.parametrize(
    ("name", "url", "message", "hint"),
    [
        ("", TRACE, "A link needs a name of 1 to 60 printable characters. No changes were made.", ""),
        ("t", "https://x:no/{name}", "This is not a valid URL. No changes were made.", f"Use {TRACE}."),
        ("t", "https://x/", "The URL has no placeholder. No changes were made.", f"Use {TRACE}."),
        (
            "t", "https://x/{" + "y" * 41 + "}", "Unknown placeholder {" + "y" * 40 + "}. No changes were made.",
            "Use {trace_id}, {sentry_event_id}, {task_id}, {name}, {queue}, {worker}, {release}, {environment}, {app}, or {note.order} "
            "for an annotation.",
        ),
    ],
)  # fmt: skip
def test_a_refusal_names_the_remedy(name: str, url: str, message: str, hint: str) -> None:
    with pytest.raises(BadInput) as caught:
        checked(name, url)
    assert (caught.value.message, caught.value.hint) == (message, hint)


def test_a_link_needs_all_of_its_values() -> None:
    assert fill("https://x/{trace_id}/{note.v}", {"trace_id": "ab"}) == ""
    assert fill(TRACE, {"trace_id": "ab"}) == "https://tracing.example/trace/ab"
    assert fill(TRACE, {"trace_id": ""}) == ""
    assert fill(TRACE, {}) == ""


@given(st.text(min_size=1))
@settings(deadline=None)
def test_a_value_stays_where_its_placeholder_is(value: str) -> None:
    value = value.encode("utf-8", "replace").decode()
    for template in ("https://x.example/a/{note.v}/b", "https://x.example/?v={note.v}&w=1"):
        parts, plain = urlsplit(fill(template, {"note.v": value})), urlsplit(template)
        assert (parts.scheme, parts.netloc) == ("https", "x.example")
        assert parts.path.count("/") == plain.path.count("/")
        assert parts.query.count("&") == plain.query.count("&")
        assert parts.fragment == ""
