# SPDX-License-Identifier: AGPL-3.0-or-later
"""What a template of a link may be, and that no value leads to another place."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from z4j.exceptions import BadInput
from z4j.rules.tasks.link_templates import checked, fill

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
        ("t", "javascript:alert({trace_id})", "https:// or http://"),
        ("t", "data:text/html,{trace_id}", "https:// or http://"),
        ("t", "//x/{trace_id}", "https:// or http://"),
        ("t", "https:///{trace_id}", "and a host"),
        ("t", "https://x:no/{trace_id}", "not a valid URL"),
        ("t", "https://{trace_id}/x", "without placeholders"),
        ("t", "https://x.{app}.example/{trace_id}", "without placeholders"),
        ("t", "https://me@x/{trace_id}", "without a user name"),
        ("t", "https://x\\@y/{trace_id}", "without a user name"),
        ("t", "https://x/trace", "no placeholder"),
        ("t", "https://x/{nothing}", "Unknown placeholder {nothing}"),
        ("t", "https://x/{}", "Unknown placeholder"),
        ("t", "https://x/{note.}", "Unknown placeholder"),
        ("t", "https://x/{trace_id", "brace"),
        ("t", "https://x/{{trace_id}}", "brace"),
    ],
)
def test_templates_that_are_refused(name: str, url: str, words: str) -> None:
    with pytest.raises(BadInput) as caught:
        checked(name, url)
    assert words in caught.value.message


def test_a_link_needs_all_of_its_values() -> None:
    assert fill(TRACE, {"trace_id": "ab"}) == "https://tracing.example/trace/ab"
    assert fill(TRACE, {"trace_id": ""}) == ""
    assert fill(TRACE, {}) == ""


@given(st.text(min_size=1))
def test_a_value_stays_where_its_placeholder_is(value: str) -> None:
    value = value.encode("utf-8", "replace").decode()
    for template in ("https://x.example/a/{note.v}/b", "https://x.example/?v={note.v}&w=1"):
        parts, plain = urlsplit(fill(template, {"note.v": value})), urlsplit(template)
        assert (parts.scheme, parts.netloc) == ("https", "x.example")
        assert parts.path.count("/") == plain.path.count("/")
        assert parts.query.count("&") == plain.query.count("&")
        assert parts.fragment == ""
