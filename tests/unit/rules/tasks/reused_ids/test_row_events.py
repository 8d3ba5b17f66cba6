# SPDX-License-Identifier: AGPL-3.0-or-later
"""A row that is taken apart and put together again is the same row."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import pytest

from tests.unit.rules.tasks.reused_ids.test_split_executions import SENT, execution
from z4j.rules.tasks.fold import NEVER, Event, Summary, attempt_delta, fold, runs_of
from z4j.rules.tasks.reused_ids.row_events import KIND_OF, attempt_event, events_of
from z4j.rules.tasks.states import FLAGS, STATE_NAMES

T = 1_700_000_000_000_000
S = 1_000_000


def ev(kind: str, at: int, attempt: int = 0, **facts: Any) -> Event:
    times = {name: T + facts.pop(name) for name in ("received_at", "started_at", "eta") if name in facts}
    return Event(kind, attempt, T + at, **times, **facts)


def row_of(events: Sequence[Event]) -> Summary:
    summary = fold(None, events)
    assert summary is not None
    return summary


def retold(*events: Event) -> list[Event]:
    return events_of(row_of(events), [(*key, run) for key, run in runs_of(events).items()])


def kinds(events: Sequence[Event]) -> list[tuple[str, int, int]]:
    return [(of.kind, of.attempt, of.at - T) for of in events]


# -- laws ----------------------------------------------------------------------------------------------------------------
def told_at_length(chance: random.Random) -> list[Event]:
    """What is reported of one execution, up to some moment, with all that each process knows."""
    events = [of.event for of in execution(chance, T, 1)]
    facts: dict[str, Any] = {"environment": "production", "name": "shop.ship", "queue": chance.choice(["work", "fast"])}
    found = []
    for event in events[: chance.randrange(1, len(events) + 1)]:
        more = dict(facts, worker=f"worker of {event.run}")
        if event.kind in ("succeeded", "failed", "retried", "lost"):
            more |= {"runtime_us": 7, "reason": "why", "error_type": "E", "error": f"error {event.attempt}", "flags": event.flags | 2}
        if event.kind == "retried":
            more |= {"eta": event.at + 100, "traceback": "trace"}
        if event.kind in ("failed", "lost"):
            more |= {"traceback": f"trace {event.attempt}"}
        if event.kind in ("succeeded", "failed", "retried"):
            more |= {"usage": (5, 0, 900, event.attempt, 0)}
        if event.kind == "payload":
            more |= {"is_masked": True, "original": 4}
        found.append(event._replace(**more))
    if chance.random() < 0.2:  # the moment of a move is kept in milliseconds
        found.append(Event("moved", 0, (found[-1].at // 1_000 + 1) * 1_000, queue="elsewhere"))
    return found


@pytest.mark.parametrize("seed", range(150))
def test_the_events_of_a_row_make_the_same_row(seed: int) -> None:
    events = told_at_length(random.Random(seed))
    row, runs, again = row_of(events), runs_of(events), retold(*events)
    row_again, runs_again = row_of(again), runs_of(again)
    assert row_again._replace(state=row.state) == row
    # Which worker holds a task that has not started there is not told again.
    assert row_again.state == row.state or STATE_NAMES[row.state[0] & 15] in ("received", "scheduled")
    # Whether it was redelivered is kept of the task, and told of the run that speaks for it.
    assert {key: run._replace(flags=0) for key, run in runs_again.items()} == {key: run._replace(flags=0) for key, run in runs.items()}


# -- cases ---------------------------------------------------------------------------------------------------------------
def test_a_task_that_was_only_sent() -> None:
    assert kinds(retold(ev("enqueued", 0, sent=SENT))) == [("enqueued", 0, 0)]
    [event] = retold(ev("enqueued", 0, sent=SENT, eta=9, reason="blocked", name="n", queue="q", environment="e"))
    assert event == ev("enqueued", 0, sent=SENT, eta=9, reason="blocked" if False else "", name="n", queue="q", environment="e")


def test_a_reason_of_a_waiting_task_is_told_and_that_of_an_end_is_not_given_to_its_sending() -> None:
    [event] = retold(ev("enqueued", 0, reason="blocked"))
    assert event.reason == "blocked"
    first = retold(ev("enqueued", 0), ev("failed", 5, reason="time limit"))[0]
    assert (first.kind, first.reason) == ("enqueued", "")


def test_where_it_came_from_is_told_once_by_the_earliest() -> None:
    for events in ([ev("enqueued", 0, sent=SENT), ev("received", 1)], [ev("received", 1, sent=SENT)], [ev("failed", 2, sent=SENT)]):
        again = retold(*events)
        assert [of.sent for of in again if of.sent] == [SENT]


def test_what_was_found_alive_keeps_its_start() -> None:
    """Told as a start of its own it would be another run."""
    again = retold(ev("started", 1 * S, run="w", worker="w1"), ev("alive", 5 * S, run="w", worker="w1"))
    assert kinds(again) == [("alive", 0, 5 * S), ("started", 0, 1 * S)]
    assert {of.run for of in again} == {"w"}
    [run] = runs_of([ev("started", 1 * S, 1, run="w"), ev("alive", 5 * S, 1, run="w")]).values()
    event = attempt_event(1, "w", run)
    assert (event.kind, event.at, event.started_at) == ("alive", T + 5 * S, T + 1 * S)


def test_a_run_is_told_with_all_that_is_kept_of_it() -> None:
    whole = ev("failed", 9 * S, 2, run="w", worker="w1", received_at=1, started_at=2, runtime_us=3, reason="r", error_type="E", error="e",
               traceback="t", flags=3)  # fmt: skip
    run = attempt_delta(whole)
    assert run is not None
    assert attempt_event(2, "w", run) == whole
    bare = attempt_delta(ev("started", 5, 1, run="w"))
    assert bare is not None
    assert attempt_event(1, "w", bare) == ev("started", 5, 1, run="w", started_at=5)
    assert (attempt_event(1, "w", bare).received_at, bare.received_at) == (-1, NEVER)


def test_a_retry_is_told_with_when_it_is_due() -> None:
    again = retold(ev("retried", 5, run="w", started_at=1, eta=90), ev("started", 95, 1, run="w"))
    assert [(of.kind, of.eta - T) for of in again if of.kind == "retried"] == [("retried", 90)]


def test_every_state_has_the_kind_that_tells_it() -> None:
    assert {STATE_NAMES[code]: kind for code, kind in KIND_OF.items()} == {
        "cancelled": "cancelled",
        "expired": "expired", "rejected": "rejected", "failed": "failed", "succeeded": "succeeded", "lost": "lost", "retrying": "retried",
    }  # fmt: skip


def test_marks_of_the_server_are_not_told_as_if_an_agent_had_said_them() -> None:
    summary = row_of([ev("started", 5, run="w", flags=FLAGS["redelivered"])])
    again = events_of(summary._replace(flags=summary.flags | FLAGS["unmarked"] | FLAGS["again"]), [])
    assert [of.flags for of in again] == [FLAGS["redelivered"]]


def test_flags_of_a_task_that_has_not_started_are_told_by_what_is_known_of_it() -> None:
    assert [of.flags for of in retold(ev("enqueued", 1), ev("received", 5, flags=1))] == [1, 0]


def test_what_operators_did_is_told_again() -> None:
    again = retold(ev("enqueued", 0, queue="a"), ev("cancel_asked", 3), ev("moved", 5_000, queue="b"))
    assert kinds(again) == [("enqueued", 0, 0), ("cancel_asked", 0, 3), ("moved", 0, 5_000)]
    assert again[-1].queue == "b"


def test_arguments_are_told_by_their_source_and_the_original_apart_from_them() -> None:
    sender = ev("payload", 5, rank=2, args="[1]", is_masked=True, original=4)
    again = [of for of in retold(ev("enqueued", 0), sender) if of.kind == "payload"]
    assert [(of.rank, of.args, of.is_masked, of.original, of.attempt) for of in again] == [(2, "[1]", True, 0, 0), (2, "", False, 4, 0)]
    assert {of.at for of in again} == {T + 5}


def test_arguments_of_a_worker_are_told_when_it_received_the_task() -> None:
    """No moment of their own is kept where others came before and after."""
    again = retold(ev("enqueued", 0), ev("received", 5), ev("payload", 7, rank=1, args="[1]"), ev("started", 9))
    assert [of.at - T for of in again if of.kind == "payload"] == [5, 5]
    again = retold(ev("enqueued", 0), ev("payload", 7, rank=1, args="[1]"), ev("started", 9), ev("succeeded", 11, started_at=9))
    assert [of.at - T for of in again if of.kind == "payload"] == [9, 9], "a worker that tells no receipt"
    again = retold(ev("enqueued", 0), ev("payload", 3, rank=2, args="[1]"), ev("received", 5), ev("started", 9))
    assert [of.at - T for of in again if of.kind == "payload"] == [0, 0]
    again = retold(ev("received", 5), ev("started", 9), ev("enqueued", 20), ev("payload", 23, rank=2, args="[1]"), ev("succeeded", 30))
    assert [of.at - T for of in again if of.kind == "payload"] == [20, 20], "by a clock that is ahead"


def test_a_row_of_which_only_a_moment_is_known() -> None:
    assert kinds(retold(ev("cancel_asked", 3))) == [("cancel_asked", 0, 3)]
    assert kinds(retold(ev("due", 3))) == [("enqueued", 0, 3)]
    assert kinds(retold(ev("moved", 3))) == [("enqueued", 0, 3)]


def test_a_later_attempt_that_was_sent_is_told_by_its_name() -> None:
    again = retold(
        ev("enqueued", 0, name="n"), ev("retried", 5, run="w", started_at=1), ev("enqueued", 6, 1, name="n"), ev("started", 9, 1, name="n")
    )
    assert ("enqueued", 1, 9) in kinds(again)
    assert ("enqueued", 1, 6) not in kinds(again), "its start hides when"


# -- exactly what is told ------------------------------------------------------------------------------------------------
NAMED: dict[str, Any] = {"environment": "production", "name": "shop.ship", "queue": "work"}
BY: dict[str, Any] = {"run": "w", "worker": "w1"}
BY_NEXT: dict[str, Any] = {"run": "v", "worker": "v1"}
WHY: dict[str, Any] = {"runtime_us": 7, "reason": "why", "error_type": "E", "error": "message"}
SENT_0, GOT, BEGAN = ev("enqueued", 0, sent=SENT, **NAMED), ev("received", 1, **BY, **NAMED), ev("started", 2, **BY, **NAMED)
FAILED = ev("failed", 5, received_at=1, started_at=2, traceback="trace", **WHY, **BY, **NAMED)
RETRIED = ev("retried", 5, started_at=2, eta=90, traceback="trace", **WHY, **BY, **NAMED)


@pytest.mark.parametrize(("events", "again"), [
    pytest.param([SENT_0, GOT, BEGAN, ev("succeeded", 5, received_at=1, started_at=2, runtime_us=3, result="[1]", **BY, **NAMED)],
                 [SENT_0, ev("received", 1, **NAMED),
                  ev("succeeded", 5, received_at=1, started_at=2, runtime_us=3, result="[1]", **BY, **NAMED)], id="succeeded"),
    pytest.param([SENT_0, GOT, BEGAN, FAILED], [SENT_0, ev("received", 1, **NAMED), FAILED, FAILED], id="failed, of which a run is kept"),
    pytest.param([ev("started", 2, **BY), ev("failed", 5, run="", started_at=2)],
                 [ev("failed", 5, started_at=2), ev("moved", 2)], id="failed, of which no run is kept"),
    pytest.param([ev("received", 1), ev("cancelled", 5, started_at=2)],
                 [ev("received", 1), ev("cancelled", 5, started_at=2)], id="a cancelled run tells no receipt"),
    pytest.param([ev("failed", 5)], [ev("failed", 5)], id="nothing else is known"),
    # A success of an earlier attempt has neither the receipt nor the start of a later one.
    pytest.param([ev("succeeded", 5, **BY), ev("received", 8, 1), ev("started", 9, 1)],
                 [ev("received", 8, 1), ev("succeeded", 5, **BY), ev("started", 9, 1)], id="succeeded before a later attempt"),
    pytest.param([SENT_0, GOT, BEGAN, RETRIED], [SENT_0, ev("received", 1, **NAMED), RETRIED, RETRIED], id="retried"),
    pytest.param([ev("enqueued", 0), ev("retried", 5)], [ev("enqueued", 0)], id="retried by an unknown process"),
    pytest.param([ev("enqueued", 0), ev("enqueued", 6, 1, eta=90)], [ev("enqueued", 0), ev("enqueued", 6, 1, eta=90)], id="sent again"),
    pytest.param([ev("lost", 5, reason="gone", **BY), ev("received", 1), ev("started", 2, **BY)],
                 [ev("received", 1), ev("lost", 5, reason="gone", **BY), ev("lost", 5, reason="gone", **BY), ev("started", 2, **BY)],
                 id="lost"),
    pytest.param([SENT_0, ev("alive", 5_000, **BY, **NAMED), BEGAN],
                 [SENT_0, ev("alive", 5_000, **BY, **NAMED), BEGAN], id="alive"),
    pytest.param([BEGAN], [BEGAN], id="running"),
    # A message that waits in a worker.
    pytest.param([ev("received", 1, eta=90, sent=SENT, **BY, **NAMED)], [ev("received", 1, eta=90, sent=SENT, **NAMED)], id="received"),
    pytest.param([ev("received", 1, 1, **BY, **NAMED)], [ev("received", 1, 1, **NAMED)], id="a later attempt received"),
    pytest.param([ev("received", 1, 1, eta=90, name="n")], [ev("received", 1, 1, eta=90, name="n"), ev("enqueued", 1, 1, eta=90, name="n")],
                 id="a later attempt that waits in a worker"),
    pytest.param([ev("enqueued", 0, eta=9), ev("received", 9)], [ev("enqueued", 0, eta=9), ev("received", 9)], id="received when due"),
    pytest.param([ev("enqueued", 0, eta=9), ev("due", 9, **BY)], [ev("enqueued", 0, eta=9), ev("due", 9, **BY)], id="due"),
    pytest.param([ev("enqueued", 0, eta=9), ev("due", 9), ev("received", 12, eta=12)],
                 [ev("enqueued", 0, eta=12), ev("received", 12)], id="due, and received with another moment"),
    pytest.param([ev("due", 3, flags=1)], [ev("enqueued", 3)], id="flags of nothing"),
    # Of a start that is hidden, neither the process nor the worker is known.
    pytest.param([BEGAN, ev("enqueued", 2, 1)], [ev("enqueued", 2, 1, **NAMED), ev("started", 2, **NAMED)], id="sent as it started"),
    # Who was sent again, by the name that its producer gave it.
    pytest.param([ev("enqueued", 6, 1, name="n"), ev("received", 9, 1)],
                 [ev("received", 9, 1, name="n"), ev("enqueued", 9, 1, name="n"), ev("moved", 6)], id="sent again and received"),
    pytest.param([ev("started", 2), ev("enqueued", 6, 1, name="n"), ev("received", 9, 1)],
                 [ev("received", 9, 1, name="n"), ev("started", 2, name="n"), ev("enqueued", 9, 1, name="n")],
                 id="sent again and received after a first start"),
    pytest.param([ev("received", 9, 1, name="n")], [ev("received", 9, 1, name="n")], id="received with a name"),
    # Operators.
    pytest.param([ev("enqueued", 0), Event("moved", 0, T + 5_000, queue="b"), ev("cancel_asked", 7)],
                 [ev("enqueued", 0, queue="b"), ev("cancel_asked", 7), Event("moved", 0, T + 5_000, queue="b")], id="moved"),
])  # fmt: skip
def test_a_row_is_told_as(events: list[Event], again: list[Event]) -> None:
    """What a row does not keep of each record is left out; an end is told of the task and of its run."""
    assert retold(*events) == again


PAYLOAD: dict[str, Any] = {"rank": 1, "args": "[1]"}


@pytest.mark.parametrize(("events", "moment"), [
    pytest.param([ev("enqueued", 0), ev("payload", 7, **PAYLOAD)], 7, id="the last that was reported"),
    pytest.param([ev("payload", 7, **PAYLOAD), ev("enqueued", 9)], 7, id="the first that was reported"),
    pytest.param([ev("retried", 2, **BY), ev("received", 5, 1), ev("payload", 7, **PAYLOAD), ev("started", 9, 1, **BY)], 5, id="receipt"),
    pytest.param([ev("retried", 2, **BY), ev("payload", 7, **PAYLOAD), ev("started", 9, 1, **BY), ev("failed", 11, 1, **BY)], 9,
                 id="start"),
    pytest.param([ev("enqueued", 0), ev("payload", 7, **PAYLOAD), ev("failed", 9)], 0, id="no receipt and no start"),
    pytest.param([ev("retried", 2, **BY), ev("enqueued", 4), ev("payload", 7, rank=2, args="[1]"), ev("started", 9, 1, **BY)], 4,
                 id="by its producer, when it was sent"),
    pytest.param([ev("retried", 2, **BY), ev("received", 5, 1), ev("payload", 7, rank=2, args="[1]"), ev("started", 9, 1, **BY)], 2,
                 id="by its producer, and when it was sent is not known"),
    pytest.param([ev("enqueued", 0), ev("received", 5), ev("payload", 7, rank=1, args="[1]"), ev("started", 9)], 5,
                 id="by a worker, of a task whose producer is watched"),
])  # fmt: skip
def test_arguments_are_told_with_a_moment_at_which_they_may_have_been_told(events: list[Event], moment: int) -> None:
    assert {of.at - T for of in retold(*events) if of.kind == "payload"} == {moment}


def test_arguments_and_the_original_are_told_with_the_attempt_and_source_of_each() -> None:
    args = ev("payload", 7, 2, rank=1, args="[1]", is_masked=True, **NAMED)
    none_kept = args._replace(args="", is_masked=False)
    assert retold(ev("received", 1, 2), args)[1:] == [args, none_kept]
    original = ev("payload", 6, 1, rank=2, original=4, **NAMED)
    assert retold(args, original, ev("received", 1, 2))[1:] == [args, original._replace(at=args.at)]
    assert retold(ev("received", 1, 2), args._replace(rank=300))[1:] == [args._replace(rank=255), none_kept._replace(rank=255)]
    assert retold(ev("received", 1), ev("payload", 7))[1:] == [ev("payload", 7)], "of an unknown source, without an original"


def test_the_moment_of_an_attempt_that_a_later_one_hides_is_kept() -> None:
    """It moves nothing: without a queue it says only that the id was seen then."""
    again = retold(ev("received", 1), ev("received", 9, 1))
    assert again == [ev("received", 9, 1), ev("moved", 1)]
    assert row_of(again) == row_of([ev("received", 9, 1), ev("moved", 1)])
