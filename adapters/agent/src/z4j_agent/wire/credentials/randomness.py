# SPDX-License-Identifier: Apache-2.0
"""Whether a word looks random, as keys and tokens do. Pure."""

from __future__ import annotations

from typing import Final

from z4j_agent.wire.credentials.lazy_patterns import lazy

_UUID: Final = lazy(r"[0-9a-fA-F]{8}-?(?:[0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}")
_DATE: Final = lazy(r"\d{4}-\d\d-\d\d(?:[T ]\d.*)?")
_HEX: Final = lazy(r"[0-9a-f]{20,}|[0-9A-F]{20,}")
_DIGIT: Final = lazy(r"\d")
_UPPER: Final = lazy(r"[A-Z]")
_LOWER: Final = lazy(r"[a-z]")
_KIND: Final = lazy(r"[a-z]+|[A-Z]+|[0-9]+|[^A-Za-z0-9]+")
_CAPITALS: Final = lazy(r"[A-Z]{2,}")
_WORD: Final = lazy(r"[A-Za-z0-9_+=~!@#$%^&*|-]{8,}")
_PIECES: Final = lazy(r"[-_.~:=%+]")
_PASSWORDISH: Final = lazy(r"\S{4,}")


def is_uuid(word: str) -> bool:
    """Whether a word is a UUID, with or without hyphens."""
    return _UUID.fullmatch(word) is not None


def is_hex(word: str) -> bool:
    """Whether a word consists of at least twenty hexadecimal digits in one case."""
    return _HEX.fullmatch(word) is not None


def has_all(word: str) -> bool:
    """Whether a word contains upper case, lower case and digits of ASCII."""
    return _DIGIT.search(word) is not None and _UPPER.search(word) is not None and _LOWER.search(word) is not None


def looks_random(value: str) -> bool:
    """Whether a value under a name that may be harmless looks like a credential: no sentence, path, date, UUID, slug or version."""
    word = value.strip()
    if not _WORD.fullmatch(word[:4_096]) or _DATE.fullmatch(word) or (is_uuid(word) and not is_hex(word)):
        return False
    if has_all(word) or is_hex(word):
        return True
    letters = sum(map(str.isalpha, word))
    digits = sum(map(str.isdigit, word))
    # A slug with a number (`order-2026-0012`) has its digits together; in random text they are mixed.
    return len(word) >= 10 and digits >= 3 and letters >= 3 and len(_KIND.findall(word)) >= 5 and "-" not in word and "_" not in word


def is_opaque(segment: str) -> bool:
    """Whether a part of a link looks like the secret of a link that performs an action (a reset, an invitation)."""
    word = segment.strip("/")
    if len(word) < 6 or (len(word) < 20 and (word.islower() or word.istitle() or word.isupper()) and _DIGIT.search(word) is None):
        return False
    if len(word) >= 20 and (is_uuid(word) or is_hex(word)):
        return True
    if len(word) >= 8 and (has_all(word) or _is_mixed(word)):
        return True
    if len(word) >= 12 and word.isalpha() and not (word.islower() or word.isupper()):
        # Letters alone, their case mixed at random. A page's name in camel case has fewer changes and is shorter.
        return len(word) >= 32 or len(_KIND.findall(word)) >= len(word) / 3 or len(_CAPITALS.findall(word)) >= 3
    return len(word) >= 20 and word.isalnum() and not word.isdigit()


def _is_mixed(word: str) -> bool:
    """Whether it has digits and letters, and a piece of it changes between kinds of characters twice."""
    if sum(map(str.isdigit, word)) < 2 or sum(map(str.isalpha, word)) < 2:
        return False
    return any(len(piece) >= 3 and len(_KIND.findall(piece)) >= 3 for piece in _PIECES.split(word))


def turns(word: str) -> int:
    """Returns the number of changes between kinds of characters in a word."""
    return len(_KIND.findall(word))
