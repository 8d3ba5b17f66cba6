# SPDX-License-Identifier: AGPL-3.0-or-later
"""An id that comes again is a row for each execution, whatever the order, the copies and the batches its records come in.

The histories are what workers tell of ids that the application uses again: watched and unwatched producers, one process or several,
retries, redeliveries, clocks of two hosts up to five seconds apart.
"""

from __future__ import annotations

import random
import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from tests.support.contents import contents, recount
from z4j.ingest import apply_batch
from z4j.rules.fold import fold, state_of
from z4j.rules.lives import Told, split
from z4j.rules.states import FLAGS, STATE_NAMES
from z4j.store import migrate
from z4j.store.db import Connection
from z4j_agent import wire

T = 1_700_000_000_000_000
S = 1_000_000
BOOTS = {"pro": "p", "wa": "a", "wb": "b", "same": "p"}
"""Boots and the host each is on."""
ENDS = {"succeeded": 12, "failed": 11, "lost": 6, "cancelled": 8}


@dataclass(frozen=True)
class Plan:
    """One execution as the application means it."""

    is_watched: bool
    worker: str
    end: str
    retries: int
    gap_us: int


def several(retries: int) -> st.SearchStrategy[list[Plan]]:
    plan = st.builds(
        Plan, st.booleans(), st.sampled_from(["wa", "wb", "same"]), st.sampled_from(["succeeded", "failed", "cancelled"]),
        st.integers(0, retries), st.integers(12 * S, 20_000 * S),
    )  # fmt: skip
    return st.lists(plan, min_size=1, max_size=4)


plans, once = several(2), several(0)
UNSHRUNK = (Phase.explicit, Phase.reuse, Phase.generate)
"""A counterexample is a few executions anyway; making it smaller takes minutes."""


def history(made: list[Plan], skew: dict[str, int]) -> list[list[Any]]:
    """What the processes tell. `skew`: by how much the clock of each host is ahead."""
    records: list[list[Any]] = []
    at = T
    for number, plan in enumerate(made):
        at += plan.gap_us
        worker, sender = f"{plan.worker}.7", "pro.1"
        mine, theirs = skew.get(BOOTS[plan.worker], 0), skew.get("p", 0)
        if plan.is_watched:
            records.append(["enqueued", "rq", "job", 0, at + theirs, sender, "name", "queue", None, {"code": "shop:1"}])
            records.append(
                [
                    "payload",
                    "rq",
                    "job",
                    0,
                    at + theirs + 5,
                    sender,
                    "name",
                    "queue",
                    2,
                    f"[{number}]",
                    False,
                    [None, f"AAA{number}"],
                    "plain",
                ]
            )
        for attempt in range(plan.retries + 1):
            got, began, end = at + mine + 900, at + mine + 1_000, at + mine + 500_000
            head: list[Any] = ["rq", "job", attempt]
            records.append(["received", *head, got, f"{plan.worker}.1", "name", "queue", None, None])
            if not plan.is_watched and not attempt:
                text = [None, f"AAB{number}"]
                records.append(["payload", *head, got + 5, f"{plan.worker}.1", "name", "queue", 1, f"[{number}]", False, text, "plain"])
            records.append(["started", *head, began, worker, "name", "queue", None])
            if attempt < plan.retries:
                records.append(["retried", *head, end, worker, "name", "queue", began, 9, None, "", "E", "again", "trace", None])
                records.append(["enqueued", "rq", "job", attempt + 1, end + 10, worker, "name", "queue", None, None])
                at += 600_000
            elif plan.end == "succeeded":
                records.append(["succeeded", *head, end, worker, "name", "queue", got, began, 9, f"result {number}", None])
            elif plan.end == "failed":
                records.append(
                    ["failed", *head, end, worker, "name", "queue", got, began, 9, "", "E", f"error {number}", f"trace {number}", None]
                )
            else:
                records.append(["cancelled", *head, end, worker, "name", "queue", began, 9, "stopped", f"error {number}", None])
    return records


class Image(bytes):
    """A database as a file holds it; a counterexample names it instead of showing it."""

    def __repr__(self) -> str:
        return "empty"


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path: Path = tmp_path_factory.mktemp("lives") / "empty.db"
    migrate.migrate(path)
    db = sqlite3.connect(path, factory=Connection, isolation_level=None)
    db.execute("INSERT INTO app (name, created_at) VALUES ('shop', 0)")
    db.execute("PRAGMA journal_mode = DELETE")
    origins = [["origin", boot, T, {"host": host, "pid": 1, "role": "worker", "worker": boot}] for boot, host in BOOTS.items()]
    apply_batch(db, 1, b"".join(map(wire.encode_record, origins)), T)
    image = Image(db.serialize())
    db.close()
    return image


