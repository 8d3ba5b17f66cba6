# SPDX-License-Identifier: AGPL-3.0-or-later
"""The counts of error groups are what counting the tasks gives, whatever the order, the copies and the batches their events come in."""

from __future__ import annotations

import random
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.contents import contents, errors_as_counted, errors_as_kept
from tests.support.database_image import image, opened
from tests.support.histories import S, T
from z4j.agents.ingest import ServerFact, apply_batch, apply_facts
from z4j.rules.errors.splits import MESSAGE, Split
from z4j.rules.tasks.fold import Event
from z4j.store.errors import error_changes, error_splits
from z4j.store.sqlite.db import Connection
from z4j.store.tasks import bulk_deletion
from z4j_agent import wire

FRAMES = 'Traceback (most recent call last):\n  File "/srv/shop/shop/tasks.py", line {}, in {}\n    go()\n{}: {}\n'
ENDS = ("succeeded", "failed", "lost", "rejected", "open", "running")
REDELIVERED = {"redelivered": True}


class Try(NamedTuple):
    """One attempt: which error it has, of which function, and whether its worker was killed before it came again."""

    error: str
    function: str
    is_killed_first: bool


class Life(NamedTuple):
    tries: list[Try]
    end: str


tries = st.builds(Try, st.sampled_from(["KeyError", "OSError"]), st.sampled_from(["charge", "refund"]), st.booleans())
lives = st.lists(
    st.builds(Life, st.lists(tries, min_size=1, max_size=3), st.sampled_from(ENDS)),
    min_size=1, max_size=4,
)  # fmt: skip


def history(made: list[Life]) -> list[list[Any]]:
    records: list[list[Any]] = []
    for number, life in enumerate(made):
        at = T + number * 3_500 * S
        task = ["rq", f"job-{number}"]
        records.append(["enqueued", *task, 0, at, "pro.1", "name", f"queue-{number % 2}", None, {"code": "shop:1"}])
        for attempt, tried in enumerate(life.tries):
            at += 60 * S
            worker, meta = "wa.7", None
            if tried.is_killed_first:
                records.append(["started", *task, attempt, at - 9 * S, "wb.9", "name", "", None])
                records.append(["lost", *task, attempt, at - 8 * S, "wb.9", "name", "", "child_killed", "signal 9"])
                meta = REDELIVERED
            head = [*task, attempt, at + S, worker, "name", ""]  # its producer alone reports the queue
            error = [tried.error, f"item {number}", FRAMES.format(attempt, tried.function, tried.error, f"item {number}")]
            records.append(["started", *task, attempt, at, worker, "name", "", meta])
            if attempt < len(life.tries) - 1 or life.end == "open":
                records.append(["retried", *head, at, 9, None, "", *error, meta])
            elif life.end == "succeeded":
                records.append(["succeeded", *head, at, at, 9, "1", meta])
            elif life.end == "failed":
                records.append(["failed", *head, at, at, 9, "", *error, meta])
            elif life.end == "lost":
                records.append(["lost", *head, "child_killed", "signal 9"])
            elif life.end == "rejected":
                records.append(["rejected", *head, at, 9, "malformed", error[1], error[2], meta])
    return records


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return image(tmp_path_factory.mktemp("errors"), has_origins=True)


def ingested(empty: bytes, batches: list[list[list[Any]]]) -> Connection:
    db = opened(empty)
    for number, batch in enumerate(batches):
        assert not apply_batch(db, 1, b"".join(wire.encode_record(entry) for entry in batch), T + 10**15).refused
        if number % 3:
            db.forget()
    return db


def counted(db: Connection) -> dict[Any, tuple[int, ...]]:
    """What the kept counts are, which has to be what counting gives, also after each task is computed again from its rows."""
    kept = errors_as_kept(db)
    assert kept == errors_as_counted(db)
    error_changes.note(db, [row[0] for row in db.execute("SELECT id FROM task")])
    assert not error_changes.write(db)
    return kept


quiet = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]


@given(lives, st.randoms(use_true_random=False), st.integers(1, 5))
@settings(max_examples=120, deadline=None, suppress_health_check=quiet)
def test_order_copies_and_batches_do_not_matter(empty: bytes, made: list[Life], chance: random.Random, size: int) -> None:
    records = history(made)
    shuffled = records + chance.choices(records, k=chance.randrange(6))
    chance.shuffle(shuffled)
    one = ingested(empty, [records])
    other = ingested(empty, [shuffled[start : start + size] for start in range(0, len(shuffled), size)])
    counted(one)
    counted(other)
    assert contents(one)["errors"] == contents(other)["errors"]
    for db in (one, other):
        db.close()


@given(lives)
@settings(max_examples=60, deadline=None, suppress_health_check=quiet)
def test_every_failure_is_counted_as_what_became_of_its_task(empty: bytes, made: list[Life]) -> None:
    db = ingested(empty, [history(made)])
    counted(db)
    sums = db.execute("SELECT coalesce(sum(failed), 0), coalesce(sum(retried), 0), coalesce(sum(cured), 0) FROM error_group").fetchone()
    of = [(life.end, len(life.tries) - 1 + (life.end == "open"), sum(tried.is_killed_first for tried in life.tries)) for life in made]
    assert sums[0] == sum(end in ("failed", "lost", "rejected") for end, _, _ in of)
    assert sums[1] == sum(retried + killed for end, retried, killed in of if end != "succeeded")
    assert sums[2] == sum(retried + killed for end, retried, killed in of if end == "succeeded")
    db.close()


