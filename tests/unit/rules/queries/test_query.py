# SPDX-License-Identifier: AGPL-3.0-or-later
from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from z4j.rules.queries.fields import FIELDS, ORDERS
from z4j.rules.queries.parse import parse
from z4j.rules.queries.query import Query, Term, format_query, is_path
from z4j.rules.queries.words import words_of
from z4j.rules.tasks.states import STATES

VALUES = st.text(min_size=2, max_size=12).filter(lambda text: "\x00" not in text) | st.text('ab".,-*\\: ', min_size=2, max_size=6)
FREE = [name for name, field in FIELDS.items() if field.kind in ("name", "text")]
TERMS = st.one_of(
    st.builds(Term, st.sampled_from(FREE), VALUES, is_not=st.booleans(), is_prefix=st.booleans()),
    st.builds(Term, st.just("words"), VALUES.filter(words_of), is_not=st.booleans(), is_prefix=st.booleans()),
    st.builds(Term, st.just("state"), st.sampled_from(sorted(STATES)), is_not=st.booleans()),
    st.builds(Term, st.sampled_from(["ran", "waited"]), st.sampled_from(["5s", "1.5h", "200ms"]), st.sampled_from([">", ">=", "<", "<="])),
    st.builds(Term, st.just("attempt"), st.sampled_from(["1", "12"]), st.sampled_from(["", ">", "<="])),
    st.builds(Term, st.just("args"), VALUES, path=st.sampled_from(["0", "user_id", "user.id", "a-b.0"]), is_not=st.booleans()),
)
ONCE = st.tuples(
    st.sampled_from([(), (Term("since", "2h"),), (Term("since", "2026-11-23 05:15"), Term("until", "1h"))]),
    st.sampled_from([(), (Term("id", "x:1, y"),)]),
)


@given(st.lists(TERMS, max_size=8), ONCE, st.sampled_from(ORDERS))
@settings(deadline=None)
def test_the_text_of_a_query_parses_to_the_query(terms: list[Term], once: tuple[tuple[Term, ...], tuple[Term, ...]], order: str) -> None:
    query = Query((*terms, *once[0], *once[1]), order)
    text = format_query(query)
    assert parse(text) == query
    assert format_query(parse(text)) == text


@pytest.mark.parametrize(
    ("query", "text"),
    [
        (Query(), ""),
        (Query((Term("state", "failed"), Term("state", "lost"))), "state:failed,lost"),
        (Query((Term("state", "failed"), Term("state", "lost", is_not=True))), "state:failed -state:lost"),
        (Query((Term("name", "emails.", is_prefix=True), Term("words", "two words"))), 'name:emails.* "two words"'),
        (Query((Term("words", "failed"), Term("words", "shop.ship"), Term("words", "plain"))), '"failed" "shop.ship" plain'),
        (Query((Term("ran", "2s", ">"), Term("ran", "9s", "<")), "ran"), "ran:>2s ran:<9s order:ran"),
        (Query((Term("args", "42", path="user_id"),)), "args.user_id:42"),
        (Query((Term("attempt", "1"), Term("attempt", "3", ">"), Term("attempt", "2"))), "attempt:1 attempt:>3 attempt:2"),
        (Query((Term("words", "b5a1f3c2-0000-4000-8000-00000000000A"),)), '"b5a1f3c2-0000-4000-8000-00000000000A"'),
        (Query((Term("queue", "a,b"), Term("queue", 'say "x"'))), 'queue:"a,b","say \\"x\\""'),
        (Query((Term("queue", "-x"), Term("queue", ">x"))), 'queue:"-x",">x"'),
    ],
)
def test_texts(query: Query, text: str) -> None:
    assert format_query(query) == text


def test_what_a_term_is() -> None:
    assert Term("name", "a").is_exact
    for term in (Term("name", "a", is_not=True), Term("name", "a", is_prefix=True), Term("ran", "5s", ">"), Term("args", "1", path="x")):
        assert not term.is_exact
    assert (Term("args", "1", path="x").key, Term("words", "x").key, Term("env", "x").key) == ("args.x", "", "env")
    assert Query((Term("name", "a"), Term("queue", "b"))).of("queue") == [Term("queue", "b")]
    assert Term("words", "x").info().kind == "words"
    assert Term("env", "x").info().kind == "name"


def test_a_term_that_was_not_typed_is_nowhere() -> None:
    assert (Term("state", "failed").start, Term("state", "failed").length) == (0, 0)


def test_paths() -> None:
    assert all(map(is_path, ("0", "user_id", "user.id", "a-b")))
    assert not any(map(is_path, ("", ".", "a.", ".a", "a b", 'a"')))
