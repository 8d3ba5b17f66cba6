# SPDX-License-Identifier: Apache-2.0
"""The checks that save a search never skip one that would find something: on the corpus, and on texts made of parts of the patterns."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from z4j_agent.wire.credentials import assignments, token_formats, urls

CORPUS = json.loads((Path(__file__).parent / "data" / "redaction.json").read_text("utf-8"))
ATOMS = (
    '= : -> => := %3D ＝ ： → " \' \\" [0] [a] ] [ &quot; , / :// ? & @ - -- _ . password token key name value VALUE v V k id',
    "default text current old new plain data content string_value Bearer basic bot ghs genie hooks.slack.com/ hook.eu1.make.com/",
    "/api/webhooks/ 123/ api.telegram.org/bot hc-ping.com/ IA AKIA ABCDEFGHIJKLMNOP ghp_ z4a_ sk_live_ secret order 4711 00000000",
    ": K ſ İ é https user < > { } ( ) 1 abcdefghijklmnopqrstuvwxyz aB3dEfGh12Zq7Canary",
)


def _texts(of: Any) -> Iterator[str]:
    if isinstance(of, dict):
        for key, value in of.items():
            yield key
            yield from _texts(value)
    elif isinstance(of, list):
        for value in of:
            yield from _texts(value)
    elif isinstance(of, str):
        yield of


@pytest.fixture(scope="module")
def texts() -> list[str]:
    chance, atoms = random.Random(7), [*" ".join(ATOMS).split(), " ", " ", "\n"]
    made = ["".join(chance.choice(atoms) for _ in range(chance.randint(2, 30))) for _ in range(15_000)]
    return [*dict.fromkeys(_texts(CORPUS)), *made]


def test_names_are_the_same_without_trying_parts_of_them(texts: list[str]) -> None:
    found = 0
    for text in texts:
        if "->" in text or "%" in text or "\\u" in text:
            continue
        spans = [match.span(number) for match in assignments.NAMED.finditer(text) for number in (0, 1, 2)]
        found += len(spans)
        quick = assignments._named(text) if spans or assignments._JOINT.search(text) else iter(())
        assert [match.span(number) for match in quick for number in (0, 1, 2)] == spans, text
    assert found > 1_000


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        (token_formats._SCHEME, token_formats._SCHEMES), (assignments._ENTRY, assignments._VALUE_WORDS),
        (assignments._ENTRY_BACK, assignments._VALUE_WORDS),
    ],
    ids=["scheme", "entry", "entry_back"],
)  # fmt: skip
def test_a_text_that_matches_has_one_of_the_words(texts: list[str], pattern: re.Pattern[str], words: tuple[str, ...]) -> None:
    matching = [text for text in texts if pattern.search(text)]
    assert matching
    for text in matching:
        is_value = words is assignments._VALUE_WORDS and assignments._VALUE_V.search(text) is not None
        assert is_value or token_formats.has_any(text, words), text


def test_the_other_checks(texts: list[str]) -> None:
    seen = {"webhook": 0, "inner": 0, "telegram": 0, "user": 0}
    for text in texts:
        for match in token_formats._WEBHOOK.finditer(text):
            seen["webhook"] += 1
            assert any(host in text for host in token_formats._WEBHOOK_HOSTS), match
        for match in token_formats._INNER.finditer(text):
            seen["inner"] += 1
            assert "_" in match[0] or "IA" in match[0], match
        if token_formats._TELEGRAM.search(text):
            seen["telegram"] += 1
            assert token_formats._DIGITS8.search(text)
        for match in urls._URL.finditer(text):
            spans = list(urls._user(text, match.start(1), match.end(1)))
            seen["user"] += len(spans)
            assert not spans or "@" in text, match
    assert all(seen.values()), seen