def ingested(empty: bytes, batches: list[list[list[Any]]]) -> dict[str, Any]:
    db = sqlite3.connect(":memory:", factory=Connection, isolation_level=None)
    db.deserialize(empty)
    for batch in batches:
        assert not apply_batch(db, 1, b"".join(wire.encode_record(entry) for entry in batch), T + 10**15).refused
        db.forget()
    kept, counted = recount(db)
    assert kept == counted
    said = contents(db)
    newest = db.execute("SELECT count(*) FROM task WHERE life = 0").fetchone()[0]
    assert newest == 1
    db.close()
    return said


def rows(said: dict[str, Any]) -> list[tuple[str, str, str, str]]:
    """State, arguments, result and error of each execution, the earliest first."""
    return [
        (STATE_NAMES[state], summary.args[1] if summary.args else "", summary.state[8], summary.state[7])
        for _, (state, summary) in sorted(said["tasks"].items())
    ]


def meant(made: list[Plan]) -> list[tuple[str, str, str, str]]:
    return [
        (
            plan.end, f"[{number}]", f"result {number}" if plan.end == "succeeded" else "",
            "" if plan.end == "succeeded" else f"error {number}",
        )
        for number, plan in enumerate(made)
    ]  # fmt: skip


skews = st.fixed_dictionaries({host: st.integers(-2_500_000, 2_500_000) for host in "pab"})
quiet = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]


@given(plans, skews)
@settings(max_examples=80, deadline=None, suppress_health_check=quiet)
def test_every_execution_keeps_its_own(empty: bytes, made: list[Plan], skew: dict[str, int]) -> None:
    said = ingested(empty, [history(made, skew)])
    assert rows(said) == meant(made)
    assert len(said["originals"]) == len(made)
    marks = [bool(summary.flags & FLAGS["unmarked"]) for _, (_, summary) in sorted(said["tasks"].items())]
    assert marks == [not plan.is_watched and bool(number) for number, plan in enumerate(made)]


@given(once, skews, st.randoms(use_true_random=False), st.integers(1, 5))
@settings(max_examples=100, deadline=None, suppress_health_check=quiet, phases=UNSHRUNK)
@example([Plan(True, "same", "succeeded", 0, 12 * S), Plan(True, "same", "failed", 0, 12 * S)], {}, random.Random(1), 1)
def test_order_copies_and_batches_do_not_matter(
    empty: bytes, made: list[Plan], skew: dict[str, int], chance: random.Random, size: int
) -> None:
    records = history(made, skew)
    shuffled = records + chance.choices(records, k=chance.randrange(5))
    chance.shuffle(shuffled)
    assert ingested(empty, cut(shuffled, size)) == ingested(empty, [records])


@given(plans, skews, st.randoms(use_true_random=False), st.integers(1, 5))
@settings(max_examples=100, deadline=None, suppress_health_check=quiet, phases=UNSHRUNK)
def test_retries_too_as_agents_send_them(empty: bytes, made: list[Plan], skew: dict[str, int], chance: random.Random, size: int) -> None:
    """Each process up to eight seconds behind, copies of what was not acked in time, and two records that come when all is over."""
    records = history(made, skew)
    lag: dict[str, int] = {}
    sent = sorted(records, key=lambda entry: entry[4] + lag.setdefault(entry[5], chance.randrange(8 * S)))
    for _ in range(chance.randrange(3)):
        sent.append(sent.pop(chance.randrange(len(sent))))
        place = chance.randrange(len(sent))
        sent[place:place] = sent[max(0, place - 5) : place]
    assert ingested(empty, cut(sent, size)) == ingested(empty, [records])


def cut(records: list[list[Any]], size: int) -> list[list[list[Any]]]:
    return [records[start : start + size] for start in range(0, len(records), size)]


@pytest.mark.parametrize("is_watched", [True, False])
@pytest.mark.parametrize("worker", ["same", "wa"])
def test_a_late_end_of_the_first_arrives_last(empty: bytes, is_watched: bool, worker: str) -> None:
    made = [Plan(is_watched, worker, "succeeded", 0, 20 * S), Plan(is_watched, worker, "failed", 0, 20 * S)]
    records = history(made, {})
    late = next(entry for entry in records if entry[0] == "succeeded")
    said = ingested(empty, [[entry] for entry in records if entry is not late] + [[late]])
    assert rows(said) == meant(made)


def told(*records: list[Any], clock: str = "h") -> list[str]:
    """The state of each life the records make."""
    from z4j.rules.batches import decode_records
    from z4j.rules.records import TaskRecord

    decoded = decode_records(b"".join(map(wire.encode_record, records)), T + 10**15, {})
    lives = split(Told(entry.event("w", ""), clock) for entry in decoded if isinstance(entry, TaskRecord))
    states = []
    for life in lives:
        summary = fold(None, [of.event for of in life.told])
        assert summary is not None
        states.append(STATE_NAMES[state_of(summary.state[0])])
    return states


