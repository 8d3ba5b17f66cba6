# SPDX-License-Identifier: AGPL-3.0-or-later
"""Parses and formats arguments and results, which are reported as one line of text similar to JSON. Pure."""

from __future__ import annotations

import json
from typing import Any, Final

SHORT: Final = 72


def pairs(args: str) -> tuple[tuple[str, str], ...]:
    """(position or name, value) of `[1, "a"]`, `{"k": 1}` or `[1] {"k": 1}`; () when the text is truncated or not JSON."""
    decoder = json.JSONDecoder()
    items: list[tuple[str, str]] = []
    rest = args.strip()
    while rest:
        try:
            value, end = decoder.raw_decode(rest)
        except (ValueError, RecursionError):
            return ()
        if isinstance(value, list):
            items += [(str(index), pretty(item)) for index, item in enumerate(value)]
        elif isinstance(value, dict):
            items += [(name, pretty(item)) for name, item in value.items()]
        else:
            return ()
        rest = rest[end:].strip()
    return tuple(items)


def pretty(value: Any, depth: int = 0) -> str:
    """Formats JSON on one line when it is short, else indented, with flat lists on one line."""
    line = json.dumps(value, ensure_ascii=False)
    if len(line) + 2 * depth <= SHORT or not isinstance(value, (dict, list)) or not value:
        return line
    inner, outer = "  " * (depth + 1), "  " * depth
    if isinstance(value, dict):
        parts = [f"{json.dumps(name, ensure_ascii=False)}: {pretty(item, depth + 1)}" for name, item in value.items()]
        return "{\n" + ",\n".join(inner + part for part in parts) + f"\n{outer}}}"
    if not any(isinstance(item, (dict, list)) for item in value):
        return line
    return "[\n" + ",\n".join(inner + pretty(item, depth + 1) for item in value) + f"\n{outer}]"


def pretty_text(text: str) -> str:
    """Formats JSON text; returns other text unchanged."""
    try:
        return pretty(json.loads(text))
    except (ValueError, RecursionError):
        return text
