# SPDX-License-Identifier: AGPL-3.0-or-later
"""Every SQL block prepares, is used, and no query of a page or of ingest scans the tasks."""

from __future__ import annotations

import re
import sqlite3
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from z4j.store.sqlite import migrate, sql
from z4j.store.tasks import task_writer
from z4j.store.tasks.task_columns import TaskColumns

FOLDER = Path(migrate.__file__).parent
STEMS = sorted(str(path.relative_to(FOLDER).with_suffix("")) for path in FOLDER.rglob("*.sql") if path.parent.name != "migrations")
BLOCKS = [(stem, name) for stem in STEMS for name in sql.load(stem)]

SCANS_TASKS = {
    ("tasks/task_writer", "newest_task"),  # `max(id)` is one step to the end of the table, whatever the plan calls it
    ("tasks/disk_usage", "count_names"),
    ("tasks/disk_usage", "count_rollups"),  # by a reader, once a minute while the database is too large
    ("rollups/rollup_deletion", "list_unused_series"),  # by a reader, once an hour
    ("names/unused_names", "used_names"),  # by a reader, once an hour: the statistics and the index of workers
}
LARGE = (
    "task", "run", "original", "task_link", "task_relation", "rollup", "rollup_bucket", "worker_rollup", "queue_rollup", "error_task",
    "error_hour",
)  # fmt: skip


@pytest.fixture(scope="module")
def db(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sqlite3.Connection]:
    path = tmp_path_factory.mktemp("sql") / "z4j.db"
    migrate.migrate(path)
    connection = sqlite3.connect(path, isolation_level=None)
    yield connection
    connection.close()


def plan(db: sqlite3.Connection, stem: str, name: str) -> list[str]:
    text = sql.load(stem)[name]
    numbered = [int(number) for number in re.findall(r"\?(\d+)", text)]
    params = dict.fromkeys(re.findall(r":(\w+)", text), 1) or [1] * max(numbered, default=text.count("?"))
    return [row[3] for row in db.execute(f"EXPLAIN QUERY PLAN {text}", params)]


def test_there_are_blocks() -> None:
    assert ("tasks/tasks", "walk_state_older") in BLOCKS


@pytest.mark.parametrize(("stem", "name"), BLOCKS)
def test_block_prepares(db: sqlite3.Connection, stem: str, name: str) -> None:
    if "\nPRAGMA" in sql.load(stem)[name]:
        db.execute(sql.load(stem)[name]).fetchall()
    else:
        plan(db, stem, name)


@pytest.mark.parametrize(("stem", "name"), BLOCKS)
def test_block_is_used(stem: str, name: str) -> None:
    sources = "".join(path.read_text("utf-8") for path in FOLDER.parent.rglob("*.py"))
    walks = re.fullmatch(r"walk_\w+_(older|newer)", name)
    assert walks or f'"{name}"' in sources, f"{stem}.sql: nobody uses {name}"


@pytest.mark.parametrize("stem", STEMS)
def test_block_says_what_it_answers(stem: str) -> None:
    text = FOLDER.joinpath(f"{stem}.sql").read_text("utf-8")
    assert text.startswith("-- SPDX-License-Identifier: AGPL-3.0-or-later\n")
    for name, block in sql.load(stem).items():
        assert block.startswith("-- "), f"{stem}.sql: {name} begins with a line that says what it is for"


def test_block_names_are_unique() -> None:
    for stem in STEMS:
        names = re.findall(r"^-- (\w+) --$", FOLDER.joinpath(f"{stem}.sql").read_text("utf-8"), re.MULTILINE)
        assert [name for name, count in Counter(names).items() if count > 1] == []


@pytest.mark.parametrize(("stem", "name"), BLOCKS)
def test_no_query_scans_the_large_tables(db: sqlite3.Connection, stem: str, name: str) -> None:
    if "\nPRAGMA" in sql.load(stem)[name] or (stem, name) in SCANS_TASKS:
        return
    text = sql.load(stem)[name]
    aliases = {alias: table for table, alias in re.findall(r"(?:FROM|JOIN) (\w+) AS (\w+)", text)}
    for step in plan(db, stem, name):
        # "SCAN x USING INDEX" walks an index in order from an end, which a LIMIT has to bound; a bare SCAN reads the table.
        scanned = re.match(r"SCAN (\w+)(?: USING (?:COVERING )?INDEX (\w+))?", step)
        if scanned and aliases.get(scanned[1], scanned[1]) in LARGE:
            assert scanned[2], f"{stem}.{name}: {step}"
            assert "LIMIT" in text, f"{stem}.{name}: {step}"


