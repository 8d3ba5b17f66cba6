# SPDX-License-Identifier: AGPL-3.0-or-later
"""The words of a text as the index of words stores them, and whether a text has them. Pure.

A word is a run of letters and digits in small letters, of which the first `LONGEST` count: `send_receipt` is two of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

LONGEST: Final = 40
MAX_TEXT: Final = 4_000
"""Characters of one text that are searched."""
_WORD: Final = re.compile(r"[^\W_]+")


def words_of(text: str) -> list[str]:
    """Returns the words of a text in their order."""
    folded = text[:MAX_TEXT].casefold()  # which may be longer
    words = _WORD.findall(folded)
    return words if len(folded) <= LONGEST else [word[:LONGEST] for word in words]


def has_words(texts: Iterable[str], wanted: str, *, is_prefix: bool) -> bool:
    """Whether one of the texts has the words of `wanted` one after the other; with `is_prefix` the last one may be a prefix."""
    phrase = " " + " ".join(words_of(wanted)) + ("" if is_prefix else " ")
    return any(phrase in f" {' '.join(words_of(text))} " for text in texts)