def split(db: Connection) -> None:
    """Splits `item 1` off from the group of the first failure, to the end."""
    [(group,)] = db.execute("SELECT error_group FROM error_fingerprint ORDER BY id LIMIT 1").fetchall()
    assert error_splits.split_off(db, group, Split(MESSAGE, "item 1"))
    for (id,) in db.execute("SELECT id FROM error_split WHERE left_kind IS NOT NULL").fetchall():
        while not error_splits.continue_split(db, id):
            pass


@given(lives, st.randoms(use_true_random=False), st.integers(1, 5))
@settings(max_examples=60, deadline=None, suppress_health_check=quiet)
def test_it_does_not_matter_when_a_split_is_made(empty: bytes, made: list[Life], chance: random.Random, size: int) -> None:
    first = [Life([Try("KeyError", "charge", False)], "failed")] * 2
    records = history([*first, *made])
    seed, rest = records[:6], records[6:]
    assert [record[0] for record in seed] == ["enqueued", "started", "failed"] * 2
    chance.shuffle(rest)
    one = ingested(empty, [seed])
    split(one)
    for record in rest:
        assert not apply_batch(one, 1, wire.encode_record(record), T + 10**15).refused
    other = ingested(empty, [seed, *(rest[start : start + size] for start in range(0, len(rest), size))])
    split(other)
    counted(one)
    counted(other)
    assert contents(one)["errors"] == contents(other)["errors"]
    for db in (one, other):
        db.close()


@given(lives, st.randoms(use_true_random=False))
@settings(max_examples=40, deadline=None, suppress_health_check=quiet)
def test_deleted_tasks_stay_in_the_hours_and_leave_what_is_stored(empty: bytes, made: list[Life], chance: random.Random) -> None:
    db = ingested(empty, [history(made)])
    before = errors_as_kept(db)
    ids = [row[0] for row in db.execute("SELECT id FROM task")]
    gone = chance.sample(ids, chance.randrange(len(ids) + 1))
    bulk_deletion.delete_tasks(db, gone)
    kept, stored = errors_as_kept(db), errors_as_counted(db)
    for (table, key), counts in before.items():
        if table == "hour":
            assert kept[table, key] == counts
        elif table == "place":
            assert kept.get((table, key)) == stored.get((table, key))
        else:
            assert kept[table, key][1:] == counts[1:]
            assert kept[table, key][0] == stored.get((table, key), (0,))[0]
    db.close()


def test_beyond_the_limit_failures_are_counted_as_others(empty: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(error_changes, "FINGERPRINTS", 5)
    records = [
        ["failed", "rq", f"job-{n}", 0, T + n, "wa.7", "name", "queue", T, T, 9, "", "Error" + "x" * n, "no", "", None] for n in range(12)
    ]
    db = ingested(empty, [records[:7], records[7:], records])
    counted(db)
    groups = db.execute("SELECT title, failed FROM error_group ORDER BY id").fetchall()
    assert groups[-1] == ("Other errors", 7)
    assert [failed for _, failed in groups] == [1] * 5 + [7]
    db.close()


def test_a_task_that_the_server_had_given_up_and_that_succeeds_does_not_count(empty: bytes) -> None:
    started = ["started", "rq", "job", 0, T, "wa.7", "name", "queue", None]
    db = ingested(empty, [[started]])
    apply_facts(db, 1, [ServerFact("rq", "job", Event("lost", 0, T + S, reason="worker_gone"))])
    assert db.execute("SELECT title, failed FROM error_group").fetchall() == [("worker_gone", 1)]
    done = ["succeeded", "rq", "job", 0, T + 2 * S, "wa.7", "name", "queue", T, T, 9, "1", None]
    apply_batch(db, 1, wire.encode_record(done), T + 10**15)
    counted(db)
    assert db.execute("SELECT failed, retried, cured FROM error_group").fetchall() == [(0, 0, 0)]
    db.close()


KILLED = ["lost", "rq", "job", 0, T + S, "wb.9", "name", "queue", "child_killed", "signal 9"]
CANCELLED = ["cancelled", "rq", "job", 0, T + 2 * S, "wa.7", "name", "queue", None, None, "", "", None]
RUNNING = ["started", "rq", "job", 0, T + 3 * S, "wa.7", "name", "queue", None]
DONE = ["succeeded", "rq", "job", 0, T + 4 * S, "wa.7", "name", "queue", None, T + 3 * S, 9, "1", None]
SENT = ["enqueued", "rq", "job", 0, T, "pro.1", "name", "other", None, None]


@pytest.mark.parametrize("batches", [
    [[KILLED], [CANCELLED], [DONE]], [[CANCELLED], [KILLED], [DONE]], [[KILLED, CANCELLED], [DONE]],  # the end hides it
    [[KILLED], [RUNNING], [DONE]], [[KILLED, RUNNING], [DONE]],  # the next run hides it
    [[KILLED], [RUNNING], [DONE], [SENT]], [[DONE], [KILLED], [SENT]],  # its queue is known last
])  # fmt: skip
def test_a_lost_attempt_that_the_row_hides_counts_as_what_became_of_its_task(empty: bytes, batches: list[list[list[Any]]]) -> None:
    db = ingested(empty, batches)
    counted(db)
    whole = ingested(empty, [[record for batch in batches for record in batch]])
    assert contents(db)["errors"] == contents(whole)["errors"]
    assert db.execute("SELECT failed, retried, cured FROM error_group").fetchall() == [(0, 0, 1)]
    for each in (db, whole):
        each.close()
