# SPDX-License-Identifier: AGPL-3.0-or-later
"""Texts of agents as they are stored."""

from __future__ import annotations


def text(value: str | None, limit: int) -> str:
    """Returns a text as it is stored: cut at `limit` characters, NUL made visible (SQLite ends a text at it)."""
    if not value:
        return ""
    if "\0" in value:
        value = value.replace("\0", "␀")
    return value if len(value) <= limit else value[: limit - 1] + "…"