def test_every_column_that_refers_to_a_name_or_a_process_is_looked_at_before_one_is_deleted(db: sqlite3.Connection) -> None:
    """A table that a later migration adds must be in unused_names.sql, or names it uses would be deleted."""
    text = "\n".join(sql.load("names/unused_names").values())
    covered = set(re.findall(r"SELECT (?:DISTINCT )?(\w+) FROM (\w+)", text)) | {("worker_id", "run"), ("boot_id", "run")}
    counted = {(f"{kind}_id", "task") for kind in ("name", "queue", "environment", "engine")}  # by the counters, which count every task
    counted.add(("engine_id", "life_event"))  # that of a task
    others = {
        "app_id",
        "user_id",
        "task_id",
        "plan_id",
        "schedule_id",
        "key_id",
        "seal_key_id",
        "command_id",
        "parent_id",
        "token_id",
        "owner_id",
        "series_id",
        "alert_id",
        "target_id",
        "channel_id",
        "rule_id",
        "incident_id",
    }
    missing = []
    for (table,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
        for column in (row[1] for row in db.execute(f"PRAGMA table_info({table})")):
            if column.endswith("_id") and column not in others and (column, table) not in covered | counted:
                missing.append((column, table))
    assert missing == []


@pytest.mark.parametrize("drive", ["first", "state", "name", "queue", "worker", "bad_name", "bad_queue", "bad_worker", "label"])
@pytest.mark.parametrize("direction", ["older", "newer"])
def test_walks_search_their_index_and_never_sort(db: sqlite3.Connection, drive: str, direction: str) -> None:
    steps = plan(db, "tasks/tasks", f"walk_{drive}_{direction}")
    assert re.match(r"SEARCH t USING INDEX task_\w+ \(", steps[0])
    assert "first_at" in steps[0]
    assert steps_of_conditions(steps[1:]) == []


@pytest.mark.parametrize("direction", ["older", "newer"])
def test_walks_along_words_search_their_index_and_never_sort(db: sqlite3.Connection, direction: str) -> None:
    steps = plan(db, "tasks/tasks", f"walk_words_{direction}")
    assert steps[0].startswith("SCAN s VIRTUAL TABLE INDEX ")
    assert "M1" in steps[0], "the words are looked up"
    assert "<" in steps[0] if direction == "older" else ">" in steps[0], "and only from the place on"
    assert steps[1] == "SEARCH t USING INTEGER PRIMARY KEY (rowid=?) LEFT-JOIN"
    assert steps_of_conditions(steps[2:]) == []


@pytest.mark.parametrize("direction", ["older", "newer"])
def test_walks_along_errors_search_their_index_and_never_sort(db: sqlite3.Connection, direction: str) -> None:
    steps = plan(db, "tasks/tasks", f"walk_error_group_{direction}")
    assert steps[0].startswith("SEARCH e USING COVERING INDEX error_task_newest (fingerprint=? AND kind=? AND (at,task)")
    assert steps[1] == "SEARCH t USING INTEGER PRIMARY KEY (rowid=?)"
    assert steps_of_conditions(steps[2:]) == []


def steps_of_conditions(steps: list[str]) -> list[str]:
    """What is neither a list of the conditions nor the process of one task."""
    known = (
        r"(LIST|SCALAR|CORRELATED SCALAR) SUBQUERY \d+|SCAN (json_each|p) VIRTUAL TABLE INDEX 1:|SEARCH [bf] USING INTEGER PRIMARY KEY .*"
        r"|SEARCH [eo] USING PRIMARY KEY \(task=\?.*"
    )
    return [step for step in steps if not re.fullmatch(known, step)]


def test_tasks_are_found_by_their_identity(db: sqlite3.Connection) -> None:
    wanted = "SEARCH task USING INDEX task_identity (task_id=? AND app_id=? AND engine_id=? AND life=?)"
    assert plan(db, "tasks/task_writer", "find_tasks") == [wanted]
    assert sql.load("tasks/task_writer")["find_tasks"].count("?") == task_writer.LOOKUP + 2


def test_a_name_that_stands_twice_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tmp_path.joinpath("twice.sql").write_text("-- a --\nSELECT 1;\n-- a --\nSELECT 2;\n")
    monkeypatch.setattr(sql, "files", lambda package: tmp_path)
    with pytest.raises(ValueError, match="twice"):
        sql.load("twice")


@pytest.mark.parametrize(
    ("stem", "name"),
    [
        ("tasks/task_writer", "find_tasks"),
        ("tasks/task_writer", "add_task"),
        ("tasks/task_writer", "change_task"),
        ("tasks/reused_ids", "read_rows"),
    ],
)
def test_the_columns_of_a_task_are_in_the_order_of_their_type(stem: str, name: str) -> None:
    words = re.findall(r"\w+", re.sub(r"^--.*$", "", sql.load(stem)[name], flags=re.MULTILINE))
    start = words.index("state")
    assert tuple(words[start : start + len(TaskColumns._fields)]) == TaskColumns._fields
