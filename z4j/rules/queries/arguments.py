# SPDX-License-Identifier: AGPL-3.0-or-later
"""Arguments as `args.path:value` finds them: each value under its name or position, and under the keys that lead to it. Pure.

Values compare as JSON writes them, texts without their quotes and in small letters. A value that was masked is under no path.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final

from z4j_agent.wire.redaction import MASK

MAX_PAIRS: Final = 64
MAX_DEPTH: Final = 4
MAX_VALUE: Final = 100
"""Characters of a value that are compared."""


_scan: Final[Callable[[str, int], tuple[Any, int]]] = json.JSONDecoder().scan_once  # type: ignore[attr-defined]
_WORDS: Final = {True: "true", False: "false", None: "null"}


def arguments_of(text: str) -> tuple[list[Any], dict[str, Any]] | None:
    """Returns the positional and named arguments of `[1, "a"]`, `{"k": 1}` or `[1] {"k": 1}`; None if the text was cut or is not JSON."""
    rest = text.strip()
    positional: list[Any] = []
    named: dict[str, Any] = {}
    end, length = 0, len(rest)
    while end < length:
        try:
            value, end = _scan(rest, end)
        except (ValueError, RecursionError, StopIteration):
            return None
        if isinstance(value, list):
            positional += value
        elif isinstance(value, dict):
            named |= value
        else:
            return None
        while end < length and rest[end].isspace():
            end += 1
    return positional, named


def pairs_of(text: str) -> set[str]:
    """Returns `path=value` of every value in the arguments, up to MAX_PAIRS. An item of a list is also under the path of the list."""
    arguments = arguments_of(text)
    if arguments is None:
        return set()
    pairs: set[str] = set()
    for index, value in enumerate(arguments[0]):
        _add(pairs, str(index), value, MAX_DEPTH)
    for name, value in arguments[1].items():
        _add(pairs, name.casefold(), value, MAX_DEPTH)
    return pairs


def pair(path: str, value: str) -> str:
    """Returns `path=value` as `pairs_of` writes it."""
    return f"{path.casefold()}={value[:MAX_VALUE].casefold()[:MAX_VALUE]}"


def has_argument(pairs: set[str], path: str, value: str, *, is_prefix: bool) -> bool:
    """Whether one of the pairs is that one or, with `is_prefix`, begins with it."""
    wanted = pair(path, value)
    return any(found.startswith(wanted) for found in pairs) if is_prefix else wanted in pairs


def _add(pairs: set[str], path: str, value: Any, depth: int) -> None:
    """`path` is in small letters."""
    if len(pairs) >= MAX_PAIRS or not depth:
        return
    if isinstance(value, str):
        if MASK not in value:
            pairs.add(f"{path}={value[:MAX_VALUE].casefold()[:MAX_VALUE]}")
    elif type(value) is int:
        pairs.add(f"{path}={value}"[: len(path) + 1 + MAX_VALUE])
    elif isinstance(value, dict):
        for name, item in value.items():
            _add(pairs, f"{path}.{name.casefold()}", item, depth - 1)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            _add(pairs, f"{path}.{index}", item, depth - 1)
            if not isinstance(item, (dict, list)):
                _add(pairs, path, item, depth)
    elif value is None or value is True or value is False:
        pairs.add(f"{path}={_WORDS[value]}")
    else:
        pairs.add(f"{path}={json.dumps(value).casefold()}")  # true, null, a number with a point: all short
