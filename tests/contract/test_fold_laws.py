# SPDX-License-Identifier: AGPL-3.0-or-later
"""The laws of the fold: any order, any number of copies, any split into batches give the same task.

Proved twice: for the pure function, and for the database that `ingest` writes. Events are made up by hypothesis and
drawn from traces of real workers (`traces/*.jsonl`, recorded by the conformance run).
"""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.support.contents import contents, recount, recount_ledger, recount_rollups, roll_a_minute
from tests.support.database_image import image, opened
from z4j.agents.ingest import apply_batch
from z4j.rules.tasks.fold import NO_RUN, Event, attempt_delta, delta, fold, join, run_join
from z4j.store.sqlite.db import Connection, Store
from z4j.wire.batches import decode_records
from z4j.wire.records import TaskRecord
from z4j_agent import wire

T = 1_700_000_000_000_000
NOW = T + 3_600_000_000
TRACES = sorted(Path(__file__).parent.joinpath("traces").glob("*.jsonl"))
ORIGINS = b"".join(
    wire.encode_record(["origin", boot, T, {"host": boot, "pid": 1, "role": "worker", "worker": worker, "environment": environment}])
    for boot, worker, environment in (("boot1", "w1", "production"), ("boot2", "w2", "staging"))
)

ID = "2f5a8f0e-8a4f-4c8e-9a35-3f4fd7b1c001"
# Few values each, so that ties, racing reports and redeliveries are ordinary.
times = st.integers(0, 12).map(lambda step: T + step * 700)
maybe = st.one_of(st.none(), times)
texts = st.sampled_from(["", "a", "b"])
notes = st.fixed_dictionaries(
    {},
    optional={
        "fields": st.dictionaries(st.sampled_from(["order", "step", "user"]), st.tuples(times, st.sampled_from(["1", "2"])), max_size=3),
        "ids": st.dictionaries(
            st.sampled_from(["trace_id", "sentry_event_id"]), st.tuples(times, st.sampled_from(["a1", "b2"])), max_size=2
        ),
        "progress": st.tuples(times, st.integers(0, 3), st.one_of(st.none(), st.integers(1, 3)), st.sampled_from(["", "half"])),
        "excess": st.integers(0, 2),
    },
)
metas = st.one_of(
    st.none(),
    st.fixed_dictionaries(
        {},
        optional={
            "parent_id": st.sampled_from(["p", "t1"]),
            "retry_of": st.just("t2"),
            "code": st.sampled_from(["a.py:1", "b.py:2"]),
            "redelivered": st.booleans(),
            "reconciled": st.booleans(),
            "priority": st.integers(0, 2),
            "worker": st.sampled_from(["w1", "w3"]),
            "note": notes,
        },
    ),
)
FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "eta": maybe, "received_at": maybe, "started_at": maybe, "meta": metas,
    "runtime": st.one_of(st.none(), st.integers(0, 3)), "result": texts, "reason": texts, "error_type": texts,
    "error": texts, "traceback": texts, "rank": st.integers(0, 2), "args": texts, "masked": st.booleans(),
    "broker": st.sampled_from([None, "redis://a:6379/0", "redis://b:6379/0"]),
    "original": st.sampled_from([None, [None, "AA=="], ["k1", "AQ=="]]),
    "original_state": st.sampled_from(["none", "plain", "sealed", "too_large", "no_key"]),
    "command_id": st.just("c"), "usage": st.sampled_from([None, None, [7, 1, 900, 0, 0], [9, 0, 800, 10, 1]]),
    "seq": st.sampled_from([0, 1, 2, 1_999, 2_000]), "level": st.sampled_from([0, 20, 40]), "logger": texts, "message": texts,
    "dropped": st.integers(0, 2),
}  # fmt: skip
heads = st.tuples(
    st.just("celery"),
    st.sampled_from(["t1", ID]),
    st.integers(0, 2),
    times,
    st.sampled_from(["boot1.1", "boot1.2", "boot2.1", ""]),
    st.sampled_from(["name", "name", ""]),
    st.sampled_from(["queue", "other", ""]),
)
SENT_KINDS = [kind for kind in wire.TASK_RECORDS if kind not in wire.SERVER_ONLY]
EVENT_KINDS = [kind for kind in SENT_KINDS if kind != "logged"]


