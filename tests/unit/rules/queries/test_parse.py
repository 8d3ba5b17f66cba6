# SPDX-License-Identifier: AGPL-3.0-or-later
from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from z4j.rules.queries.parse import MAX_LENGTH, MAX_TERMS, WrongQuery, parse
from z4j.rules.queries.query import Query, Term

ID = "b5a1f3c2-0000-4000-8000-000000000001"


def words(*terms: Term, order: str = "first") -> Query:
    return Query(terms, order)


@pytest.mark.parametrize(
    ("text", "query"),
    [
        ("", words()),
        ("  ", words()),
        ("state:failed", words(Term("state", "failed"))),
        ("state:failed,lost -state:queued", words(Term("state", "failed"), Term("state", "lost"), Term("state", "queued", is_not=True))),
        ("name:emails.* -env:staging", words(Term("name", "emails.", is_prefix=True), Term("env", "staging", is_not=True))),
        ("task:a environment:b task_id:c", words(Term("name", "a"), Term("env", "b"), Term("id", "c"))),
        ("waited:>5s ran:<=200ms", words(Term("waited", "5s", ">"), Term("ran", "200ms", "<="))),
        ("attempt:2 attempt:>=3", words(Term("attempt", "2"), Term("attempt", "3", ">="))),
        ("enqueued:unknown", words(Term("enqueued", "unknown"))),
        ("args.user_id:42 arg.0:x*", words(Term("args", "42", path="user_id"), Term("args", "x", path="0", is_prefix=True))),
        ("since:2h until:2026-11-23T05:15Z", words(Term("since", "2h"), Term("until", "2026-11-23T05:15Z"))),
        (
            "error_group:12,7 -error_group:9",
            words(Term("error_group", "12"), Term("error_group", "7"), Term("error_group", "9", is_not=True)),
        ),
        ("caller:shop/views.py:12", words(Term("caller", "shop/views.py:12"))),
        ('"two words" -"not these"', words(Term("words", "two words"), Term("words", "not these", is_not=True))),
        ('"say \\"x\\" \\\\ y"', words(Term("words", 'say "x" \\ y'))),
        ('queue:"a b"*,c', words(Term("queue", "a b", is_prefix=True), Term("queue", "c"))),
        (f"failed shop.ship plain {ID}", words(Term("state", "failed"), Term("name", "shop.ship"), Term("words", "plain"), Term("id", ID))),
        ("-shop.ship -plain", words(Term("name", "shop.ship", is_not=True), Term("words", "plain", is_not=True))),
        ('"failed" a,b refund*', words(Term("words", "failed"), Term("words", "a,b"), Term("words", "refund", is_prefix=True))),
        ("order:ran", words(order="ran")),
        ("ran:<9s queue:>x", words(Term("ran", "9s", "<"), Term("queue", ">x"))),
        ('queue:"a\\b"', words(Term("queue", "a\\b"))),
    ],
)
def test_queries(text: str, query: Query) -> None:
    assert parse(text) == query


