# SPDX-License-Identifier: AGPL-3.0-or-later
"""What follows from a changed task row, in the transaction that changes it. The one place that adds to tables computed from tasks.

Each of them is a sum over the present rows (and, after a deletion, over the rows that were): what an old row contributed is taken out, what
the new one contributes is added. So they are exact whatever the order, the copies and the batches of events.
"""

from __future__ import annotations

from collections.abc import Iterable

from z4j.rules.tasks.states import FINAL_CODES
from z4j.store.errors import error_changes
from z4j.store.rollups.queue_ledger import LedgerChanges
from z4j.store.rollups.rollup_writer import Place, RollupChanges, place_of
from z4j.store.search.word_changes import WordChanges
from z4j.store.sqlite import sql
from z4j.store.sqlite.db import Connection
from z4j.store.tasks.task_columns import TaskColumns

SQL = sql.load("tasks/task_changes")


class TaskChanges:
    """The changed rows of one batch. Call `write` at the end."""

    def __init__(self) -> None:
        self._counters: dict[Place, dict[int, int]] = {}
        """Place → state → how many tasks more."""
        self._rollups = RollupChanges()
        self._ledger = LedgerChanges()
        self._failures: list[int] = []
        self._ended: list[int] = []
        """Tasks that ended or moved, and whose rows tell nothing of a failure."""
        self._words = WordChanges()

    def add(self, app_id: int, engine_id: int, task: int, old: TaskColumns | None, new: TaskColumns | None) -> None:
        """Notes that the row `task` had the columns `old` (None: is new) and has `new` (None: became part of another)."""
        before = after = None
        if old is not None:
            before = place_of(app_id, engine_id, old)
            states = self._of(before)
            states[old.state] = states.get(old.state, 0) - 1
        if new is not None:
            after = place_of(app_id, engine_id, new)
            if after != before:
                states = self._of(after)
            states[new.state] = states.get(new.state, 0) + 1
        self._rollups.add(before, old, after, new)
        self._ledger.add(app_id, engine_id, old, new)
        if error_changes.may_matter(old, new):
            self._failures.append(task)
        elif old is not None and new is not None and (before != after or (new.state != old.state and new.state in FINAL_CODES)):
            self._ended.append(task)
        if old is not None and new is not None:  # a new one is found by its id
            self._words.add(task, old, new)

    def _of(self, place: Place) -> dict[int, int]:
        states = self._counters.get(place)
        if states is None:
            states = self._counters[place] = {}
        return states

    def write(self, db: Connection) -> None:
        """Writes what follows, at the latest before the commit."""
        error_changes.note(db, self._failures)
        error_changes.note_counted(db, self._ended)
        self._words.write(db)
        counters: dict[tuple[int, ...], tuple[int, ...]] = {
            (app_id, environment_id, engine_id, queue_id, name_id, state): (tasks,)
            for (app_id, environment_id, engine_id, name_id, queue_id), states in self._counters.items()
            for state, tasks in states.items()
        }
        db.add_sums(SQL["add_to_counter"], counters)
        db.add_late(self._rollups)
        self._ledger.write(db)


def remove(db: Connection, rows: Iterable[tuple[int, int, int, int, int, int, int]]) -> None:
    """Subtracts deleted tasks, (app, environment, engine, queue, name, state, how many), from the counters."""
    db.executemany(SQL["add_to_counter"], [(*row[:6], -row[6]) for row in rows])
