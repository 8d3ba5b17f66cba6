# SPDX-License-Identifier: AGPL-3.0-or-later
"""Compares the sources of a queue now and earlier: shares by caller, and tasks by name. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple, TypeVar

K = TypeVar("K")
Kind = Literal["schedule", "parent", "route", "code", ""]
MORE: Final = 2.0
"""Factor from which an increase is marked."""
LEAST: Final = 10
"""Tasks or, of a share, percent, below which nothing is marked."""


class Caller(NamedTuple):
    """Who sent a task: a schedule, a task (by its name), a route of a web application, or a line of code. `kind` is "" where that was not
    reported. `key` is the row id of a schedule."""

    kind: Kind
    text: str
    key: int = 0


UNKNOWN: Final = Caller("", "")


@dataclass(frozen=True, slots=True)
class Part:
    """What one caller or task name sends: a number of tasks now and before; `before` is None where nothing is known of that time."""

    now: float
    before: float | None
    is_more: bool


def caller_of(schedule: tuple[int, str] | None, parent: str | None, sent: Mapping[str, object]) -> Caller:
    """Returns who sent a task: the schedule that made it, else the task it was sent by, else the route, else the line of code."""
    if schedule is not None:
        return Caller("schedule", schedule[1], schedule[0])
    if parent:
        return Caller("parent", parent)
    for kind in ("route", "code"):
        text = sent.get(kind)
        if isinstance(text, str) and text:
            return Caller("route" if kind == "route" else "code", text)
    return UNKNOWN


def compare(now: Mapping[K, float], before: Mapping[K, float] | None, most: int) -> dict[K, Part]:
    """Returns the parts with the most, now or before, in the order of how much they are now; at most `most`."""
    keys = sorted(now.keys() | (before or {}).keys(), key=lambda key: (-max(now.get(key, 0), (before or {}).get(key, 0)), str(key)))[:most]
    found: dict[K, Part] = {}
    for key in sorted(keys, key=lambda key: (-now.get(key, 0), str(key))):
        was = None if before is None else before.get(key, 0.0)
        is_more = was is not None and now.get(key, 0) >= LEAST and now.get(key, 0) >= MORE * was
        found[key] = Part(now.get(key, 0), was, is_more)
    return found
