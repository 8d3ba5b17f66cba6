# SPDX-License-Identifier: AGPL-3.0-or-later
"""Prints all output of the command line: names, errors and notes from other sources must not reach the terminal as control characters."""

from __future__ import annotations

import json
import sys
from typing import Any

from z4j.text import clean, clean_json, clean_lines


def say(text: str, *, is_error: bool = False, end: str = "\n", flush: bool = False) -> None:
    """Prints a text, with control characters escaped except line ends."""
    print(clean_lines(text), file=sys.stderr if is_error else sys.stdout, end=end, flush=flush)


def redraw(text: str) -> None:
    """Replaces the last line on the terminal."""
    print(f"\r{clean(text)}\x1b[K", end="", file=sys.stderr, flush=True)


def print_json(value: Any) -> None:
    """For other programs."""
    say(json_text(value))


def json_text(value: Any) -> str:
    """JSON as a person may look at it: readable letters stay, controls are escapes."""
    return clean_json(json.dumps(value, indent=2, ensure_ascii=False))
