# SPDX-License-Identifier: AGPL-3.0-or-later
"""Notes tasks whose words changed after they were indexed, in the transaction that changes them. `task_changes` uses it.

Most tasks end before they are indexed, and cost nothing here: the index is a second or two behind.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from z4j.clock import DAY_US
from z4j.store.sqlite import sql
from z4j.store.sqlite.db import Connection
from z4j.store.tasks.task_columns import TaskColumns

SQL = sql.load("search/word_index")

INPUT: Final = 1
OUTCOME: Final = 2
NOTES: Final = 4
LINES: Final = 8
"""Log lines, see `store.logs.log_lines`."""
OUTCOME_COLUMNS: Final = slice(TaskColumns._fields.index("error_type"), TaskColumns._fields.index("result") + 1)
"""error_type, error and result."""
_CLAIMED: Final = "words claimed"


class WordChanges:
    """The changed rows of one batch. Call `write` at the end."""

    def __init__(self) -> None:
        self._parts: dict[int, int] = {}

    def add(self, task: int, old: TaskColumns, new: TaskColumns) -> None:
        """Notes a changed row; a new one is found by its id."""
        parts = 0
        if old.args != new.args or old.name_id != new.name_id or old.label != new.label:
            parts = INPUT
        if old[OUTCOME_COLUMNS] != new[OUTCOME_COLUMNS]:
            parts |= OUTCOME
        if old.first_at != new.first_at and old.first_at // DAY_US != new.first_at // DAY_US:
            parts = INPUT | OUTCOME
        if parts:
            self._parts[task] = self._parts.get(task, 0) | parts

    def write(self, db: Connection) -> None:
        """Writes them, but for tasks that are still to be indexed for the first time."""
        _write(db, self._parts)


def note(db: Connection, tasks: Iterable[int], parts: int) -> None:
    """Notes that these parts of tasks changed, but for tasks that are still to be indexed for the first time."""
    _write(db, dict.fromkeys(tasks, parts))


def _write(db: Connection, parts_of: Mapping[int, int]) -> None:
    if not parts_of:
        return
    claimed = db.recall(_CLAIMED).get("to")
    changes = [(task, parts) for task, parts in parts_of.items() if claimed is None or task <= claimed]
    if changes:
        db.executemany(SQL["note_change"], changes)


def claim(db: Connection, to: int) -> None:
    """From now on changes of tasks up to this id are noted. Until it is called, and after an error of the writer, those of all are."""
    db.recall(_CLAIMED)["to"] = to
