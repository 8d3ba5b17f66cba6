# SPDX-License-Identifier: AGPL-3.0-or-later
"""Splits of an error: the failures whose message matches a pattern, or that were raised in one line of code. Pure."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable
from typing import Final, NamedTuple

from z4j.rules.errors.fingerprints import KEY_BYTES
from z4j.rules.errors.normalised_messages import first_line
from z4j.rules.errors.origins import LINE, line_of

MESSAGE, CODE = 0, 1
KINDS: Final = ("message", "code")
"""Names of the kinds by their numbers."""
LONGEST: Final = LINE
"""Characters of a pattern."""
MOST_STARS: Final = 10

_SPACE: Final = re.compile(r"\s+")
_VALUE: Final = re.compile(r"[\w.+-]*\d[\w.,:+=-]*")
"""A number, or a word that contains one."""


class Split(NamedTuple):
    """`pattern` of a message: its first line, with `*` for any text. `pattern` of code: what `line_of` returns."""

    kind: int
    pattern: str

    @property
    def text(self) -> str:
        """The condition of the split as text."""
        return f"{KINDS[self.kind]} “{self.pattern}”"


def is_part(split: Split, message: str, traceback: str) -> bool:
    """Whether a failure matches the split. The time is linear in the length of the text, whatever the text."""
    if split.kind == CODE:
        return line_of(traceback) == split.pattern
    return _matches(split.pattern, _on_one_line(message))


def problem_of(split: Split) -> str:
    """Returns why a split cannot be made, as a sentence; "" if it can."""
    if not split.pattern:
        return "The pattern is empty."
    if len(split.pattern) > LONGEST or not split.pattern.isprintable():
        return f"A pattern must be one line of at most {LONGEST} characters."
    if split.kind == MESSAGE and not split.pattern.replace("*", "").strip():
        return "The pattern matches every message."
    if split.kind == MESSAGE and split.pattern.count("*") > MOST_STARS:
        return f"A pattern can have at most {MOST_STARS} stars."
    return ""


def part_key(key: bytes, split: Split) -> bytes:
    """Returns the key of the part of a fingerprint."""
    text = f"{split.kind}\x1f{split.pattern}".encode("utf-8", "backslashreplace")
    return hashlib.blake2b(key + b"\x1f" + text, digest_size=KEY_BYTES).digest()


def suggested_messages(messages: Iterable[str]) -> list[tuple[str, int]]:
    """Returns (pattern, number of messages), most frequent first. Words with digits become `*`; quoted texts are kept."""
    patterns = map(_suggested, messages)
    return Counter(pattern for pattern in patterns if not problem_of(Split(MESSAGE, pattern))).most_common()


def lines_of(tracebacks: Iterable[str]) -> list[tuple[str, int]]:
    """Returns (line of code, number of failures), most frequent first."""
    return Counter(line for traceback in tracebacks if (line := line_of(traceback))).most_common()


def _suggested(message: str) -> str:
    pattern = _VALUE.sub("*", _on_one_line(message))
    pieces = pattern.split("*")
    if len(pieces) > MOST_STARS + 1:
        pattern = "*".join(pieces[:MOST_STARS]) + "*"
    return pattern if len(pattern) <= LONGEST else pattern[: LONGEST - 1].rstrip("*") + "*"


def _on_one_line(message: str) -> str:
    return _SPACE.sub(" ", first_line(message))


def _matches(pattern: str, text: str) -> bool:
    first, *others = _SPACE.sub(" ", pattern).split("*")
    if not others:
        return text == first
    if not text.startswith(first):
        return False
    at = len(first)
    *between, last = others
    for piece in between:
        found = text.find(piece, at)
        if found < 0:
            return False
        at = found + len(piece)
    return len(text) - len(last) >= at and text.endswith(last)