@st.composite
def record(draw: st.DrawFn, kinds: list[str] = SENT_KINDS) -> list[Any]:
    kind = draw(st.sampled_from(kinds))
    return [kind, *draw(heads), *(draw(FIELDS[field]) for field in wire.TASK_RECORDS[kind])]


def traced() -> list[list[list[Any]]]:
    """The records of each recorded task, one list per (trace, task)."""
    found: dict[tuple[str, str, str], list[list[Any]]] = {}
    for path in TRACES:
        for line in path.read_text("utf-8").splitlines():
            entry = json.loads(line)
            if isinstance(entry, list) and entry[0] in SENT_KINDS:
                found.setdefault((path.name, entry[1], entry[2]), []).append(entry)
    return list(found.values())


RECORDED = traced()
made_up = st.lists(record(EVENT_KINDS), min_size=1, max_size=10)
histories = st.one_of(made_up, st.sampled_from(RECORDED)) if RECORDED else made_up


def events_of(records: list[list[Any]]) -> list[Event]:
    refused: dict[str, int] = {}
    payload = b"".join(wire.encode_record(entry) for entry in records)
    decoded = list(decode_records(payload, NOW + 10**15, refused))
    assert not refused
    return [entry.event("w1", "production") for entry in decoded if isinstance(entry, TaskRecord)]


@given(histories, st.randoms(use_true_random=False))
@settings(max_examples=400, deadline=None)
def test_order_and_copies_do_not_matter(records: list[list[Any]], chance: random.Random) -> None:
    events = events_of(records)
    expected = fold(None, events)
    shuffled = events + chance.choices(events, k=chance.randrange(4))
    chance.shuffle(shuffled)
    assert fold(None, shuffled) == expected


@given(histories, st.data())
@settings(max_examples=300, deadline=None)
def test_any_split_into_batches_gives_the_same(records: list[list[Any]], data: st.DataObject) -> None:
    events = events_of(records)
    cut = data.draw(st.integers(0, len(events)))
    first, second = fold(None, events[:cut]), fold(None, events[cut:])
    joined = second if first is None else first if second is None else join(first, second)
    assert joined == fold(None, events)


@given(st.lists(record(EVENT_KINDS), min_size=3, max_size=3))
@settings(max_examples=400, deadline=None)
def test_join_is_associative_commutative_and_idempotent(records: list[list[Any]]) -> None:
    a, b, c = (delta(event) for event in events_of(records))
    assert join(a, b) == join(b, a)
    assert join(join(a, b), c) == join(a, join(b, c))
    assert join(a, a) == a
    runs = [run for event in events_of(records) if (run := attempt_delta(event)) is not None]
    for x, y, z in itertools.product(runs, repeat=3):
        assert run_join(x, y) == run_join(y, x)
        assert run_join(run_join(x, y), z) == run_join(x, run_join(y, z))
        assert run_join(x, x) == x


@given(made_up)
@settings(max_examples=200, deadline=None)
def test_every_bad_end_is_told_by_a_run(records: list[list[Any]]) -> None:
    for event in events_of(records):
        if event.kind in ("failed", "retried", "cancelled", "rejected", "expired", "lost") and event.run:
            assert attempt_delta(event) is not None
        elif event.kind in NO_RUN:
            assert attempt_delta(event) is None


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return image(tmp_path_factory.mktemp("laws"), has_origins=False)


