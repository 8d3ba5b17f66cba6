# SPDX-License-Identifier: AGPL-3.0-or-later
"""Deletes tasks from the history on request, and restores them. Runs in the writer's transaction; only `plan_runner` calls it.

What is deleted is kept whole beside the item of its plan for as long as the plan is: every column, runs, original, links.
"""

from __future__ import annotations

import base64
import json
import zlib
from typing import Final, TypedDict

from z4j.rules.tasks.states import FLAGS
from z4j.store.errors import error_changes
from z4j.store.sqlite import sql
from z4j.store.sqlite.db import Connection, Row
from z4j.store.tasks import bulk_deletion, reused_ids, task_changes, task_writer

SQL = sql.load("tasks/task_deletion")

RUN_COLUMNS: Final = 17


class DeletedTask(TypedDict):
    """Rows of a deleted task as they are kept for an undo; each is a list of columns."""

    task: Row
    runs: list[Row]
    notes: list[Row]
    original: list[Row]
    links: list[Row]


def delete_tasks(db: Connection, plan_id: int, items: list[tuple[int, int]]) -> set[int]:
    """Deletes tasks, given as (seq, task row), and keeps a copy of them. Returns the rows that existed."""
    deleted: set[int] = set()
    for seq, task in items:
        cursor = db.execute(SQL["read_task"], {"id": task})
        row = cursor.fetchone()
        if row is None:
            continue
        kept: DeletedTask = {
            "task": row,
            "runs": db.execute(SQL["read_runs"], {"id": task}).fetchall(),
            "notes": db.execute(SQL["read_notes"], {"id": task}).fetchall(),
            "original": db.execute(SQL["read_original"], {"id": task}).fetchall(),
            "links": db.execute(SQL["read_links"], {"id": task}).fetchall(),
        }
        db.execute(SQL["put_kept"], (zlib.compress(json.dumps(kept, default=_blob).encode(), 1), plan_id, seq))
        deleted.add(task)
    if deleted:
        bulk_deletion.delete_tasks(db, list(deleted))
    return deleted


def put_back(db: Connection, plan_id: int, tasks: list[int]) -> set[int]:
    """Restores tasks that `plan_id` deleted. Returns those that exist again; another task may have taken an id meanwhile."""
    back: set[int] = set()
    for task in tasks:
        row = db.execute(SQL["get_kept"], {"id": plan_id, "task": task}).fetchone()
        if row is None or row[0] is None:
            continue
        kept = json.loads(zlib.decompress(row[0]), object_hook=_unblob)
        columns = _columns(db, task)
        missing = columns[len(kept["task"]) :]  # it was deleted by an earlier release
        task_values = kept["task"] = [*kept["task"], *(0 if name == "life" else None for name in missing)]
        is_shared = task_values[columns.index("flags")] & FLAGS["again"]
        tries = (
            (task_values, [task if name == "life" else value for name, value in zip(columns, task_values, strict=True)])
            if is_shared
            else (task_values,)
        )  # another life may be the newest by now
        if not any(db.execute(SQL["put_task"], values).fetchall() for values in tries):
            continue
        kept["original"] = [(*task_values, 0)[:5] for task_values in kept["original"]]  # of an older release, without its broker
        kept["runs"] = [(*run, None)[:RUN_COLUMNS] for run in kept["runs"]]  # of an older release, without what they used
        for part, block in (("runs", "put_run"), ("notes", "put_note"), ("original", "put_original")):
            db.executemany(SQL[block], kept.get(part, ()))  # an earlier release kept no notes
        for link in kept["links"]:
            db.execute(task_writer.SQL["add_link" if link[1] in task_writer.LINKS else "add_relation"], link)
        _, app_id, engine_id, raw, state, *_ = kept["task"]
        if is_shared:
            reused_ids.find_newest(db, (app_id, engine_id, raw))
        names = dict(zip(columns, kept["task"], strict=True))
        task_changes.remove(db, [(app_id, names["environment_id"], engine_id, names["queue_id"], names["name_id"], state, -1)])
        back.add(task)
    error_changes.note(db, back)
    error_changes.write(db)
    return back


def _columns(db: Connection, task: int) -> list[str]:
    return [column[0] for column in db.execute(SQL["read_task"], {"id": task}).description]


def _blob(value: object) -> dict[str, str]:
    assert isinstance(value, bytes)
    return {"b": base64.b64encode(value).decode()}


def _unblob(value: dict[str, str]) -> bytes | dict[str, str]:
    return base64.b64decode(value["b"]) if value.keys() == {"b"} else value
