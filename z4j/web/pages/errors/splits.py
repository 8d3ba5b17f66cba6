# SPDX-License-Identifier: AGPL-3.0-or-later
"""The splits of an error: the parts, the origin, and the conditions for further splits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from z4j.rules.errors.splits import KINDS, lines_of, suggested_messages
from z4j.store.errors import error_splits
from z4j.store.errors.error_groups import ErrorGroup
from z4j.store.errors.error_splits import Part
from z4j.store.sqlite.db import Store

COMPARED: Final = 50
"""Newest failures whose messages and lines of code are suggested."""
OFFERED: Final = 20

Choices = tuple[tuple[str, str], ...]
"""Values of a field with their words."""


@dataclass(frozen=True, slots=True)
class Splits:
    """The splits of an error. `messages` and `lines` are suggested conditions; each is empty if the `compared` newest failures do not
    differ in it."""

    source: Part | None
    parts: tuple[Part, ...]
    messages: Choices
    lines: Choices
    compared: int


async def splits_of(store: Store, group: ErrorGroup, newest: Sequence[tuple[int, int]], *, may_change: bool) -> Splits:
    """Returns the splits of a group. `newest`: its newest failures, (task row, time)."""
    source, parts = await error_splits.find_source(store, group.id), await error_splits.list_parts(store, group.id)
    if not may_change or group.merged_into is not None:
        return Splits(source, tuple(parts), (), (), 0)
    failures = await error_splits.list_messages(store, newest[:COMPARED])
    messages, lines = suggested_messages(message for message, _ in failures), lines_of(traceback for _, traceback in failures)
    return Splits(source, tuple(parts), _choices(messages, len(failures)), _choices(lines, len(failures)), len(failures))


def _choices(counted: Sequence[tuple[str, int]], of: int) -> Choices:
    if len(counted) < 2 and sum(count for _, count in counted) == of:
        return ()
    return tuple((text, f"{text} ({count} of {of})") for text, count in counted[:OFFERED])


def plain_part(part: Part) -> dict[str, Any]:
    """Returns a split as JSON data."""
    return {"id": part.id, "title": part.title, "by": KINDS[part.split.kind], "pattern": part.split.pattern, "is_running": part.is_running}
