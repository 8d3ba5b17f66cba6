# SPDX-License-Identifier: AGPL-3.0-or-later
"""Reads the tasks that belong to one workflow, by the links that were reported: parents, retries, what a task waits for, and groups."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from z4j.rules.tasks.fold import state_of
from z4j.rules.tasks.states import STATE_NAMES
from z4j.rules.workflows.workflow_graph import Workflow, WorkflowLink, WorkflowTask, make_workflow, unknown_senders
from z4j.store.sqlite import sql
from z4j.store.sqlite.db import Row, Store
from z4j.store.tasks import task_columns, task_ids

SQL = sql.load("workflows/workflow_tasks")
MOST_TASKS: Final = 500
MOST_ORIGINS: Final = 100
MOST_OWN: Final = 250
"""Of the tasks that came from the one that is shown: a large workflow leaves room for them."""
ROUNDS: Final = 4
"""How often the tasks that others wait for are looked up, with what they came from."""
MOST_DEPENDENCIES: Final = 200
DEPENDS_ON: Final = 9
"""Its place among the fields of `sent`."""


@dataclass(frozen=True, slots=True)
class WorkflowRead:
    """A workflow, at most MOST_TASKS of its tasks. `is_complete` is False where there are more, or more than were looked for."""

    workflow: Workflow
    is_complete: bool


async def read_workflow(store: Store, id: int) -> WorkflowRead:
    """Returns the workflow of a task by its row id: the tasks it came from and waited for, all that came from those or wait for them, and
    the other members of its group. An unknown id has no tasks."""
    return await store.read(lambda db: _Reader(db).read(id))


class _Reader:
    """One read of one workflow, in one snapshot."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self.db = db
        self.tasks: dict[int, WorkflowTask] = {}
        self.waits_for: dict[int, list[str]] = {}
        self.groups: dict[str, set[int]] = {}
        self.asked: set[int] = set()
        """Tasks whose groups are known."""
        self.links: set[WorkflowLink] = set()
        self.is_complete = True

    def read(self, id: int) -> WorkflowRead:
        origins = self._walk("list_origins", [id], MOST_ORIGINS)
        self._add([*self._walk("list_followers", [id], MOST_OWN), *origins, *self._walk("list_followers", origins, MOST_TASKS)])
        for _ in range(ROUNDS):
            found = [*self._find_dependencies(), *self._find_members()]
            if not found:
                break
            further = self._walk("list_origins", found, MOST_ORIGINS)
            self._add([*further, *self._walk("list_followers", further, MOST_TASKS)])
        self._read_links()
        senders, sent = unknown_senders(self.tasks, self.links, self.groups)
        self.tasks.update((task.id, task) for task in senders)
        self.links.update(sent)
        connected = self._connected(id)
        tasks = [task for task in self.tasks.values() if task.id in connected]
        return WorkflowRead(make_workflow(tasks, self.links), self.is_complete)

    def _walk(self, block: str, ids: Iterable[int], most: int) -> list[int]:
        rows = self.db.execute(SQL[block], {"ids": json.dumps(list(ids)), "most": most}).fetchall()
        if len(rows) >= most:
            self.is_complete = False
        return [id for (id,) in rows]

    def _add(self, ids: Iterable[int]) -> None:
        """Reads tasks that are not loaded yet, as long as there is room."""
        new = [id for id in dict.fromkeys(ids) if id not in self.tasks]
        room = MOST_TASKS - len(self.tasks)
        if len(new) > room:
            self.is_complete = False
        for row in self.db.execute(SQL["read_workflow_tasks"], {"ids": json.dumps(new[:room])}).fetchall():
            self.tasks[row[0]] = _task(row)
            if row[7] is not None:
                self.waits_for[row[0]] = task_columns.unpack_sent(row[7])[DEPENDS_ON].splitlines()

    def _find_dependencies(self) -> list[int]:
        """Links tasks with those they wait for, and returns the ones that are not loaded yet."""
        pairs = [(id, other) for id, others in self.waits_for.items() for other in others]
        self.waits_for.clear()
        if len(pairs) > MOST_DEPENDENCIES:
            self.is_complete = False
        found = []
        for id, other in pairs[:MOST_DEPENDENCIES]:
            row = self.db.execute(SQL["find_dependency"], {"id": id, "task_id": task_ids.encode(other)}).fetchone()
            if row is not None:
                self.links.add(WorkflowLink(row[0], id, "depends_on"))
                found.append(row[0])
        return [id for id in found if id not in self.tasks]

    def _find_members(self) -> list[int]:
        """Reads the groups of tasks that are new, and returns the members that are not loaded yet."""
        new = self.tasks.keys() - self.asked
        self.asked |= new
        rows = self.db.execute(SQL["list_members"], {"ids": json.dumps(sorted(new)), "most": MOST_TASKS}).fetchall()
        if len(rows) >= MOST_TASKS:
            self.is_complete = False
        for group, task in rows:
            self.groups.setdefault(task_ids.decode(group), set()).add(task)
        return [task for _, task in rows if task not in self.tasks]

    def _read_links(self) -> None:
        for source, target, kind in self.db.execute(SQL["list_links"], {"ids": json.dumps(list(self.tasks))}).fetchall():
            if source is not None:
                self.links.add(WorkflowLink(source, target, kind))

    def _connected(self, id: int) -> set[int]:
        """The tasks that a chain of links joins with this one. Others were found by an id that came again."""
        neighbors: dict[int, list[int]] = {}
        for link in self.links:
            if link.source in self.tasks and link.target in self.tasks:
                neighbors.setdefault(link.source, []).append(link.target)
                neighbors.setdefault(link.target, []).append(link.source)
        reached = [id]
        seen = {id}
        for task in reached:
            new = [other for other in neighbors.get(task, ()) if other not in seen]
            seen.update(new)
            reached += new
        return seen


def _task(row: Row) -> WorkflowTask:
    id, raw, name, engine, key, first_at, runtime_us, _ = row
    return WorkflowTask(id, task_ids.decode(raw), name or "", engine or "", STATE_NAMES[state_of(key)], first_at, runtime_us)