@pytest.mark.parametrize(
    ("text", "wrong", "says"),
    [
        ("queue:a stat:failed", "stat", "Unknown field “stat”"),
        ("queue:a -stat:failed", "-stat", "Unknown field"),
        ("name.x:1", "name.x", "Unknown field"),
        ("a state:sleepy b", "state:sleepy", "Unknown state “sleepy”"),
        ("state:failed,sleepy", "sleepy", "Unknown state"),
        ("state:", "state:", "has no value"),
        ("state:failed,", "state:failed,", "has no value"),
        ('name:"open', '"open', "not closed"),
        ("name:a*b c", "name:a*b", "end of a value"),
        ("*", "*", "nothing to search for"),
        ("- x", "-", "nothing to search for"),
        ('a""', 'a""', "middle of a word"),
        ('"a",b', '"a",b', "middle of a word"),
        ("a*", "a*", "at least two letters"),
        ("a … b", "…", "no word"),
        ("args:42", "args:", "name or its position"),
        ("args.:42", "args.:", "name or its position"),
        ("ran:5s", "ran:5s", "comparison"),
        ("ran:>5", "ran:>5", "comparison"),
        ("-ran:>5s", "-ran:>5s", "cannot be negated"),
        ("attempt:>x", "attempt:>x", "needs a number"),
        ("error_group:x", "error_group:x", "needs the number of an error"),
        ("error_group:12*", "error_group:12*", "not support"),
        ("enqueued:no", "enqueued:no", "known or unknown"),
        ("-enqueued:known", "-enqueued:known", "cannot be negated"),
        ("since:yesterday", "since:yesterday", "not a valid time"),
        ("since:1h since:2h", "since:2h", "used twice"),
        ("order:ran order:first", "order:first", "used twice"),
        ("order:size", "order:size", "Unknown order"),
        ("state:fail*", "state:fail*", "not support \\*"),
        (f"-{ID}", f"-{ID}", "cannot be excluded"),
    ],
)
def test_a_wrong_word_is_pointed_at(text: str, wrong: str, says: str) -> None:
    with pytest.raises(WrongQuery, match=says) as caught:
        parse(text)
    assert text[caught.value.start : caught.value.start + caught.value.length] == wrong
    assert caught.value.text == text
    assert caught.value.hint
    assert caught.value.located.endswith(f"at character {caught.value.start + 1}: {wrong}.")


def test_terms_say_where_they_are() -> None:
    text = 'a:b -queue:"x y",z'.replace("a:b", "state:lost")
    assert [text[term.start : term.start + term.length] for term in parse(text).terms] == ["state:lost", '-queue:"x y"', "z"]


def test_limits() -> None:
    assert len(parse(" ".join(["queue:a"] * MAX_TERMS)).terms) == MAX_TERMS
    with pytest.raises(WrongQuery, match="more than"):
        parse(" ".join(["queue:a"] * (MAX_TERMS + 1)))
    assert parse("a" * MAX_LENGTH)
    with pytest.raises(WrongQuery, match="longer"):
        parse("a" * (MAX_LENGTH + 1))


@given(st.text(max_size=40) | st.text('state:name"*-,.\\<> order1sfailed', max_size=40))
@settings(deadline=None)
def test_any_text_is_a_query_or_points_into_itself(text: str) -> None:
    wrong = _wrong(text)
    if wrong is not None:
        assert 0 <= wrong.start <= len(text)
        assert wrong.length >= 1
        assert wrong.start + wrong.length <= max(len(text), 1)


def _wrong(text: str) -> WrongQuery | None:
    try:
        parse(text)
    except WrongQuery as wrong:
        return wrong
    return None


ANY_FIELD = (
    "Fields are state, name, queue, engine, worker, app, env, release, error, error_group, label, route, caller, enqueued, args, note, "
    "trace, waited, ran, attempt, since, until, id, order. To search for the text, put quotes around it."
)
MESSAGES = [
    ('state:""', "There is nothing to search for.", "Write a word, or put quotes around several words."),
    (
        "queue:a stat:failed",
        "Unknown field “stat”.",
        ANY_FIELD,
    ),
    (
        "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx:1",
        "Unknown field “xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx”.",
        ANY_FIELD,
    ),
    ("args:42", "An argument needs its name or its position.", "Use args.user_id:42, or args.0:42 for the first one."),
    ("args.:42", "An argument needs its name or its position.", "Use args.user_id:42, or args.0:42 for the first one."),
    ("state:", "“state:” has no value.", "Expected: state of the task."),
    ("args.x:", "“args.x:” has no value.", "Expected: an argument: args.user_id:42, or args.0:42 by position."),
    ("-ran:>5s", "“ran:” cannot be negated.", "Reverse the comparison: ran:<=5s."),
    ("-attempt:2", "“attempt:” cannot be negated.", "Use the opposite condition."),
    ("-since:1h", "“since:” cannot be negated.", "Use the opposite condition."),
    ('name:"open', "A quote is not closed.", 'Put a " at the end of the value.'),
    ("name:a*b c", "A * is allowed only at the end of a value.", "Put quotes around a value that contains a *."),
    ("*", "There is nothing to search for.", "Write a word, or put quotes around several words."),
    ('a""', "There is a quote in the middle of a word.", 'Put a space before or after it; inside quotes write \\" for a quote.'),
    ("… b", "This text contains no word.", "Search for letters or digits."),
    ("a*", "A * needs at least two letters before it.", "Add a letter."),
    (
        "state:sleepyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy",
        "Unknown state “sleepyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy”.",
        "Use one of scheduled, queued, received, running, retrying, lost, cancelled, expired, rejected, failed, succeeded.",
    ),
    ("order:size", "Unknown order “size”.", "Use one of first, ran, waited."),
    ("ran:5s", "“ran:” needs a comparison with a duration.", "Use ran:>5s, or <, with us, ms, s, m, h or d."),
    ("attempt:>x", "“attempt:” needs a number.", "Use attempt:>1, or attempt:2."),
    ("error_group:x", "“error_group:” needs the number of an error.", "Use error_group:12; the page of the error has that number."),
    ("since:yesterday", "“yesterday” is not a valid time.", "Use 15m, 24h, 7d, or a date like 2026-11-23 or 2026-11-23T05:15Z."),
    ("since:1h since:2h", "“since:” is used twice.", "Remove one of them."),
    ("state:fail*", "“state:” does not support *.", "Write the whole value."),
    ("-b5a1f3c2-0000-4000-8000-000000000001", "A task ID cannot be excluded.", "Exclude a name, a state or a word."),
    ("name:", "“name:” has no value.", "Expected: task name, or a prefix such as emails.*."),
]


