# SPDX-License-Identifier: AGPL-3.0-or-later
from __future__ import annotations

import pytest

from z4j.rules.queries.words import LONGEST, MAX_TEXT, has_words, words_of


def test_words() -> None:
    assert (LONGEST, MAX_TEXT) == (40, 4_000)
    assert words_of("shop.send_receipt(Order-7, ‘Größe’)") == ["shop", "send", "receipt", "order", "7", "grösse"]
    assert words_of(" .,- _ ") == []
    assert words_of("a" * 99) == ["a" * LONGEST]
    assert words_of("x" * MAX_TEXT + " late") == ["x" * LONGEST]


@pytest.mark.parametrize(
    ("wanted", "is_prefix", "has"),
    [
        ("read timed out", False, True),
        ("TIMED", False, True),
        ("timed read", False, False),
        ("time", False, False),
        ("time", True, True),
        ("read tim", True, True),
        ("ead", True, False),
        ("out second", False, False),
    ],
)
def test_texts_have_words(wanted: str, is_prefix: bool, has: bool) -> None:
    assert has_words(["Read timed-out.", "second"], wanted, is_prefix=is_prefix) is has
