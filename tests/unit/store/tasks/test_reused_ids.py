# SPDX-License-Identifier: AGPL-3.0-or-later
"""Ids that are used again for weeks: what is kept of them is bounded, and no row is lost or mixed up."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from tests.support.contents import recount
from tests.support.database import create_database
from z4j.agents.ingest import ServerFact, apply_batch, apply_facts
from z4j.rules.tasks.fold import Event
from z4j.rules.tasks.states import STATES
from z4j.store.sqlite.db import Connection
from z4j.store.tasks import bulk_deletion, reused_ids
from z4j_agent import wire

T = 1_700_000_000_000_000
HOUR = 3_600_000_000
NIGHT = 24 * HOUR


@pytest.fixture
def db(tmp_path: Path) -> Any:
    path = tmp_path / "z4j.db"
    create_database(path)
    db = sqlite3.connect(path, factory=Connection, isolation_level=None)
    db.execute("INSERT INTO app (name, created_at) VALUES ('shop', 0)")
    origin = ["origin", "wa", T, {"host": "a", "pid": 1, "role": "worker", "worker": "w1"}]
    apply_batch(db, 1, wire.encode_record(origin), T)
    yield db
    db.close()


def night(number: int, state: str = "succeeded", gap: int = NIGHT) -> list[list[Any]]:
    at = T + number * gap
    head: list[Any] = ["celery", "nightly", 0]
    end = ["succeeded", *head, at + 9_000, "wa.7", "report", "queue", at + 10, at + 20, 9, f"result {number}", None]
    if state == "failed":
        end = ["failed", *head, at + 9_000, "wa.7", "report", "queue", at + 10, at + 20, 9, "", "E", f"error {number}", "trace", None]
    return [
        ["enqueued", *head, at, "wa.1", "report", "queue", None, {"code": "shop:1"}],
        ["payload", *head, at + 5, "wa.1", "report", "queue", 2, f"[{number}]", False, [None, "AAA="], "plain", ""],
        ["received", *head, at + 10, "wa.1", "report", "queue", None, None],
        ["started", *head, at + 20, "wa.7", "report", "queue", None],
        end,
    ]


def take(db: Connection, records: list[list[Any]]) -> None:
    assert not apply_batch(db, 1, b"".join(map(wire.encode_record, records)), T + 10**15).refused
    kept, counted = recount(db)
    assert kept == counted


def rows(db: Connection) -> list[tuple[str, str]]:
    return db.execute("SELECT args, coalesce(error, result) FROM task ORDER BY first_at").fetchall()


def kept(db: Connection) -> int:
    return int(db.execute("SELECT count(*) FROM life_event").fetchone()[0])


@pytest.mark.parametrize("gap", [NIGHT, HOUR, 60_000_000])
def test_what_is_kept_of_an_id_is_bounded(db: Connection, gap: int) -> None:
    for number in range(40):
        take(db, night(number, gap=gap))
    assert rows(db) == [(f"[{number}]", f"result {number}") for number in range(40)]
    assert kept(db) <= 6 * (reused_ids.EXECUTIONS + 2)
    assert db.execute("SELECT count(*) FROM task WHERE life = 0").fetchone()[0] == 1
    assert db.execute("SELECT max(first_at) = (SELECT first_at FROM task WHERE life = 0) FROM task").fetchone()[0]
    assert db.execute("SELECT count(*) FROM original").fetchone()[0] == 40
    reused_ids.settle(db, db.execute("SELECT DISTINCT app_id, engine_id, task_id FROM task").fetchall())
    assert kept(db) == 0
    take(db, night(41, "failed", gap))
    assert rows(db)[-2:] == [("[39]", "result 39"), ("[41]", "error 41")]
    assert len(rows(db)) == 41


def test_a_late_end_of_a_settled_run_finds_its_row(db: Connection) -> None:
    late = night(3, "failed")
    for number in range(40):
        take(db, late[:-1] if number == 3 else night(number))
    take(db, late[-1:])
    assert rows(db)[3] == ("[3]", "error 3")
    assert len(rows(db)) == 40


def test_when_the_newest_run_is_deleted_the_one_before_is_the_newest(db: Connection) -> None:
    for number in range(3):
        take(db, night(number))
    newest = db.execute("SELECT id FROM task WHERE life = 0").fetchone()[0]
    bulk_deletion.delete_tasks(db, [newest])
    assert rows(db) == [("[0]", "result 0"), ("[1]", "result 1")]
    assert db.execute("SELECT args FROM task WHERE life = 0").fetchall() == [("[1]",)]
    take(db, night(5, "failed"))
    assert rows(db)[-1] == ("[5]", "error 5")
    assert db.execute("SELECT args FROM task WHERE life = 0").fetchall() == [("[5]",)]


def states(db: Connection) -> list[int]:
    return [row[0] for row in db.execute("SELECT state FROM task ORDER BY first_at")]


def test_events_of_an_older_run_that_are_kept_longer_lose_no_newer_one(db: Connection) -> None:
    for number in range(2):
        take(db, night(number))
    newest = db.execute("SELECT id FROM task WHERE life = 0").fetchone()[0]
    db.execute("DELETE FROM life_event WHERE task = ?", (newest,))
    take(db, night(2, "failed"))
    assert rows(db) == [("[0]", "result 0"), ("[1]", "result 1"), ("[2]", "error 2")]


def test_what_the_server_says_of_one_run_stays_with_it(db: Connection) -> None:
    take(db, night(0)[:-1])
    take(db, night(1)[:-1])
    old, new = (row[0] for row in db.execute("SELECT id FROM task ORDER BY first_at"))
    lost = Event("lost", 0, T + 60_000, "wa.7", "w1", reason="worker_gone")
    for _ in range(2):
        apply_facts(db, 1, [ServerFact("celery", "nightly", lost, old)])
    assert states(db) == [STATES["lost"], STATES["running"]]
    apply_facts(db, 1, [ServerFact("celery", "nightly", Event("cancel_asked", 0, T + 2 * NIGHT), old)])
    take(db, night(1)[-1:])
    assert states(db) == [STATES["lost"], STATES["succeeded"]]
    asked = dict(db.execute("SELECT id, cancel_asked_at FROM task").fetchall())
    assert (asked[old], asked[new]) == (T + 2 * NIGHT, None)
    found = apply_facts(db, 1, [ServerFact("celery", "nightly", Event("succeeded", 0, T + 3 * NIGHT, "wa.7"), old)])
    assert "tasks" in found.topics
    assert states(db) == [STATES["succeeded"], STATES["succeeded"]], "and makes no run of its own"
    kept_rows, counted = recount(db)
    assert kept_rows == counted
    apply_facts(db, 1, [ServerFact("celery", "nightly", lost, 10_000)])
    assert len(rows(db)) == 2, "a row that was deleted does not come back"


def test_a_run_of_many_attempts_costs_no_more_than_others(db: Connection) -> None:
    def attempt(number: int) -> list[list[Any]]:
        at, head = T + number * 60_000_000, ["celery", "nightly", number]
        run = f"wa.{number}"
        return [
            ["started", *head, at, run, "report", "queue", None],
            ["retried", *head, at + 5, run, "report", "queue", at, 5, None, "", "E", "again", "trace", None],
        ]

    take(db, night(0)[:2])
    take(db, [["enqueued", "celery", "nightly", 0, T - 3 * HOUR, "wa.1", "report", "queue", None, None]])
    for first in range(0, 500, 50):
        take(db, [record for number in range(first, first + 50) for record in attempt(number)])
    assert kept(db) <= reused_ids.EVENTS + 150
    assert db.execute("SELECT count(*) FROM run").fetchone()[0] == 500
    assert len(rows(db)) <= 2


def test_a_producer_that_tells_late_makes_nothing_of_it(db: Connection) -> None:
    for number in range(5):
        records = [[*record[:2], f"t{number}", *record[3:]] for record in night(number)]
        end = records[-1]
        end[4] += 20_000_000
        take(db, records[2:])
        take(db, records[:2])
    assert kept(db) == 0
    assert [row[0] for row in rows(db)] == [f"[{number}]" for number in range(5)]
