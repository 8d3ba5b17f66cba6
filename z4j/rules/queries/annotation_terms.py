# SPDX-License-Identifier: AGPL-3.0-or-later
"""What attempts report about themselves as `note.name:value` and `trace:id` find it. Pure.

Values compare like those of arguments: in small letters, up to MAX_VALUE characters. A value that was masked is not found.
"""

from __future__ import annotations

import json
from typing import Final

from z4j.rules.queries.arguments import MAX_VALUE
from z4j_agent.wire.redaction import MASK

_MARK: Final = "\x81"
"""Begins each pair, so that it is none of an argument."""


def note_pairs_of(text: str) -> set[str]:
    """Returns the pairs of all notes of a task: JSON, of each attempt a pair of texts, its fields and its ids. Ids are under no name."""
    pairs: set[str] = set()
    for fields, ids in json.loads(text):
        pairs.update(note_pair(name, value) for name, (_, value) in json.loads(fields).items() if MASK not in value)
        pairs.update(note_pair("", value) for _, value in json.loads(ids).values())
    return pairs


def note_pair(name: str, value: str) -> str:
    """Returns one annotation or, with an empty name, an id of another tool as `note_pairs_of` writes it."""
    if not name:
        value = value.replace("-", "")
    return f"{_MARK}{name.casefold()}={value[:MAX_VALUE].casefold()[:MAX_VALUE]}"


def has_note(pairs: set[str], name: str, value: str, *, is_prefix: bool) -> bool:
    """Whether one of the pairs is that one or, with `is_prefix`, begins with it."""
    wanted = note_pair(name, value)
    return any(found.startswith(wanted) for found in pairs) if is_prefix else wanted in pairs
