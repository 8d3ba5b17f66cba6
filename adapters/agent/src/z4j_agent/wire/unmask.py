# SPDX-License-Identifier: Apache-2.0
"""The reverse of `redaction`: merges an operator's edit of masked values with the originals. Pure; the server reads it with the same
code.

Displayed values are masked, and an edit contains the mask for every unchanged secret. The rules, for a value at any depth:

- The mask alone keeps the original's value at the same position, of any type.
- A value that equals the displayed one keeps the complete original, including masked keys and items that were left out.
- Any other text with a mask, as a value or a name, was changed around a hidden part. It is refused: the change is not dropped silently,
  and no mask reaches a task.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from z4j_agent.wire.redaction import MASK, redact, redact_string, redact_text

ABSENT: Final = object()
"""Represents a missing original value."""
_REST: Final = re.compile(r"(… )?\d+ more")
Typed = Callable[[Any, Any, str], Any]


class CannotUnmask(ValueError):
    """The message contains the position and the reason, as half a sentence."""


def unmask(new: Any, old: Any, where: str, *, is_kept: bool = True, typed: Typed | None = None) -> Any:
    """Returns `new` with the originals of `old` instead of masks. Raises CannotUnmask.

    `where` names the value in the message. `is_kept` is False if only an agent has the originals: then a mask without one stays. `typed`
    is called first, for values without a JSON form, and returns ABSENT for all others.
    """
    return _Unmasking(is_kept, typed).value(new, old, where)


class _Unmasking:
    def __init__(self, is_kept: bool, typed: Typed | None) -> None:
        self._is_kept, self._typed = is_kept, typed

    def value(self, new: Any, old: Any, where: str) -> Any:
        if self._typed is not None and (typed := self._typed(new, old, where)) is not ABSENT:
            return typed
        if isinstance(new, str):
            return self._behind(new, old, where) if MASK in new else new
        if not isinstance(new, dict | list):
            return new
        if old is not ABSENT and _is_as_shown(new, old):
            return old
        return self._mapping(new, old, where) if isinstance(new, dict) else self._items(new, old, where)

    def _behind(self, new: str, old: Any, where: str) -> Any:
        if old is ABSENT:
            if not self._is_kept:
                return new
            raise CannotUnmask(f"{where} is masked, and no stored value exists")
        if new == MASK or (isinstance(old, str) and new in (old, redact_string(old)[0], redact_text(old))):
            return old
        raise CannotUnmask(f"{where} was changed around a masked part; enter the complete value")

    def _mapping(self, new: dict[str, Any], old: Any, where: str) -> dict[Any, Any]:
        inner = old if isinstance(old, Mapping) else {}
        values: dict[Any, Any] = {}
        for shown, value in new.items():
            if shown == "…" and shown not in inner and _is_rest(value):
                raise CannotUnmask(f"{where} was not shown completely; enter the complete value")
            key = self._key(shown, inner, where) if MASK in shown and shown not in inner else shown
            values[key] = self.value(value, inner.get(key, ABSENT), f"{where}, {shown}")
        return values

    def _key(self, shown: str, inner: Mapping[Any, Any], where: str) -> Any:
        keys = [key for key in inner if isinstance(key, str) and redact_string(key)[0] == shown]
        if len(keys) == 1:
            return keys[0]
        if not self._is_kept and not inner:
            return shown
        raise CannotUnmask(f"{where} has a masked key that the stored value does not have; enter the complete value")

    def _items(self, new: list[Any], old: Any, where: str) -> list[Any]:
        items = old if isinstance(old, list | tuple) else []
        if new and len(items) > len(new) - 1 and _is_rest(new[-1]) and new[-1] not in items:
            raise CannotUnmask(f"{where} was not shown completely; enter the complete value")
        return [self.value(value, items[at] if at < len(items) else ABSENT, f"{where}, item {at + 1}") for at, value in enumerate(new)]


def _is_as_shown(new: Any, old: Any) -> bool:
    """Whether a value is unchanged. Compared as JSON texts, because 1, 1.0 and true are equal in Python."""
    if not isinstance(old, Mapping | list | tuple):
        return False
    try:
        return json.dumps(new) == json.dumps(redact(old)[0], default=str)
    except (ValueError, TypeError, RecursionError):
        return False


def _is_rest(value: Any) -> bool:
    """Whether it is the text with which `redact` replaces omitted items."""
    return isinstance(value, str) and _REST.fullmatch(value) is not None
