# SPDX-License-Identifier: AGPL-3.0-or-later
"""Prints all output of the command line: names, errors and notes from other sources must not reach the terminal as control characters."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime

from z4j.text import clean, clean_json, clean_lines


def say(text: str, *, is_error: bool = False, end: str = "\n", flush: bool = False) -> None:
    """Prints a text, with control characters escaped except line ends."""
    print(clean_lines(text), file=sys.stderr if is_error else sys.stdout, end=end, flush=flush)


def redraw(text: str) -> None:
    """Replaces the last line on the terminal."""
    print(f"\r{clean(text)}\x1b[K", end="", file=sys.stderr, flush=True)


def print_json(value: object) -> None:
    """Prints a value as JSON, for other programs."""
    say(json_text(value))


def json_text(value: object) -> str:
    """Returns indented JSON for people: readable letters stay, control characters are escaped."""
    return clean_json(json.dumps(value, indent=2, ensure_ascii=False))


def when(at: int | None) -> str:
    """Microseconds UTC to the minute, or a dash."""
    return "-" if at is None else datetime.fromtimestamp(at / 1_000_000, UTC).strftime("%Y-%m-%d %H:%MZ")


def count_or_dash(value: int | None) -> str:
    """Formats a number with thousands separators; a dash for None."""
    return "-" if value is None else f"{value:,}"


def print_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Columns as wide as their widest cell. A cell is one line, whatever is in it."""
    rows = [[clean(cell) for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in (heads, *rows)) for column in range(len(heads))]
    for row in (heads, *rows):
        say("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
