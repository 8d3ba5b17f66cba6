# SPDX-License-Identifier: AGPL-3.0-or-later
"""An id that comes again is a row for each execution, whatever the order, the copies and the batches its records come in.

The histories are what workers tell of ids that the application uses again: watched and unwatched producers, one process or several,
retries, redeliveries, clocks of two hosts up to five seconds apart.
"""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from tests.support.contents import contents, recount, recount_rollups, roll_a_minute
from tests.support.database_image import image, opened
from tests.support.histories import Plan, S, T, history, meant
from z4j.agents.ingest import apply_batch
from z4j.rules.tasks.states import FLAGS, STATE_NAMES
from z4j_agent import wire


def several(retries: int) -> st.SearchStrategy[list[Plan]]:
    plan = st.builds(
        Plan, st.booleans(), st.sampled_from(["wa", "wb", "same"]), st.sampled_from(["succeeded", "failed", "cancelled"]),
        st.integers(0, retries), st.integers(12 * S, 20_000 * S), st.booleans(),
    )  # fmt: skip
    return st.lists(plan, min_size=1, max_size=4)


plans, once = several(2), several(0)
FOUR = [
    Plan(False, "same", "succeeded", 0, 32_352_657), Plan(False, "wb", "cancelled", 0, 12 * S), Plan(False, "same", "cancelled", 0, 12 * S),
    Plan(False, "wb", "succeeded", 0, 12 * S),
]  # fmt: skip
FAR_APART = {"p": 2_500_000, "a": 1_067, "b": -2_500_000}
UNSHRUNK = (Phase.explicit, Phase.reuse, Phase.generate)
"""A counterexample is a few executions anyway; making it smaller takes minutes."""


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return image(tmp_path_factory.mktemp("lives"), has_origins=True)


def ingested(empty: bytes, batches: list[list[list[Any]]]) -> dict[str, Any]:
    db = opened(empty)
    for number, batch in enumerate(batches):
        assert not apply_batch(db, 1, b"".join(wire.encode_record(entry) for entry in batch), T + 10**15).refused
        if number % 3:
            db.forget()
        if number % 2:
            roll_a_minute(db)
    for kept, counted in (recount(db), recount_rollups(db)):
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
@example(FOUR, FAR_APART, random.Random(352), 3)
@example(FOUR, FAR_APART, random.Random(395), 1)
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


def test_arguments_are_not_of_a_receipt_of_long_ago(empty: bytes) -> None:
    """Where the receipt of the second execution is lost, and the row of the first one was made before its arguments came."""
    made = [Plan(False, "same", "succeeded", 0, 12 * S), Plan(False, "wb", "failed", 0, 12 * S)]
    received, payload, started, end, _, other_payload, other_start, other_end = history(made, {})
    said = ingested(empty, [[received, end], [other_payload, payload, other_end], [other_start], [started]])
    assert rows(said) == meant(made)
