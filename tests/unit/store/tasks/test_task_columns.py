# SPDX-License-Identifier: AGPL-3.0-or-later
"""The shortcuts of the ordinary course give exactly the columns that the fold gives."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import event as note
from hypothesis import strategies as st

from tests.support.database_image import image, opened
from z4j.rules.tasks.fold import Event, Sent, Summary, Usage, fold
from z4j.rules.tasks.reused_ids.reuse_check import IN_ORDER, is_one_execution
from z4j.rules.tasks.reused_ids.split_executions import SKEW_US
from z4j.store.sqlite.db import Connection
from z4j.store.tasks.task_columns import decode, encode, first_columns, next_columns
from z4j.store.tasks.task_writer import _change_of, _next_change

T = 1_795_000_000_000_000
SECOND = 1_000_000
SENT: Sent = ("parent", "", "", "", "a.py:1", "", -1, 5, "a label", "")
SENTS: list[Sent | tuple[()]] = [(), SENT]

moments = st.sampled_from([T, T + 1, T + 700, T + SECOND, T + SKEW_US, T + SKEW_US + 1, T + 60 * SECOND])
reported = st.one_of(st.just(-1), moments)
texts = st.sampled_from(["", "", "a", "b"])
kinds = st.sampled_from([*IN_ORDER, *IN_ORDER, *IN_ORDER, "retried", "lost", "moved", "cancel_asked"])


USAGES: list[Usage | tuple[()]] = [(), (7, 1, 900, 0, 0), (-1, 0, 900, 10, 1)]


@st.composite
def event(draw: st.DrawFn) -> Event:
    kind = draw(kinds)
    is_end = kind in ("succeeded", "failed")
    return Event(
        kind, draw(st.sampled_from([0, 0, 0, 0, 1])), draw(moments), draw(st.sampled_from(["b.1", "c.2", ""])),
        draw(st.sampled_from(["w1", "w2", ""])), draw(st.sampled_from(["e1", "e1", "e2", ""])), draw(st.sampled_from(["n", "n", "m", ""])),
        draw(st.sampled_from(["q", "q", "p", ""])),
        eta=draw(st.sampled_from([-1, -1, -1, T + 700])) if kind in ("enqueued", "received", "retried") else -1,
        received_at=draw(reported) if is_end else -1, started_at=draw(reported) if is_end else -1,
        runtime_us=draw(st.sampled_from([-1, 0, 7])) if is_end else -1, reason=draw(texts) if kind != "payload" else "",
        error_type=draw(texts) if kind == "failed" else "", error=draw(texts) if kind == "failed" else "",
        result=draw(texts) if kind == "succeeded" else "",
        sent=draw(st.sampled_from(SENTS)) if kind in ("enqueued", "received") else (),
        rank=draw(st.integers(0, 2)) if kind == "payload" else 0, args=draw(texts) if kind == "payload" else "",
        is_masked=kind == "payload" and draw(st.booleans()), original=draw(st.integers(0, 4)) if kind == "payload" else 0,
        flags=draw(st.sampled_from([0, 0, 1, 4])) if kind != "payload" else 0,
        usage=draw(st.sampled_from(USAGES)) if is_end else (),
    )  # fmt: skip


@st.composite
def course(draw: st.DrawFn) -> list[Event]:
    """Mostly one ordinary course, with some things that are not."""
    news = draw(st.lists(event(), min_size=1, max_size=6))
    if draw(st.integers(0, 3)):
        news.sort(key=lambda one: IN_ORDER.get(one.kind, 9))
        news = [one._replace(at=at) for one, at in zip(news, sorted(one.at for one in news), strict=True)]
    return news


@pytest.fixture(scope="module")
def db(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Connection]:
    made = opened(image(tmp_path_factory.mktemp("columns"), has_origins=False))
    yield made
    made.close()


def told(kind: str, at: int, **fields: Any) -> Event:
    return Event(kind, 0, at, "b.1", "w1", "e1", "n", "q", **fields)


def is_one(summary: Summary | None, news: list[Event]) -> bool:
    """Whether it is certain, whatever is known of clocks and of other runs."""
    return all(is_one_execution(summary, news, lambda a, b, same=same: same, lambda: [1]) for same in (False, True))  # type: ignore[misc]


WHOLE = [
    told("enqueued", T, sent=SENT), told("payload", T + 5, rank=2, args="[1]", original=3), told("received", T + 9),
    told("started", T + 20), told("succeeded", T + 70, received_at=T + 9, started_at=T + 20, runtime_us=50, result="ok"),
]  # fmt: skip


@given(course(), st.integers(1, 6))
@example(WHOLE, 2)
@example(WHOLE, 4)
@example(WHOLE, 5)
@example([WHOLE[0], WHOLE[3], WHOLE[4]._replace(kind="failed", error_type="E", error="bad", flags=1)], 2)
@settings(max_examples=1_500, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_columns_of_the_ordinary_course_are_those_of_the_fold(db: Connection, news: list[Event], cut: int) -> None:
    first, rest = news[:cut], news[cut:]
    columns, summary = first_columns(db, 1, first), fold(None, first)
    if columns is not None:
        assert summary is not None
        assert is_one(None, first)
        note("begins as an ordinary course")
        assert columns == encode(db, 1, summary)
        assert decode(db, columns) == summary
    elif summary is not None:
        columns = encode(db, 1, summary)
    if columns is None or not rest:
        return
    then = next_columns(db, 1, columns, rest)
    if then is not None:
        assert is_one(summary, rest)
        note("goes on as one")
        joined = fold(summary, rest)
        assert joined is not None
        assert then == encode(db, 1, joined)
        assert _next_change(7, columns, then) == _change_of(7, columns, then)


@pytest.mark.parametrize("cuts", [(5,), (2, 5), (1, 5), (2, 4, 5), (3, 4, 5), (2, 3, 4, 5), (4, 5)])
def test_an_ordinary_course_needs_no_fold(db: Connection, cuts: tuple[int, ...]) -> None:
    """Or the shortcut would be of no use."""
    news = [one for one in WHOLE if cuts[0] != 1 or one.kind != "payload"]
    columns = first_columns(db, 1, news[: cuts[0]])
    for start, end in itertools.pairwise(cuts):
        assert columns is not None
        columns = next_columns(db, 1, columns, news[start:end])
    assert columns is not None
