# SPDX-License-Identifier: AGPL-3.0-or-later
"""Whether an id may have come again: True must be certain, and an ordinary stream must never need a second look."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import pytest

from tests.support.histories import Plan, events_of, history
from tests.unit.rules.tasks.reused_ids.test_split_executions import histories
from z4j.rules.tasks.fold import MAX_ATTEMPT, Event, Summary, fold
from z4j.rules.tasks.reused_ids import reuse_check, split_executions
from z4j.rules.tasks.reused_ids.reuse_check import is_one_execution, is_ordinary
from z4j.rules.tasks.reused_ids.split_executions import SKEW_US, ReportedEvent, split

T = 1_700_000_000_000_000
S = 1_000_000
LATE = reuse_check.LATE_US
CLOCKS = {"p": "h", "w": "h", "v": "other", "": ""}
"""Runs and the host of each: the producer and one worker share one."""


def ev(kind: str, at: int, attempt: int = 0, run: str = "", **facts: Any) -> Event:
    times = {name: T + facts.pop(name) for name in ("received_at", "started_at") if name in facts}
    return Event(kind, attempt, T + at, run or ("p" if kind in ("enqueued", "payload") else "w"), **times, **facts)


def known(*events: Event) -> Summary | None:
    return fold(None, events)


def at_the_beginning(*lists: Sequence[Event]) -> list[list[Event]]:
    """The same events by clocks that begin at the first microsecond there is: nothing depends on the date."""
    names = ("at", "started_at", "received_at", "eta")
    first = min(at for events in lists for of in events for name in names if (at := getattr(of, name)) >= 0)
    return [[of._replace(**{name: at - first for name in names if (at := getattr(of, name)) >= 0}) for of in events] for events in lists]


def same_clock(a: str, b: str) -> bool:
    return bool(CLOCKS[a]) and CLOCKS[a] == CLOCKS[b]


def one(summary: Summary | None, *events: Event, starts: tuple[int, ...] = ()) -> bool:
    return is_one_execution(summary, events, same_clock, lambda: [T + at for at in starts])


# -- laws ----------------------------------------------------------------------------------------------------------------
def reported(chance: random.Random, lag: int) -> list[list[ReportedEvent]]:
    """A history in the batches in which it arrives, each process up to `lag` late."""
    late = {clock: chance.randrange(lag) for clock in ("p", "a", "b", "")}
    told = sorted((of for execution in histories(chance) for of in execution), key=lambda of: of.event.at + late[of.clock])
    size = chance.choice([1, 2, 3, 5, 30])
    return [told[start : start + size] for start in range(0, len(told), size)]


def stays_one(batches: list[list[ReportedEvent]]) -> tuple[list[ReportedEvent], list[ReportedEvent] | None]:
    """Everything that was taken for one execution, and the first batch that was not."""
    clocks = {of.event.run: of.clock for batch in batches for of in batch}
    taken: list[ReportedEvent] = []
    for batch in batches:
        summary, events = fold(None, [of.event for of in taken]), [of.event for of in batch]
        starts = [of.event.at for of in taken if of.event.kind == "started" and not of.event.attempt]

        def is_same(a: str, b: str) -> bool:
            return bool(clocks.get(a)) and clocks.get(a) == clocks.get(b)

        is_certain = is_one_execution(summary, events, is_same, lambda starts=starts: starts)  # type: ignore[misc]
        assert is_certain or not is_ordinary(summary, events)
        if not is_certain:
            return taken, batch
        taken += batch
    return taken, None


@pytest.mark.parametrize("lag", [1, 8 * S])
@pytest.mark.parametrize("seed", range(60))
def test_what_is_certainly_one_life_is_never_split(seed: int, lag: int) -> None:
    taken, _ = stays_one(reported(random.Random(seed), lag))
    assert len(split(taken)) == 1


@pytest.mark.parametrize("size", [1, 2, 3, 30])
@pytest.mark.parametrize("retries", [0, 1, 2])
@pytest.mark.parametrize("end", ["succeeded", "failed", "cancelled"])
@pytest.mark.parametrize("is_watched", [True, False])
def test_one_execution_that_is_reported_in_order_needs_no_second_look(is_watched: bool, end: str, retries: int, size: int) -> None:
    told = [ReportedEvent(event, "p") for event in events_of(history([Plan(is_watched, "same", end, retries, 0)], {}))]
    assert stays_one([told[start : start + size] for start in range(0, len(told), size)])[1] is None


# -- ordinary ------------------------------------------------------------------------------------------------------------
SENT, ARGS = ev("enqueued", 0), ev("payload", 5, rank=2, args="[1]")
GOT, BEGAN, WON = ev("received", 1 * S), ev("started", 2 * S), ev("succeeded", 3 * S, received_at=1 * S, started_at=2 * S)


@pytest.mark.parametrize("events", [
    [SENT], [SENT, ARGS], [SENT, ARGS, GOT], [SENT, GOT, BEGAN], [SENT, ARGS, GOT, BEGAN, WON], [GOT, BEGAN, WON],
    [BEGAN], [BEGAN, ev("failed", 3 * S, started_at=2 * S)], [ev("succeeded", 3 * S)],
    [SENT, ev("failed", 3 * S, started_at=2 * S)], [ev("enqueued", 0), ev("received", 0), ev("started", 0), ev("succeeded", 0)],
    [SENT, ev("started", SKEW_US)], [ev("succeeded", 3 * S, started_at=3 * S)], [ev("payload", 5, rank=1)],
])  # fmt: skip
def test_the_first_news_of_one_attempt_in_order_are_ordinary(events: list[Event]) -> None:
    assert is_ordinary(None, events)
    assert is_ordinary(None, *at_the_beginning(events))
    assert one(None, *events)


@pytest.mark.parametrize("events", [
    [GOT, SENT], [BEGAN, BEGAN], [SENT, SENT], [SENT, ev("started", 2 * S, 1)], [SENT, ev("retried", 2 * S)],
    [SENT, ev("cancelled", 2 * S)],
    [SENT, ev("lost", 2 * S)], [ev("cancel_asked", 1)], [ev("moved", 1)], [ev("alive", 1)], [ev("due", 1)],
    [ev("enqueued", 5), ev("received", 4)],  # against the clock
    [SENT, ev("started", SKEW_US + 1)],  # later than the clocks can differ
    [SENT, GOT, BEGAN, ev("succeeded", 3 * S, received_at=1 * S, started_at=2 * S + 1)],  # of another run
    [SENT, GOT, BEGAN, ev("succeeded", 3 * S, received_at=1 * S + 1, started_at=2 * S)],  # of another receipt
    [BEGAN, WON], [WON],  # it was received before anything that is known
    [SENT, ev("succeeded", 3 * S, started_at=-1_000)],  # it began before it was sent
    [SENT, ev("succeeded", 3 * S, started_at=3 * S + 1)],  # it began after it ended
    [SENT, ev("succeeded", 3 * S, received_at=-1_000, started_at=2 * S)],
])  # fmt: skip
def test_anything_else_gets_a_closer_look(events: list[Event]) -> None:
    assert not is_ordinary(None, events)
    assert not is_ordinary(None, *at_the_beginning(events))


@pytest.mark.parametrize(("before", "news", "expected"), [
    ([SENT], [GOT, BEGAN, WON], True),
    ([SENT], [BEGAN], True),
    ([SENT], [WON], True),
    ([SENT], [ARGS], False),  # arguments that come apart may be those of another sending
    ([SENT, ARGS], [GOT], True),
    ([SENT], [SENT], False),
    ([SENT], [ev("received", SKEW_US)], True),
    ([SENT], [ev("received", SKEW_US + 1)], False),
    ([SENT], [ev("received", -1)], False),
    ([ev("enqueued", 0, 1)], [GOT], False),
    ([ev("enqueued", 0, eta=T + 9 * S)], [GOT], True),
    ([GOT], [BEGAN], False),
    ([SENT, GOT], [BEGAN], False),
    ([ev("retried", 0, started_at=0)], [GOT], False),
    ([BEGAN], [WON], False),  # it says when it was received, and the row does not
    ([GOT, BEGAN], [WON], False),  # known by a receipt that is older than its row
    ([SENT, GOT, BEGAN], [WON], True),
    ([SENT, BEGAN], [ev("succeeded", 3 * S, started_at=2 * S)], True),
    ([SENT, BEGAN], [WON], True),  # a start that stands for the receipt, too
    ([SENT, ev("started", 2 * S + SKEW_US)], [ev("succeeded", 9 * S, received_at=2 * S - 1, started_at=2 * S + SKEW_US)], False),
    ([SENT, BEGAN], [ev("succeeded", 3 * S, received_at=2 * S + 1, started_at=2 * S)], False),
    ([SENT, GOT, BEGAN], [ev("succeeded", 3 * S, started_at=2 * S)], True),
    ([SENT, GOT, BEGAN], [ev("failed", 2 * S, started_at=2 * S)], True),
    ([SENT, GOT, BEGAN], [ev("failed", 2 * S - 1, started_at=2 * S)], False),
    ([SENT, GOT, BEGAN], [ev("succeeded", 3 * S, received_at=1 * S, started_at=2 * S + 1)], False),
    ([SENT, GOT, BEGAN], [ev("succeeded", 3 * S, received_at=1 * S + 1, started_at=2 * S)], False),
    ([SENT, GOT, BEGAN], [ev("succeeded", 3 * S, 1, received_at=1 * S, started_at=2 * S)], False),
    ([SENT, GOT, BEGAN], [ev("cancelled", 3 * S, started_at=2 * S)], False),
    ([SENT, GOT, BEGAN], [WON, WON], False),
    ([SENT, GOT, BEGAN, WON], [WON], False),
    ([SENT, GOT, ev("lost", 3 * S)], [WON], False),
    ([SENT, BEGAN, ev("lost", 3 * S)], [ev("succeeded", 4 * S, started_at=2 * S)], False),
    ([SENT, ev("retried", 3 * S, started_at=2 * S)], [ev("failed", 4 * S, started_at=2 * S)], False),
    ([SENT, ev("retried", 2 * S)], [ev("started", 2 * S)], False),
    ([SENT, GOT, ev("due", 2 * S)], [BEGAN], False),  # it was received before
    ([SENT, ev("due", 1 * S, 1)], [BEGAN], False),  # a later attempt waits
])  # fmt: skip
def test_what_goes_on_from_a_row_is_ordinary_step_by_step(before: list[Event], news: list[Event], expected: bool) -> None:
    assert is_ordinary(known(*before), news) is expected
    early, late = at_the_beginning(before, news)
    assert is_ordinary(known(*early), late) is expected


# -- one execution ------------------------------------------------------------------------------------------------------------
LATER = 100 * S


@pytest.mark.parametrize(("before", "news", "expected"), [
    # Each moment of a first attempt is one execution's once.
    ([SENT], [ev("enqueued", 1)], False),
    ([SENT], [SENT], True),
    ([GOT], [ev("received", 1 * S + 1)], False),
    ([GOT], [GOT], True),
    ([GOT], [ev("succeeded", 3 * S, received_at=1 * S + 1)], False),
    ([BEGAN], [ev("started", 2 * S + 1)], False),
    ([BEGAN], [BEGAN, BEGAN], True),
    ([BEGAN], [ev("failed", 3 * S, started_at=2 * S + 1)], False),
    ([BEGAN, ev("failed", 3 * S, started_at=2 * S)], [ev("failed", 4 * S, started_at=2 * S)], True),  # of the run that is known
    ([BEGAN, WON], [WON], True),
    ([ev("cancelled", 3 * S)], [ev("cancelled", 3 * S + 1)], False),
    # What comes long after all that is known, or long before, may be of another execution.
    ([SENT], [ev("started", LATER)], True),
    ([SENT], [ev("payload", LATER, args="[1]")], False),
    ([SENT], [ev("payload", LATE, args="[1]")], False),
    ([SENT], [ev("payload", LATE - 1, rank=1, args="[1]")], False),
    ([SENT], [ev("payload", SKEW_US, args="[1]")], True),
    ([SENT], [ev("payload", SKEW_US + 1, args="[1]")], False),
    ([ev("started", LATER)], [ev("enqueued", LATER - LATE)], True),
    ([ev("started", LATER)], [ev("enqueued", LATER - LATE - 1)], False),
    ([ev("started", LATER)], [ev("enqueued", 0)], False),
    ([ev("started", LATER)], [ev("failed", 0)], False),
    ([SENT, ev("succeeded", LATER, started_at=LATER)], [ev("received", LATER - SKEW_US, run="v")], True),
    ([ev("enqueued", 0), ev("started", LATER)], [ev("received", 5)], True),
    ([ev("enqueued", 0), ev("started", LATER)], [ev("received", SKEW_US)], True),
    ([ev("enqueued", 0), ev("started", LATER)], [ev("received", SKEW_US + 1)], False),
    ([ev("enqueued", 0), ev("started", LATER)], [ev("received", 5, 1)], False),
    # A later attempt.
    ([SENT, BEGAN], [ev("started", LATER, 1)], False),  # nothing says that the first one was retried
    ([SENT, BEGAN], [ev("started", 2 * S + LATE, 1)], True),
    ([SENT, BEGAN], [ev("started", 2 * S + LATE + 1, 1)], False),
    ([SENT, BEGAN, ev("retried", 3 * S, started_at=2 * S)], [ev("started", LATER, 1)], True),
    ([SENT, BEGAN], [ev("retried", 3 * S, started_at=2 * S), ev("started", LATER, 1)], True),
    ([SENT, ev("started", 2 * S, 1)], [ev("started", LATER, 2)], False),
    ([SENT, ev("started", 2 * S, 1)], [ev("started", LATER, 1)], True),
    ([SENT, ev("started", 9 * S, 1)], [ev("received", 10 * S)], False),  # the first begins after the second
    ([SENT, ev("received", 9 * S, 1)], [ev("started", 10 * S)], False),
    ([SENT, ev("received", 9 * S, 1)], [ev("started", 9 * S)], True),
    ([SENT, ev("received", 9 * S, 1)], [ev("failed", 10 * S)], True),
    # Where a later attempt hides when the first began, its runs are asked.
    # After a success there is no further attempt, and beside one the row would hide when the attempt that succeeded began.
    ([SENT, ev("succeeded", 3 * S, started_at=2 * S)], [ev("started", 4 * S, 1)], False),
    ([SENT, ev("succeeded", 4 * S, started_at=2 * S)], [ev("started", 4 * S, 1)], False),
    ([SENT, ev("started", 3 * S, 1)], [ev("succeeded", 4 * S, started_at=2 * S)], False),
    ([SENT, ev("failed", 3 * S, started_at=2 * S)], [ev("started", 4 * S, 1)], True),
    ([SENT, ev("started", 4 * S, 1)], [ev("succeeded", 3 * S, started_at=2 * S)], False),
    ([SENT, ev("succeeded", 5 * S, 1, started_at=4 * S)], [ev("started", 6 * S, 2)], False),
    # Arguments.
    ([SENT, ARGS], [ev("payload", 6, rank=2, args="[2]")], False),
    ([SENT, ARGS], [ev("payload", 6, rank=2, args="[1]")], True),
    ([SENT, ARGS], [ev("payload", 6, rank=2)], True),
    ([SENT, ARGS], [ev("payload", 6, 1, rank=2, args="[2]")], True),
    ([ev("payload", 6, rank=1, args="[1]"), BEGAN], [ev("payload", LATER, rank=1, args="[1]")], False),
    # Arguments by the producer come with what it sends, those of a worker with what it received.
    ([], [ev("payload", 2 * S, rank=2, args="[1]")], True),
    ([], [ev("payload", 2 * S, rank=1, args="[2]"), ev("payload", 2 * S, rank=2, args="[1]")], False),
    ([ev("payload", 0, rank=1)], [ev("payload", 2 * S, rank=1, args="[2]")], True),  # the first one tells none
    ([ev("payload", 1 * S, 1, rank=1, args="[1]")], [ev("payload", 2 * S, rank=1, args="[2]")], True),  # of two attempts
    ([SENT], [ev("payload", SKEW_US, rank=2, args="[1]")], True),
    ([SENT], [ev("payload", SKEW_US + 1, rank=2, args="[1]")], False),
    ([ev("payload", SKEW_US, rank=2, args="[1]")], [SENT], True),
    ([ev("payload", SKEW_US + 1, rank=2, args="[1]")], [SENT], False),
    ([ev("payload", 0, rank=2, args="[1]")], [ev("enqueued", SKEW_US)], True),
    ([ev("payload", 0, rank=2, args="[1]")], [ev("enqueued", SKEW_US + 1)], False),
    ([], [ev("enqueued", 6 * S), ev("payload", 2 * S, rank=2), ev("payload", 0, rank=2, args="[1]")], False),
    ([ev("enqueued", 9 * S), ev("payload", 0, rank=2, args="[1]")], [ev("payload", 2 * S, rank=2, args="[1]")], False),
    ([ev("payload", 10 * S, 2, rank=2, args="[1]")], [ev("enqueued", 1 * S)], True),  # those of a later attempt
    ([BEGAN], [ev("payload", 3 * S, rank=2), ev("payload", 2 * S + LATE + 1, 1, rank=2, args="[2]")], True),
    ([GOT], [ev("payload", 1 * S + SKEW_US + 1, rank=2)], True),
    ([GOT], [ev("payload", 1 * S + SKEW_US + 1, 1, rank=1, args="[1]")], True),
    ([GOT], [ev("payload", 1 * S + LATE, rank=2, args="[1]")], True),
    ([GOT], [ev("payload", 1 * S + LATE + 1, rank=2, args="[1]")], False),
    ([ev("payload", LATE, rank=2, args="[1]")], [ev("received", 0)], True),
    ([], [BEGAN, ev("payload", LATER, rank=2)], False),
    ([ev("alive", 1 * S), ev("started", 6 * S)], [ev("payload", 12 * S, rank=2, args="[1]")], False),
    ([ev("received", 5 * S)], [ev("started", 3 * S), ev("payload", 15 * S, rank=2, args="[1]")], False),
    ([ev("started", 2 * S), ev("enqueued", 5 * S)], [ev("payload", 9 * S, rank=1)], False),
    ([], [ev("payload", 0, rank=2), ev("payload", LATE + 1, rank=1, args="[1]")], False),
    ([ev("started", 2 * S, 1)], [ev("payload", 5 * S, rank=1)], False),  # the second attempt has begun before them
    # Late, but within seconds of what is known.
    ([ev("started", SKEW_US), ev("alive", 20 * S)], [SENT], True),
    ([ev("started", SKEW_US + 1), ev("alive", 20 * S)], [SENT], False),
    ([ev("alive", 20 * S)], [SENT], False),
    ([ev("lost", 15 * S, started_at=3 * S)], [ev("retried", 2 * S)], False),  # no beginning
    # The last thing of an attempt may be all that is known of it.
    ([], [ev("cancelled", 1 * S, 1)], True),
    ([], [ev("started", 1 * S, MAX_ATTEMPT)], True),
    ([], [ev("lost", 9 * S)], True),
    ([], [ev("succeeded", 5 * S), ev("succeeded", 5 * S)], True),
    ([], [ev("succeeded", 2 * S, started_at=3 * S)], True),  # its clock was set back while it ran
    ([], [ev("succeeded", 1 * S), ev("enqueued", 1 * S + LATE + 1, 1)], False),
    # Order within one execution.
    ([], [ev("enqueued", 2 * S + 1), BEGAN], False),  # one host: enqueued after it began
    ([], [BEGAN, ev("enqueued", 2 * S + 1)], False),
    ([], [ev("enqueued", 2 * S), BEGAN], True),
    ([], [ev("enqueued", 2 * S + 1), ev("started", 2 * S, run="v")], True),  # two hosts, whose clocks may differ
    ([ev("enqueued", 2 * S + 1)], [BEGAN], True),  # which host sent it is not kept
    ([ev("enqueued", 2 * S + SKEW_US)], [ev("started", 2 * S, run="v")], True),
    ([ev("enqueued", 2 * S + SKEW_US + 1)], [ev("started", 2 * S, run="v")], False),
    ([], [ev("enqueued", 2 * S + 1), ev("failed", 2 * S)], False),
    ([BEGAN], [ev("failed", 2 * S - 1)], False),
    ([BEGAN], [ev("failed", 2 * S)], True),
    ([GOT], [ev("failed", 1 * S - 1)], False),
    ([BEGAN], [ev("lost", 9 * S)], True),
    ([ev("failed", 3 * S)], [ev("lost", 9 * S)], False),
    ([ev("failed", 3 * S, started_at=2 * S)], [ev("lost", 9 * S)], True),
    ([ev("retried", 3 * S, started_at=1 * S), ev("started", 1 * S + 1, 1)], [ev("lost", 9 * S)], True),  # its start is hidden
    # An end without a start may be of another execution, the loss of a process may not.
    ([BEGAN, WON], [ev("cancelled", 9 * S, 1)], False),
    ([ev("cancelled", 9 * S, 1)], [WON], False),
    ([BEGAN, WON], [ev("cancelled", 1 * S, 1)], False),
    ([BEGAN, WON], [ev("lost", 9 * S, 1)], True),
    ([ev("lost", 9 * S, 1)], [WON], True),
    # What operators and the server say is of no moment of a run.
    ([BEGAN, WON], [ev("cancel_asked", 4 * S), ev("moved", 4 * S), ev("due", 4 * S), ev("alive", 4 * S)], True),
])  # fmt: skip
def test_whether_news_can_only_be_of_the_life_that_is_known(before: list[Event], news: list[Event], expected: bool) -> None:
    assert one(known(*before), *news) is expected
    assert expected or not is_ordinary(known(*before), news)
    early, late = at_the_beginning(before, news)
    assert one(known(*early), *late) is expected


def echo(at: int, text: str = "[1]") -> Event:
    """Arguments that a worker tells."""
    return ev("payload", at, run="w", rank=1, args=text)


WATCHED = (ev("enqueued", 0), ev("payload", 5, rank=2, args="[1]"))


@pytest.mark.parametrize(
    ("before", "news", "expected"),
    [
        # What a worker repeats, however long the task has waited.
        (WATCHED, (ev("received", 600 * S), echo(600 * S + 5), ev("started", 600 * S + 9)), True),
        (WATCHED, (echo(600 * S), ev("started", 600 * S + 9)), True),
        (WATCHED, (echo(600 * S),), False),  # of which run is not known
        (WATCHED, (echo(600 * S, "[2]"), ev("started", 600 * S + 9)), False),
        ((*WATCHED, ev("received", 600 * S)), (echo(600 * S + SKEW_US),), True),
        ((*WATCHED, ev("received", 600 * S)), (echo(600 * S + SKEW_US + 1),), False),
        ((*WATCHED, ev("received", 600 * S)), (echo(600 * S - SKEW_US),), True),
        ((*WATCHED, ev("received", 600 * S)), (echo(600 * S - SKEW_US - 1),), False),
        # It is received once, and what it was received for starts later.
        ((ev("started", 0),), (ev("received", SKEW_US),), True),
        ((ev("started", 0),), (ev("received", SKEW_US + 1),), False),
        ((ev("received", 0),), (echo(5), ev("started", 60 * S)), True),
        ((ev("received", 0),), (echo(SKEW_US + 1), ev("started", SKEW_US + 2)), False),
        ((ev("received", 0), echo(5)), (ev("started", 60 * S),), True),
        ((echo(0),), (ev("received", SKEW_US),), True),
        ((echo(0),), (ev("received", SKEW_US + 1),), False),
        ((echo(0),), (ev("started", 20 * S),), True),  # told before everything that is known of it
        ((ev("enqueued", 0),), (echo(SKEW_US),), True),
        ((ev("enqueued", 0),), (echo(SKEW_US + 1),), False),
        ((echo(0),), (echo(SKEW_US, "[1]"),), True),
        ((echo(0),), (echo(LATE + 1, "[1]"),), False),
    ],
)
def test_arguments_that_a_worker_tells_are_of_what_it_has_just_received(
    before: tuple[Event, ...], news: tuple[Event, ...], expected: bool
) -> None:
    assert one(known(*before), *news) is expected
    early, late = at_the_beginning(before, news)
    assert one(known(*early), *late) is expected


@pytest.mark.parametrize(("starts", "began", "expected"), [
    ((2 * S,), 2 * S, True), ((2 * S,), 2 * S + 1, False), ((), 2 * S, True), ((2 * S, 3 * S), 2 * S, False), ((), 9 * S + 1, False),
    ((), 9 * S, True),
])  # fmt: skip
def test_where_a_later_attempt_hides_the_first_start_its_runs_are_asked(starts: tuple[int, ...], began: int, expected: bool) -> None:
    before = known(SENT, ev("started", 9 * S, 1))
    assert one(before, ev("failed", began + 1, started_at=began), starts=starts) is expected


def test_the_runs_are_asked_only_then() -> None:
    def fail() -> list[int]:
        raise AssertionError("looked up for nothing")

    assert is_one_execution(known(SENT, GOT), [BEGAN, WON], same_clock, fail)
    assert is_one_execution(known(SENT, ev("started", 9 * S, 1)), [ev("failed", 10 * S, 1, started_at=9 * S)], same_clock, fail)


def test_numbers_that_lives_are_told_apart_by() -> None:
    assert (reuse_check.LATE_US, SKEW_US) == (10 * S, 5 * S)
    assert split_executions.SENDER == 2
    assert known(ev("enqueued", 0, 1)).state[0] >= reuse_check.FIRST_FACTS  # type: ignore[union-attr]
    assert known(ev("failed", 0)).state[0] >= reuse_check.FIRST_FACTS  # type: ignore[union-attr]
    assert known(ev("started", 0)).state[0] < reuse_check.FIRST_FACTS  # type: ignore[union-attr]