def started(at: int, attempt: int = 0, meta: Any = None) -> list[Any]:
    return ["started", "rq", "job", attempt, T + at, "wa.7", "name", "queue", meta]


def ended(kind: str, at: int, began: int | None, attempt: int = 0) -> list[Any]:
    head = [kind, "rq", "job", attempt, T + at, "wa.7", "name", "queue"]
    start = None if began is None else T + began
    if kind == "succeeded":
        return [*head, None, start, 1, "", None]
    if kind == "failed":
        return [*head, None, start, 1, "", "E", "", "", None]
    if kind == "retried":
        return [*head, start, 1, None, "", "E", "", "", None]
    return [*head, start, 1, "", "", None] if kind == "cancelled" else [*head, "worker_gone", ""]


def enqueued(at: int, attempt: int = 0, code: str = "shop:1") -> list[Any]:
    return ["enqueued", "rq", "job", attempt, T + at, "wa.1", "name", "queue", None, {"code": code} if code else None]


def test_a_redelivery_stays_in_its_life() -> None:
    first = [started(1), ended("failed", 2, 1)]
    assert told(*first, started(9, meta={"redelivered": True}), ended("succeeded", 10, 9)) == ["succeeded"]
    assert told(*first, started(9), ended("succeeded", 10, 9)) == ["failed", "succeeded"]


def test_lost_ends_no_life_but_another_sending_begins_one() -> None:
    first = [enqueued(0), started(1), ended("lost", 2, None)]
    assert told(*first, started(9), ended("succeeded", 10, 9)) == ["succeeded"]
    assert told(*first, enqueued(8), started(9), ended("succeeded", 10, 9)) == ["lost", "succeeded"]
    assert told(*first, enqueued(8)) == ["lost", "queued"]


def test_a_retry_never_begins_a_life() -> None:
    first = [enqueued(0), started(1), ended("retried", 3, 1), enqueued(2, 1)]
    assert told(*first, started(9, 1), ended("failed", 10, 9, 1)) == ["failed"]
    assert told(enqueued(0), started(1), ended("failed", 3, 1), enqueued(4, 1), started(9, 1), ended("succeeded", 10, 9, 1)) == [
        "succeeded"
    ]


def test_what_counts_on_after_a_success_is_another_run() -> None:
    repeated = [enqueued(0), started(1), ended("succeeded", 3, 1), enqueued(4, 1), started(9, 1), ended("failed", 10, 9, 1)]
    assert told(*repeated) == ["succeeded", "failed"]


def test_a_replaced_task_is_one_life_and_its_last_run_speaks() -> None:
    replaced = [enqueued(0), started(1), enqueued(2), ended("retried", 3, 1), started(9)]
    assert told(*replaced, ended("failed", 10, 9)) == ["failed"]
    assert told(*replaced, ended("succeeded", 10, 9)) == ["succeeded"]


def test_sent_again_by_itself_waits_as_a_life_of_its_own() -> None:
    assert told(enqueued(0), started(1), enqueued(2), ended("succeeded", 3, 1)) == ["succeeded", "queued"]
    again = [enqueued(0), started(1), enqueued(2), ended("succeeded", 3, 1), started(9), ended("failed", 10, 9)]
    assert told(*again) == ["succeeded", "failed"]


def test_an_end_that_is_missing_keeps_no_later_sending_in_its_life() -> None:
    assert told(enqueued(0), started(1), enqueued(90), started(91), ended("succeeded", 95, 91)) == ["running", "succeeded"]
    assert told(enqueued(0), started(1), started(91), ended("succeeded", 95, 91)) == ["succeeded"], "delivered once more"
    both = [enqueued(0), started(1), enqueued(90), started(91), ended("succeeded", 95, 91), ended("failed", 99, 1)]
    assert told(*both) == ["failed", "succeeded"]


def test_a_cancelled_id_that_is_used_again() -> None:
    assert told(enqueued(0), ended("cancelled", 5, None), enqueued(8), started(9), ended("failed", 10, 9)) == ["cancelled", "failed"]


def test_two_hosts_within_the_skew_are_one_life_and_one_host_is_exact() -> None:
    from z4j.rules.fold import Event

    first = [Event("started", 0, T, "a"), Event("succeeded", 0, T + S, "a", started_at=T)]
    for gap, other, lives in ((2 * S, "b", 1), (7 * S, "b", 2), (10, "a", 2)):
        again = [Event("started", 0, T + S + gap, "c"), Event("failed", 0, T + S + gap + 9, "c", started_at=T + S + gap)]
        assert len(split([Told(of, "a") for of in first] + [Told(of, other) for of in again])) == lives
