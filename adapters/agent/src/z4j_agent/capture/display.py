# SPDX-License-Identifier: Apache-2.0
"""Redacted values as the one line of text a list shows."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from typing import Any

from z4j_agent.contract.interrupts import let_through
from z4j_agent.wire.codec import make_encoder
from z4j_agent.wire.credentials import key_names
from z4j_agent.wire.redaction import MAX_ITEMS, MAX_TEXT, redact, redact_arguments, redact_text

_encode = make_encoder((", ", ": "), is_ascii=False, default=str)

_PLAIN = frozenset({tuple, list, dict})
"""Only these types may be tested for emptiness: for another type, that runs code of the application."""
_NUMBERS = frozenset({int, float, bool, type(None)})
_LONG = 2**63
_SHORT = 200
"""Characters up to which numbers are written without looking at each."""
TRACEBACK_LIMIT = 16_000
"""Characters of a traceback that are kept; its end, which contains the exception."""


def shorten(text: str, limit: int = MAX_TEXT) -> str:
    """Returns at most `limit` characters; a cut text ends with "…"."""
    return _encodable(text if len(text) <= limit else text[: limit - 1] + "…")


def _encodable(text: str) -> str:
    """Lone surrogates become visible escapes: a UTF-8 reader would refuse a record that contains them."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def show(value: Any, extra: Iterable[str] = ()) -> tuple[str, bool]:
    """Returns one value as JSON-like text of at most MAX_TEXT characters, and whether anything in it was masked or left out. `extra` are
    further names of secrets (`Settings.redact`)."""
    kind = type(value)
    if value is None or kind is bool or (kind is int and -_LONG < value < _LONG):
        return _line(value), False  # nothing in it can be secret
    shown, is_masked = redact(value, extra)
    return shorten(_line(shown)), is_masked


def show_arguments(args: Any, kwargs: Any, extra: Iterable[str] = (), names: Sequence[str] = ()) -> tuple[str, bool]:
    """Returns `[1, "a"]`, `{"k": 2}` or both as text, and whether anything was masked or left out; empty ones are left out. An argument
    whose parameter in `names` sounds secret is masked. At most MAX_TEXT characters."""
    if type(kwargs) in _PLAIN and not kwargs and type(args) in (list, tuple) and (numbers := _numbers(args, names, extra)) is not None:
        return numbers, False
    parts: list[str] = []
    is_masked = False
    if type(args) not in _PLAIN or args:
        is_named = bool(names) and isinstance(args, list | tuple) and len(args) <= MAX_ITEMS
        shown, is_masked = redact_arguments(args, names, extra) if is_named else redact(args, extra)
        parts = [_line(shown)] if shown else []
    if type(kwargs) not in _PLAIN or kwargs:
        shown, is_kwargs_masked = redact(kwargs, extra)
        parts, is_masked = [*parts, _line(shown)] if shown else parts, is_masked or is_kwargs_masked
    return shorten(" ".join(parts) or "[]"), is_masked


def _numbers(args: list[Any] | tuple[Any, ...], names: Sequence[str], extra: Iterable[str]) -> str | None:
    """The text of a few numbers, the most frequent arguments, of which none has a name that matters; None for any others."""
    if len(args) > MAX_ITEMS or not _NUMBERS.issuperset(map(type, args)) or _is_any_secret(tuple(names), tuple(extra)):
        return None
    try:
        text = _line(args)
    except ValueError:  # an integer with more digits than Python writes
        return None
    return text if len(text) <= _SHORT else None


@functools.lru_cache(maxsize=4096)
def _is_any_secret(names: tuple[str, ...], extra: tuple[str, ...]) -> bool:
    return any(key_names.level(name, extra) != key_names.NONE for name in names)


def show_error(text: str, limit: int = MAX_TEXT) -> str:
    """An exception's message or a traceback, masked; of a long traceback the end is kept, which contains the exception."""
    masked = redact_text(text)
    return _encodable(masked if len(masked) <= limit else "…" + masked[-(limit - 1) :])


def text_of(error: Any) -> str:
    """Returns an exception's message, unmasked, at most TRACEBACK_LIMIT characters; its `__str__` is the application's and may raise."""
    try:
        return str(error)[:TRACEBACK_LIMIT]
    except Exception as failed:
        let_through(failed)
        return "(its message cannot be shown)"  # the class name is shown next to it, and nothing more is available


def _line(value: Any) -> str:
    return _encode(value).replace("\n", " ")
