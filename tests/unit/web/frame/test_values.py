# SPDX-License-Identifier: AGPL-3.0-or-later
from __future__ import annotations

import json

import pytest

from z4j.web.frame.values import pairs, pretty, pretty_text


@pytest.mark.parametrize(
    ("args", "found"),
    [
        ("", ()),
        ("[]", ()),
        ('[1, "a"]', (("0", "1"), ("1", '"a"'))),
        ('{"token": "•••"}', (("token", '"•••"'),)),
        ('[1] {"k": null}', (("0", "1"), ("k", "null"))),
        ('[1, "cut of', ()),
        ("<object at 0x1>", ()),
        ("5", ()),
        ("[" * 5_000, ()),
    ],
)
def test_pairs(args: str, found: tuple[tuple[str, str], ...]) -> None:
    assert pairs(args) == found


def test_pretty_breaks_only_what_is_long() -> None:
    assert pretty({"a": [1, 2]}) == '{"a": [1, 2]}'
    value = {"numbers": list(range(60)), "deep": [{"name": "x" * 60}, {"name": "y"}], "none": {}}
    text = pretty(value)
    assert json.loads(text) == value
    assert text.splitlines()[1].startswith('  "numbers": [0, 1, 2')


def test_other_text_stays() -> None:
    assert pretty_text("<Result 5>") == "<Result 5>"
    assert pretty_text('{"a":1}') == '{"a": 1}'
