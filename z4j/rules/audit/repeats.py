# SPDX-License-Identifier: AGPL-3.0-or-later
"""Decides which of many equal rows the audit log contains one by one, and which are counted in one row. Pure: time comes from the
caller.

In each minute the first few equal ones of a person are rows of their own, the rest are counted; so is everything beyond a number of rows
that no person needs. A client that polls an export, or one that is refused in a loop, cannot fill the disk.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, NamedTuple

WINDOW_US: Final = 60_000_000
ALONE: Final = 3
"""Equal rows in one window that are written one by one."""
ROWS: Final = 120
"""Rows of one person in one window; those beyond are counted by action alone."""
KEYS: Final = 2_000
"""Different rows, of all users, that are remembered at the same time."""


class Key(NamedTuple):
    """What makes two rows equal."""

    actor: str
    role: str
    action: str
    target: str
    outcome: str
    why: str
    address: str


@dataclass(slots=True)
class Count:
    """Equal rows of one window: how many came, how many of them have no row of their own, and when."""

    seen: int = 0
    counted: int = 0
    first_at: int = 0
    last_at: int = 0


@dataclass(slots=True)
class Repeats:
    """`is_row` for each one, `take` when a window is over."""

    began_at: int = 0
    counts: dict[Key, Count] = field(default_factory=dict)
    rows: dict[str, int] = field(default_factory=dict)

    @property
    def is_waiting(self) -> bool:
        """Whether something was counted that no row says yet."""
        return any(count.counted for count in self.counts.values())

    def is_row(self, key: Key, at: int) -> bool:
        """Whether this one is a row of its own. The caller takes what was counted when `is_over`."""
        if not self.counts:
            self.began_at = at
        written = self.rows.get(key.actor, 0)
        if written >= ROWS or (key not in self.counts and len(self.counts) >= KEYS):
            self._count(key._replace(target="", why="", address=""), at)
            return False
        count = self.counts.setdefault(key, Count())
        count.seen += 1
        if count.seen > ALONE:
            self._count(key, at)
            return False
        self.rows[key.actor] = written + 1
        return True

    def is_over(self, at: int) -> bool:
        """Whether the window has ended, or the clock went back."""
        return bool(self.counts) and not self.began_at <= at < self.began_at + WINDOW_US

    def take(self) -> list[tuple[Key, Count]]:
        """Returns the counted rows and starts a new window."""
        counted = [(key, count) for key, count in self.counts.items() if count.counted]
        self.counts.clear()
        self.rows.clear()
        return counted

    def _count(self, key: Key, at: int) -> None:
        count = self.counts.setdefault(key, Count())
        count.counted += 1
        count.first_at = count.first_at or at
        count.last_at = at
