# SPDX-License-Identifier: AGPL-3.0-or-later
"""Plain tables for the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from z4j.cli.output import say
from z4j.text import clean


def when(at: int | None) -> str:
    """Microseconds UTC to the minute, or a dash."""
    return "-" if at is None else datetime.fromtimestamp(at / 1_000_000, UTC).strftime("%Y-%m-%d %H:%MZ")


def print_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Columns as wide as their widest cell. A cell is one line, whatever is in it."""
    rows = [[clean(cell) for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in (heads, *rows)) for column in range(len(heads))]
    for row in (heads, *rows):
        say("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
