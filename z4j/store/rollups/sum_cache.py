# SPDX-License-Identifier: AGPL-3.0-or-later
"""Sums that were read, by slot of time, with what the writer has changed since: the sums of a slot that is over hardly ever change, and a
history would add the same thousands of rows at each view of a page.

A page reads one state of the database. `number`, taken before that state, is the stamp of what it reads; every commit that changes sums
takes a new number after it is visible. A kept slot is valid if none of its steps has changed after its stamp. So a slot that was read
before a commit is not valid after it, and one that was read after a commit but stamped before it is only read once more.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Final

KEPT: Final = 150_000
"""Values in the rows of all keys together, at most 50 bytes each. What was not used for the longest time is dropped."""
CHANGES: Final = 20_000
"""Steps whose last change is known. With more of them, everything that was kept is dropped."""

Row = tuple[int, ...]
_Entry = tuple[int, Sequence[Row]]


class SumCache:
    """One per store. The writer's thread reports changes, any thread reads."""

    def __init__(self) -> None:
        self._number = 1
        self._oldest = 0
        """What was read with an earlier stamp is not kept: it is no longer known what has changed since."""
        self._changed: dict[tuple[int, int], int] = {}
        self._staged: set[tuple[int, int]] = set()
        self._is_all_staged = False
        self._deleted: dict[int, tuple[int, int]] = {}
        """By step, the time before which sums were deleted, and the number of the last such change."""
        self._staged_deletions: dict[int, int] = {}
        self._kept: OrderedDict[Hashable, dict[int, _Entry]] = OrderedDict()
        self._values = 0
        self._lock = threading.Lock()

    @property
    def number(self) -> int:
        """The stamp of what is read from a state of the database that begins now."""
        return self._number

    # -- changes, by the writer ------------------------------------------------------------------------------------------------
    def stage(self, steps: Iterable[tuple[int, int]]) -> None:
        """Remembers that the present transaction changes the sums of these (step, its beginning)."""
        self._staged.update(steps)

    def stage_deletion(self, step: int, before: int) -> None:
        """Remembers that the present transaction deletes sums of a step before a time (microseconds UTC)."""
        self._staged_deletions[step] = max(before, self._staged_deletions.get(step, 0))

    def stage_all(self) -> None:
        """Remembers that the present transaction may change the meaning of a series' id."""
        self._is_all_staged = True

    def commit(self) -> None:
        """What was staged is committed."""
        if not self._staged and not self._staged_deletions and not self._is_all_staged:
            return
        with self._lock:
            self._number += 1
            self._changed.update(dict.fromkeys(self._staged, self._number))
            for step, before in self._staged_deletions.items():
                self._deleted[step] = (max(before, self._deleted.get(step, (0, 0))[0]), self._number)
            if self._is_all_staged or len(self._changed) > CHANGES:
                self._changed.clear()
                self._kept.clear()
                self._values = 0
                self._oldest = self._number
        self.drop()

    def drop(self) -> None:
        """What was staged is rolled back."""
        self._staged.clear()
        self._staged_deletions.clear()
        self._is_all_staged = False

    # -- reading ---------------------------------------------------------------------------------------------------------------
    def find(self, key: Hashable, step: int, slots: Mapping[int, Sequence[int]]) -> dict[int, Sequence[Row]]:
        """Returns the valid ones of the rows that are kept under a key, by the beginning of their slot. `slots` has the beginnings of the
        steps of each, in their order."""
        found = {}
        with self._lock:
            kept = self._kept.get(key)
            if kept is None:
                return {}
            self._kept.move_to_end(key)
            changed, (deleted, number) = self._changed, self._deleted.get(step, (0, 0))
            for slot, steps in slots.items():
                if (entry := kept.get(slot)) is not None:
                    stamp, rows = entry
                    if (steps[0] >= deleted or stamp >= number) and not any(changed.get((step, at), 0) > stamp for at in steps):
                        found[slot] = rows
        return found

    def keep(self, key: Hashable, stamp: int, rows: Mapping[int, Sequence[Row]]) -> None:
        """Keeps what was read with a stamp, by slot."""
        with self._lock:
            if stamp < self._oldest:
                return
            kept = self._kept.setdefault(key, {})
            for slot, of_slot in rows.items():
                old = kept.get(slot)
                if old is None or old[0] <= stamp:
                    self._values += _values(of_slot) - (_values(old[1]) if old else 0)
                    kept[slot] = (stamp, of_slot)
            self._kept.move_to_end(key)
            while self._values > KEPT and self._kept:
                _, dropped = self._kept.popitem(last=False)
                self._values -= sum(_values(of_slot) for _, of_slot in dropped.values())

    def forget_before(self, key: Hashable, slot: int) -> None:
        """Drops the slots of a key before one: a range that moves on does not read them again."""
        with self._lock:
            kept = self._kept.get(key)
            for old in [at for at in kept or () if at < slot]:
                assert kept is not None
                self._values -= _values(kept.pop(old)[1])

    def forget_but(self, key: Hashable, most: int) -> None:
        """Drops all slots of a key but those that were kept last."""
        with self._lock:
            kept = self._kept.get(key, {})
            for old in list(kept)[:-most]:
                self._values -= _values(kept.pop(old)[1])


def _values(rows: Sequence[Row]) -> int:
    """The size of a slot, which has one too if it is empty; its rows are equally long."""
    return 1 + len(rows) * len(rows[0]) if rows else 1
