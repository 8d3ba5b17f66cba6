# SPDX-License-Identifier: AGPL-3.0-or-later
"""Arguments and results, taken apart for reading: they arrive as one line of JSON-ish text. Pure."""

from __future__ import annotations

import json
from typing import Any, Final

SHORT: Final = 72


def pairs(args: str) -> tuple[tuple[str, str], ...]:
    """(position or name, value) of `[1, "a"]`, `{"k": 1}` or `[1] {"k": 1}`; nothing when the text was cut or is no JSON."""
    decoder = json.JSONDecoder()
    found: list[tuple[str, str]] = []
    rest = args.strip()
    while rest:
        try:
            value, end = decoder.raw_decode(rest)
        except (ValueError, RecursionError):
            return ()
        if isinstance(value, list):
            found += [(str(place), pretty(item)) for place, item in enumerate(value)]
        elif isinstance(value, dict):
            found += [(name, pretty(item)) for name, item in value.items()]
        else:
            return ()
        rest = rest[end:].strip()
    return tuple(found)


def pretty(value: Any) -> str:
    """JSON on one line when it is short, indented when it is not."""
    line = json.dumps(value, ensure_ascii=False)
    return line if len(line) <= SHORT else json.dumps(value, ensure_ascii=False, indent=2)


def pretty_text(text: str) -> str:
    """JSON text indented; other text as it is."""
    try:
        return pretty(json.loads(text))
    except (ValueError, RecursionError):
        return text