def ingested(empty: bytes, batches: list[list[list[Any]]]) -> dict[str, Any]:
    """What the database says after these batches, each a transaction of its own."""
    db = opened(empty)
    apply_batch(db, 1, ORIGINS, NOW)
    for number, batch in enumerate(batches):
        found = apply_batch(db, 1, b"".join(wire.encode_record(entry) for entry in batch), NOW + 10**15)
        assert not found.refused
        # Whether anything is remembered between transactions must not matter.
        if number % 3:
            db.forget()
        if number % 2:
            roll_a_minute(db)
    for kept, counted in (recount(db), recount_rollups(db), recount_ledger(db)):
        assert kept == counted
    said = contents(db)
    db.close()
    return said


NEVER_RAN = ("expired", "rejected")


def of_one_life(records: list[list[Any]]) -> list[list[Any]]:
    """The same records as those of one execution in one place: each attempt is enqueued, received and started once, all ends come later and
    tell their start; what never ran ends once; an attempt has the same arguments whoever reports them.

    Ids that come again are in test_life_laws.py.
    """
    moments = {"enqueued": 0, "payload": 10, "received": 100, "started": 200}
    ran = {record[2] for record in records if record[0] in ("started", "alive", "lost") or "started_at" in wire.TASK_RECORDS[record[0]]}
    made: list[list[Any]] = []
    for kind, engine, task_id, attempt, at, *rest in records:
        if kind in NEVER_RAN:
            if task_id in ran:
                continue
            ran.add(task_id)
        fields = dict(zip(wire.TASK_RECORDS[kind], rest[3:], strict=True))
        if fields.get("received_at") is not None:
            fields["received_at"] = T + 100 + attempt
        if "started_at" in fields:
            fields["started_at"] = T + 200 + attempt
        if fields.get("args"):
            fields["args"] = f"[{attempt}]"
        when = T + moments[kind] + attempt if kind in moments else at + 1_000
        made.append([kind, engine, task_id, attempt, when, rest[0].replace("boot2", "boot1"), "name", "queue", *fields.values()])
    return made


several = st.builds(
    lambda made, recorded: [*of_one_life(made), *(entry for history in recorded for entry in history)],
    st.one_of(st.just([]), st.lists(record(), min_size=1, max_size=20)),
    st.lists(st.sampled_from(RECORDED), max_size=2),
).filter(bool)


@given(several, st.randoms(use_true_random=False), st.integers(1, 6))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@example(
    [
        ["started", "celery", "t1", 0, T, "boot1.1", "name", "queue", None],
        ["started", "celery", "t1", 0, T + 9_000, "boot2.1", "name", "queue", {"redelivered": True}],
        ["succeeded", "celery", "t1", 0, T + 20_000, "boot2.1", "name", "queue", None, T + 9_000, 9, "", {"redelivered": True}],
        ["failed", "celery", "t1", 0, T + 10_000, "boot1.1", "name", "queue", None, T, 9, "child_killed", "E", "", "", None],
    ],
    random.Random(1),
    2,
)
@example(  # an end that hides a lost attempt, and then a success
    [
        ["lost", "celery", ID, 0, T + 1_000, "boot1.1", "name", "queue", "", ""],
        ["cancelled", "celery", ID, 0, T + 1_000, "boot1.2", "name", "queue", T + 200, None, "", "", None],
        ["succeeded", "celery", ID, 0, T + 1_000, "boot1.1", "name", "queue", None, T + 200, None, "", None],
    ],
    random.Random(17),
    1,
)
def test_the_database_is_a_function_of_the_set(empty: bytes, records: list[list[Any]], chance: random.Random, size: int) -> None:
    expected = ingested(empty, [records])
    shuffled = records + chance.choices(records, k=chance.randrange(5))
    chance.shuffle(shuffled)
    batches = [shuffled[start : start + size] for start in range(0, len(shuffled), size)]
    assert ingested(empty, batches) == expected


LOSS = ["lost", "celery", ID, 0, T + 1_700, "boot1.1", "name", "queue", "", ""]
"""It tells no start."""
SUCCESS = ["succeeded", "celery", ID, 1, T + 1_000, "boot1.1", "name", "queue", None, T + 201, None, "", None, None]
BESIDE = ["cancelled", "celery", ID, 2, T + 1_000, "boot1.1", "name", "queue", T + 202, None, "", "", None]
START = ["started", "celery", ID, 0, T + 200, "boot1.1", "name", "queue", None]