@pytest.mark.parametrize(("text", "message", "hint"), MESSAGES, ids=[text for text, _, _ in MESSAGES])
def test_what_is_said(text: str, message: str, hint: str) -> None:
    with pytest.raises(WrongQuery) as caught:
        parse(text)
    assert (caught.value.message, caught.value.hint) == (message, hint)


def test_bounds() -> None:
    assert (MAX_LENGTH, MAX_TERMS) == (2_000, 60)
    with pytest.raises(WrongQuery, match=r"^The query is longer than 2000 characters\.$"):
        parse("a" * 2_001)
    with pytest.raises(WrongQuery, match=r"^The query has more than 60 conditions\.$"):
        parse("queue:a " * 61)
    with pytest.raises(WrongQuery) as caught:
        parse("stat:x" + "y" * 80)
    assert caught.value.located == "Unknown field “stat”. In the query at character 1: stat."
    with pytest.raises(WrongQuery) as caught:
        parse("state:" + "y" * 80)
    assert caught.value.located.endswith(f"at character 1: state:{'y' * 54}.")


def test_the_end_is_pointed_at_where_something_is_missing() -> None:
    with pytest.raises(WrongQuery) as caught:
        parse("a" * 2_001)
    assert (caught.value.start, caught.value.length, caught.value.hint) == (2_000, 1, "Use fewer words.")
    with pytest.raises(WrongQuery, match="not closed"):
        parse('"a\\')
    assert WrongQuery("a", "b", "text", 4, 1).located == "a In the query at character 5: the end."
    for text in ("state:" + "y" * 41, "order:" + "y" * 41):
        with pytest.raises(WrongQuery, match=f"“{'y' * 40}”"):
            parse(text)


def test_two_letters_before_a_star_are_enough() -> None:
    assert parse("ab*") == words(Term("words", "ab", is_prefix=True))
    assert parse('"shop.ship"* failed* queue:…') == words(
        Term("words", "shop.ship", is_prefix=True), Term("words", "failed", is_prefix=True), Term("queue", "…")
    )
    assert parse("a,b") == words(Term("words", "a,b"))


def test_long_texts_are_cut_in_what_is_said() -> None:
    with pytest.raises(WrongQuery, match=f"“args.{'x' * 35}:” has no value"):
        parse(f"args.{'x' * 60}:")
    with pytest.raises(WrongQuery, match=f"“{'1' * 40}” is not a valid time"):
        parse(f"since:{'1' * 60}")


def test_too_many_conditions_are_fewer_words() -> None:
    with pytest.raises(WrongQuery) as caught:
        parse("queue:a " * (MAX_TERMS + 1))
    assert (caught.value.hint, caught.value.start) == ("Use fewer words.", 8 * MAX_TERMS)
