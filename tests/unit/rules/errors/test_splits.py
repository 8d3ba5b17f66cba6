# SPDX-License-Identifier: AGPL-3.0-or-later
"""What a split takes from an error: patterns of messages, lines of code, and what is suggested for them."""

from __future__ import annotations

import pytest

from z4j.rules.errors.splits import (
    CODE,
    LONGEST,
    MESSAGE,
    MOST_STARS,
    Split,
    is_part,
    lines_of,
    part_key,
    problem_of,
    suggested_messages,
)

TRACE = 'Traceback (most recent call last):\n  File "/srv/shop/tasks.py", line {}, in charge\n    {}\nKeyError: 1\n'


@pytest.mark.parametrize(
    ("pattern", "message", "is_in"),
    [
        ("no stock in eu", "no stock in eu", True),
        ("no stock in eu", "no stock in us", False),
        ("no stock in eu", "no stock in eu-1", False),
        ("no stock*", "no stock", True),
        ("no stock*", "no  stock in\teu\nsecond line", True),
        ("no stock*", "there is no stock", False),
        ("*stock", "no stock", True),
        ("*stock", "no stock in eu", False),
        ("no * in *", "no stock in eu", True),
        ("no * in *", "no stock, eu", False),
        ("no * in eu", "no stock in eu in us", False),
        ("no*in*in eu", "no in eu", False),
        ("a*a", "a", False),
        ("a*a", "aa", True),
        ("a*b*c", "acb", False),
        ("a*b*c", "a-b-b-c", True),
        ("*b*", "abc", True),
        ("no  stock *", "no stock eu", True),
        ("second*", "\n \nsecond line", True),
        ("", "", True),
        ("*b*", "bc", True),
    ],
)
def test_a_pattern_is_compared_with_the_first_line(pattern: str, message: str, is_in: bool) -> None:
    assert is_part(Split(MESSAGE, pattern), message, "") is is_in


def test_a_line_of_code_is_known_by_its_source_not_by_its_number() -> None:
    split = Split(CODE, "shop.tasks.charge: pay(order)")
    assert is_part(split, "whatever", TRACE.format(3, "pay(order)"))
    assert is_part(split, "", TRACE.format(99, "pay(order)"))
    assert not is_part(split, "", TRACE.format(3, "refund(order)"))
    assert not is_part(split, "shop.tasks.charge: pay(order)", "")


@pytest.mark.parametrize(
    ("kind", "pattern", "problem"),
    [
        (MESSAGE, "no stock*", ""),
        (MESSAGE, "*", "The pattern matches every message."),
        (MESSAGE, "* *", "The pattern matches every message."),
        (CODE, "*", ""),
        (MESSAGE, "", "The pattern is empty."),
        (CODE, "", "The pattern is empty."),
        (MESSAGE, "a" * LONGEST, ""),
        (MESSAGE, "a" * (LONGEST + 1), f"A pattern must be one line of at most {LONGEST} characters."),
        (CODE, "a\nb", f"A pattern must be one line of at most {LONGEST} characters."),
        (MESSAGE, "a*" * MOST_STARS, ""),
        (MESSAGE, "a*" * (MOST_STARS + 1), f"A pattern can have at most {MOST_STARS} stars."),
        (CODE, "f: x" + "*" * (MOST_STARS + 1), ""),
    ],
)
def test_what_cannot_be_split_by_is_said(kind: int, pattern: str, problem: str) -> None:
    assert problem_of(Split(kind, pattern)) == problem


def test_each_split_of_a_fingerprint_has_a_key_of_its_own() -> None:
    splits = [Split(MESSAGE, "a"), Split(CODE, "a"), Split(MESSAGE, "b")]
    keys = {part_key(key, split) for key in (b"one", b"two") for split in splits}
    assert len(keys) == 6
    assert {len(key) for key in keys} == {16}
    assert part_key(b"", Split(MESSAGE, "\udc80"))
    assert part_key(b"one", splits[0]).hex() == "5aa35ff2491f3ecd21061b7e61e6b9d5", "stored keys are compared with it"


def test_what_is_split_off_has_words() -> None:
    assert Split(MESSAGE, "no *").text == "message “no *”"
    assert Split(CODE, "shop.charge: pay()").text == "code “shop.charge: pay()”"


def test_messages_are_suggested_without_numbers_and_with_their_words() -> None:
    found = suggested_messages(["user 'bob' has 3 orders in eu-1", "user 'bob' has 44 orders in eu-7\nmore", "no stock", "", " 17 "])
    assert found == [("user 'bob' has * orders in *", 2), ("no stock", 1)]


def test_a_long_message_is_suggested_up_to_a_star() -> None:
    [(numbers, _)] = suggested_messages([" ".join(f"a {n}" for n in range(40))])
    assert numbers == "a * " * (MOST_STARS - 1) + "a *"
    assert is_part(Split(MESSAGE, numbers), " ".join(f"a {n}" for n in range(40)), "")
    [(text, _)] = suggested_messages(["word " * 200])
    assert len(text) <= LONGEST
    assert text.endswith("*")
    assert is_part(Split(MESSAGE, text), "word " * 200, "")
    for pattern in (numbers, text):
        assert problem_of(Split(MESSAGE, pattern)) == ""


def test_bounds_of_what_is_suggested() -> None:
    def suggested(message: str) -> str:
        return suggested_messages([message])[0][0]

    assert (MOST_STARS, LONGEST) == (10, 300)
    numbers = " ".join(f"a {n}" for n in range(10))
    assert suggested(f"{numbers} end") == "a * " * 10 + "end"
    assert suggested(f"{numbers} b 11 end") == "a * " * 9 + "a *"
    assert suggested("a" * 300) == "a" * 300
    assert suggested("a" * 301) == "a" * 299 + "*"
    assert suggested("b" * 297 + " 1 " + "c" * 9) == "b" * 297 + " *"


def test_lines_of_code_are_counted() -> None:
    traces = [TRACE.format(3, "pay()"), TRACE.format(4, "pay()"), TRACE.format(3, "refund()"), "", "no traceback"]
    assert lines_of(traces) == [("shop.tasks.charge: pay()", 2), ("shop.tasks.charge: refund()", 1)]
