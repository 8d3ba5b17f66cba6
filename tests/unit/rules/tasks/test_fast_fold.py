# SPDX-License-Identifier: AGPL-3.0-or-later
"""The ordinary course is a part of what `detection` takes for one execution, and says what the fold says (for the columns of a row see
tests/unit/store/tasks/test_task_columns.py)."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import event as note
from hypothesis import given, settings
from hypothesis import strategies as st

from z4j.rules.tasks import fast_fold
from z4j.rules.tasks.fold import Event, Summary, fold, state_key
from z4j.rules.tasks.reused_ids.reuse_check import IN_ORDER, is_one_execution
from z4j.rules.tasks.reused_ids.split_executions import SKEW_US

T = 1_795_000_000_000_000
SECOND = 1_000_000


def event(kind: str, at: int, **fields: Any) -> Event:
    return Event(kind, fields.pop("attempt", 0), at, **{"run": "b.1", "name": "n", "queue": "q", "environment": "e"} | fields)


COURSE = [
    event("enqueued", T),
    event("payload", T + 5, rank=2, args="[1]"),
    event("received", T + SECOND),
    event("started", T + 2 * SECOND),
    event("succeeded", T + 3 * SECOND, received_at=T + SECOND, started_at=T + 2 * SECOND, runtime_us=9),
]

# Mostly in order, sometimes not; few moments, so that they meet and miss each other.
moments = st.sampled_from([T, T + 1, T + 700, T + SECOND, T + SKEW_US, T + SKEW_US + 1, T + 60 * SECOND])
reported = st.one_of(st.just(-1), moments)
kinds = st.sampled_from([*IN_ORDER, *IN_ORDER, "retried", "lost", "moved", "cancel_asked"])


@st.composite
def events(draw: st.DrawFn) -> list[Event]:
    made = []
    for at in sorted(draw(st.lists(moments, min_size=1, max_size=5))):
        fields: dict[str, Any] = {"attempt": draw(st.sampled_from([0, 0, 0, 0, 1]))}
        kind = draw(kinds)
        if kind in ("succeeded", "failed"):
            fields |= {"received_at": draw(reported), "started_at": draw(reported), "runtime_us": draw(st.sampled_from([-1, 0, 7]))}
        if kind in ("enqueued", "received"):
            fields["eta"] = draw(st.sampled_from([-1, -1, -1, T + 800]))
        made.append(event(kind, at, **fields))
    if draw(st.booleans()):
        made.sort(key=lambda made: IN_ORDER.get(made.kind, 9))
    return [made._replace(at=at) for made, at in zip(made, sorted(each.at for each in made), strict=True)]


def is_one(summary: Summary | None, news: list[Event]) -> bool:
    """Whether it is certain, whatever is known of clocks and of other runs."""
    return all(is_one_execution(summary, news, lambda a, b, same=same: same, lambda: [1]) for same in (False, True))  # type: ignore[misc]


def test_a_whole_course_is_ordinary() -> None:
    assert fast_fold.is_first(COURSE)
    assert fast_fold.steps(COURSE[2:], T, T + 5, -1, math.inf) == (T + SECOND, T + 2 * SECOND)
    assert fast_fold.steps(COURSE[2:3], T, T, -1, math.inf) == (T + SECOND, -1)
    assert fast_fold.steps(COURSE[3:4], T, T + SECOND, T + SECOND, math.inf) == (T + SECOND, T + 2 * SECOND)
    assert fast_fold.steps(COURSE[4:], T, T, -1, math.inf) == (T + SECOND, T + 2 * SECOND)
    assert fast_fold.is_end(COURSE[4], T + 2 * SECOND, T + SECOND, T + 2 * SECOND)
    assert fast_fold.is_end(COURSE[4], T + 2 * SECOND, -1, T + 2 * SECOND)


def test_steps_that_may_be_of_another_execution_are_left_to_the_fold() -> None:
    assert fast_fold.latest_step(T, None, -1) == fast_fold.latest_step(T, 2, -1) == fast_fold.latest_step(T, 1, T) == math.inf
    assert fast_fold.latest_step(T, 1, -1) == T + SKEW_US  # arguments as a worker reports them
    assert fast_fold.steps(COURSE[2:3], T, T, -1, T + SECOND - 1) is None
    assert fast_fold.steps(COURSE[2:3], T, T + SECOND, T + SECOND, math.inf) is None  # received twice
    assert fast_fold.steps([COURSE[3], COURSE[2]], T, T, -1, math.inf) is None
    assert fast_fold.steps([COURSE[4]._replace(received_at=T + 2 * SECOND, started_at=T)], T, T, -1, math.inf) is None


@pytest.mark.parametrize(
    "other",
    [
        event("payload", T), event("enqueued", T, attempt=1), event("enqueued", T, eta=T + SECOND), event("enqueued", T, name=""),
        event("enqueued", T, queue=""), event("enqueued", T, environment=""), event("enqueued", 999),
    ],
)  # fmt: skip
def test_other_first_news_are_left_to_the_fold(other: Event) -> None:
    assert not fast_fold.is_first([other])


@pytest.mark.parametrize("told", [event("payload", T - 1), event("payload", T, attempt=1), event("payload", T + SKEW_US + 1)])
def test_arguments_belong_to_the_enqueue(told: Event) -> None:
    assert not fast_fold.is_first([COURSE[0], told])


@pytest.mark.parametrize(
    "end",
    [
        event("succeeded", T + SECOND, started_at=T), event("succeeded", T + 3 * SECOND, started_at=T + 1),
        event("succeeded", T + 3 * SECOND, started_at=T, received_at=T - 1), event("retried", T + 3 * SECOND, started_at=T),
        event("failed", T + 3 * SECOND, started_at=T, attempt=1), event("failed", T + 3 * SECOND, started_at=T, eta=T),
    ],
)  # fmt: skip
def test_other_ends_are_left_to_the_fold(end: Event) -> None:
    assert fast_fold.is_end(event("failed", T + 3 * SECOND, started_at=T), T + 2 * SECOND, T, T)
    assert not fast_fold.is_end(end, T + 2 * SECOND, T, T)


@given(events())
@settings(max_examples=500, deadline=None)
def test_what_is_accepted_is_one_execution_for_detection_too(news: list[Event]) -> None:
    rest = 2 if len(news) > 1 and news[1].kind == "payload" else 1
    if not fast_fold.is_first(news):
        return
    args_rank = news[1].rank if rest == 2 else None
    found = (
        fast_fold.steps(news[rest:], news[0].at, news[rest - 1].at, -1, fast_fold.latest_step(news[0].at, args_rank, -1))
        if news[rest:]
        else (-1, -1)
    )
    note(f"{len(news)} events accepted: {found is not None}")
    if found is None:
        return
    assert is_one(None, news)
    summary = fold(None, news)
    assert summary is not None
    assert (-summary.received[1] if summary.received else -1, -summary.start[1] if summary.start else -1) == found


@pytest.mark.parametrize("kind", ["received", "started", "succeeded", "failed"])
def test_keys_are_those_of_the_fold(kind: str) -> None:
    assert fast_fold.key_of(kind, T) == state_key(kind, 0, T)
