# SPDX-License-Identifier: AGPL-3.0-or-later
"""Texts are cut at a limit and hold no NUL."""

from __future__ import annotations

import pytest

from z4j.wire.texts import text


@pytest.mark.parametrize(
    ("value", "limit", "stored"),
    [(None, 3, ""), ("", 3, ""), ("abc", 3, "abc"), ("abcd", 3, "ab…"), ("a\0b", 3, "a␀b"), ("a\0bc", 3, "a␀…")],
)
def test_texts(value: str | None, limit: int, stored: str) -> None:
    assert text(value, limit) == stored
