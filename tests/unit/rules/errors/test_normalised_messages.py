# SPDX-License-Identifier: AGPL-3.0-or-later
"""Normalised messages: values go, what says which error it is stays, and no text takes long."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from z4j.rules.errors.normalised_messages import LENGTH, LIMIT, first_line, normalise


@pytest.mark.parametrize(
    ("message", "error_type", "normal"),
    [
        ("order 4411 of ann@example.com failed", "", "order * of * failed"),
        ("charge 8f14e45f-ceea-4e7a-9f0b-0a1b2c3d4e5f declined", "", "charge * declined"),
        ("Error 111 connecting to redis-1.internal:6379. Connection refused.", "", "Error 111 connecting to *. Connection refused"),
        ("cannot connect to [2001:db8::7]:8443", "", "cannot connect to"),
        ("[Errno 2] No such file or directory: '/var/in/a.pdf'", "", "Errno 2 No such file or directory"),
        ("503 Server Error: Service Unavailable for url: https://a.example/x", "", "503 Server Error: Service Unavailable for url"),
        ("invalid item {'id': 8812, 'tags': ['a', {'b': 1}]} refused", "", "invalid item * refused"),
        ("Object <Cart object at 0x7f9b1c0d2e80> cannot be priced", "", "Object <Cart object at *> cannot be priced"),
        ('violates unique constraint "orders_ref_key"\nDETAIL:  Key (ref)=(7)', "", 'violates unique constraint "orders_ref_key"'),
        ("(1205, 'Lock wait timeout exceeded; try again')", "", "error 1205: Lock wait timeout exceeded; try again"),
        ("signal 9 (SIGKILL) Job: 118.", "", "signal 9 (SIGKILL) Job"),
        ("'NoneType' object has no attribute 'email'", "AttributeError", "'NoneType' object has no attribute 'email'"),
        ("'sku'", "KeyError", "'sku'"),
        ("'SKU-88-1'", "KeyError", "*"),
        ("'ann'", "", "*"),
        ("Größe „XL“ ist unbekannt (Artikel 4711)", "", "Größe * ist unbekannt (Artikel *)"),
        ("held since 2026-11-30T03:00:11.123456+00:00", "", "held since"),
        ("failed for 4711, 4712. Retry at 7: no", "", "failed for *. Retry at *: no"),
        ("Command '['ffmpeg', '-i', '/tmp/a.mp4']' returned", "", "Command * returned"),
        ("TimeLimitExceeded(60,)", "", "TimeLimitExceeded(*)"),
        ("got 'two words' and 'one'", "TypeError", "got * and 'one'"),
        ("got 'one' of 'x1'", "TypeError", "got 'one' of"),
        ("'Not_lower'", "KeyError", "*"),
        ('value "*" of', "", "value * of"),
        ("field 'a b' missing", "", "field * missing"),
        ("argument 'name' missing", "", "argument 'name' missing"),
        ("maximum recursion depth exceeded in comparison", "RecursionError", "maximum recursion depth exceeded"),
        ("Client error '429 Too Many Requests' for url 'https://a.example/'", "", "Client error '429 Too Many Requests' for url"),
        ("", "", ""),
        ("\n\n  late  line ", "", "late line"),
    ],
)  # fmt: skip
def test_values_are_replaced(message: str, error_type: str, normal: str) -> None:
    assert normalise(message, error_type) == normal


TEXT = st.text() | st.text(alphabet="a0'\"[]{}()<>*,.:;/\\@= -_„“|\n", max_size=400)
TYPES = st.sampled_from(["", "KeyError", "AttributeError", "RecursionError"])


@given(TEXT, TYPES)
@settings(max_examples=600, deadline=None)
def test_a_normalised_message_is_not_changed(text: str, error_type: str) -> None:
    once = normalise(text, error_type)
    assert normalise(once, error_type) == once
    assert len(once) <= LENGTH
    assert "\n" not in once


@pytest.mark.parametrize(
    "piece",
    ["a", "1", "'", '"', "{", "[", "*", "* ", "/", "a.", "a.1", "a@", "x:1", "0x", "{'a': ", "[1, ", "\n", "'a' ", "\\", "http://", "„"],
)  # fmt: skip
def test_hostile_messages_take_no_time(piece: str) -> None:
    text = piece * (1_000_000 // len(piece))
    began = time.perf_counter()
    normalise(text)
    normalise(text[:500] + "!")
    assert time.perf_counter() - began < 0.2


def test_only_the_beginning_is_looked_at() -> None:
    assert normalise("a" * 3_000) == "a" * LENGTH
    assert LENGTH == 200
    assert normalise("\n" * 999 + "x") == "x"
    assert normalise("\n" * 1_000 + "x") == ""
    assert normalise("deep [[[[1, 2], 3], 4], 5] end") == "deep * end"


def test_the_first_line_is_the_first_that_says_something() -> None:
    assert first_line("\n \n  no stock in 'eu' \nsecond") == "no stock in 'eu'"
    assert first_line(" \n") == first_line("") == ""
    assert first_line("a" * 3_000) == "a" * LIMIT