@pytest.mark.parametrize("records", list(itertools.permutations([LOSS, SUCCESS, BESIDE, START])))
def test_no_start_that_a_later_attempt_hides_makes_an_execution_of_a_loss(empty: bytes, records: tuple[list[Any], ...]) -> None:
    expected = ingested(empty, [[LOSS, SUCCESS, BESIDE, START]])
    assert len(expected["tasks"]) == 1
    for size in (1, 2, 3):
        assert ingested(empty, [list(records[start : start + size]) for start in range(0, len(records), size)]) == expected


@given(several)
@example(  # a loss whose start was not told, after the success of an earlier attempt
    [
        ["started", "celery", ID, 0, T + 200, "boot1.1", "name", "queue", None],
        ["lost", "celery", ID, 1, T + 1_700, "boot1.1", "name", "queue", "", ""],
        ["succeeded", "celery", ID, 0, T + 1_000, "boot1.1", "name", "queue", None, T + 200, None, "", None],
        ["received", "celery", ID, 1, T + 101, "boot1.1", "name", "queue", None, None],
    ]
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_the_database_holds_exactly_the_fold(empty: bytes, records: list[list[Any]]) -> None:
    said = ingested(empty, [[entry] for entry in records])
    assert said == ingested(empty, [records, records])
    assert len(said["tasks"]) == len({(entry[1], entry[2]) for entry in records if entry[0] != "logged"})
    assert sum(len(lines) for _, _, lines in said["logs"].values()) == len(
        {(*entry[1:4], entry[5], entry[8], entry[9]) for entry in records if entry[0] == "logged" and entry[10] and entry[9] < 2_000}
    )


@pytest.mark.parametrize("seed", range(3))
def test_concurrent_batches_through_the_store_give_the_same(tmp_path: Path, empty: bytes, seed: int) -> None:
    """The real writer thread, group commit and all: four batches in flight, some sent twice."""
    from z4j.agents.ingest import ingest_batch

    chance = random.Random(seed)
    records = []
    for number in range(60):
        head: list[Any] = ["celery", f"task-{number}", 0]
        tail = ["name", "queue"]
        records += [
            ["enqueued", *head, T, "boot1.1", *tail, None, None],
            ["started", *head, T + 5_000, "boot1.1", *tail, None],
            ["succeeded", *head, T + 9_000, "boot1.1", *tail, T + 4_000, T + 5_000, 4, "ok", None],
        ]
    expected = ingested(empty, [records])
    chance.shuffle(records)
    batches = [records[start : start + 11] for start in range(0, len(records), 11)]
    batches += chance.choices(batches, k=5)

    async def run() -> None:
        store = Store(path)
        await store.start()
        await ingest_batch(store, 1, ORIGINS, at=NOW)
        await asyncio.gather(*(ingest_batch(store, 1, b"".join(map(wire.encode_record, batch)), at=NOW) for batch in batches))
        await store.close()

    path = tmp_path / "z4j.db"
    path.write_bytes(empty)
    asyncio.run(run())
    db = sqlite3.connect(path, factory=Connection)
    assert contents(db) == expected
    db.close()


@pytest.mark.long
@pytest.mark.timeout(1_800)
@given(several, st.randoms(use_true_random=True), st.integers(1, 6))
@settings(max_examples=20_000, deadline=None, suppress_health_check=list(HealthCheck))
def test_the_database_is_a_function_of_the_set_at_length(empty: bytes, records: list[list[Any]], chance: random.Random, size: int) -> None:
    expected = ingested(empty, [records])
    shuffled = records + chance.choices(records, k=chance.randrange(5))
    chance.shuffle(shuffled)
    assert ingested(empty, [shuffled[start : start + size] for start in range(0, len(shuffled), size)]) == expected
