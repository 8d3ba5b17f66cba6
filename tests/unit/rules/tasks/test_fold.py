# SPDX-License-Identifier: AGPL-3.0-or-later
"""Each case is one sentence about what a set of events means. The laws (any order, duplicates) are in contract/."""

from __future__ import annotations

from itertools import pairwise, permutations
from typing import Any

import pytest

from z4j.rules.tasks import fold as f
from z4j.rules.tasks.fold import AttemptSummary, Event, Summary, attempt_delta, delta, fold, join, run_join
from z4j.rules.tasks.states import FINAL, FINAL_CODES, ORIGINAL_STATES, STATE_NAMES, STATES

T = 1_700_000_000_000_000
MS = 1_000
SECOND = 1_000_000
SENT = ("parent", "", "", "", "", "", -1, -1)


def ev(kind: str, at: int = T, attempt: int = 0, **facts: Any) -> Event:
    facts.setdefault("run", "boot.1")
    return Event(kind, attempt, at, **facts)


def told(*events: Event) -> Summary:
    """What the events say, checked to be the same in every order."""
    found = {fold(None, order) for order in permutations(events)}
    assert len(found) == 1
    summary = found.pop()
    assert summary is not None
    return summary


def second(of: tuple[Any, ...]) -> Any:
    return of[1]


def state(*events: Event) -> str:
    return STATE_NAMES[f.state_of(told(*events).state[0])]


# -- one attempt -------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("enqueued", "queued"),
        ("received", "received"),
        ("started", "running"),
        ("retried", "retrying"),
        ("due", "queued"),
        ("lost", "lost"),
        ("alive", "running"),
        ("cancelled", "cancelled"),
        ("expired", "expired"),
        ("rejected", "rejected"),
        ("failed", "failed"),
        ("succeeded", "succeeded"),
        ("payload", "queued"),
        ("cancel_asked", "queued"),
    ],
)
def test_each_kind_alone(kind: str, expected: str) -> None:
    assert state(ev(kind)) == expected


def test_the_newest_fact_of_an_attempt_speaks() -> None:
    assert state(ev("enqueued"), ev("received", T + MS)) == "received"
    assert state(ev("enqueued"), ev("received", T + MS), ev("started", T + 2 * MS)) == "running"
    assert state(ev("started", T + 5 * MS), ev("received", T + 6 * MS)) == "received"


def test_within_a_millisecond_the_further_fact_speaks() -> None:
    assert state(ev("started", T), ev("received", T + 999)) == "running"
    assert state(ev("started", T), ev("lost", T + 1)) == "lost"
    assert state(ev("started", T), ev("received", T + MS)) == "received"


def test_an_end_beats_every_fact_of_its_attempt_however_late() -> None:
    late = 10**9 * MS
    assert state(ev("expired"), ev("started", T + late)) == "expired"
    assert state(ev("cancelled"), ev("lost", T + late)) == "cancelled"


def test_ends_of_one_attempt_by_how_well_they_are_founded() -> None:
    order = ["cancelled", "expired", "rejected", "failed", "succeeded"]
    for worse, better in pairwise(order):
        assert state(ev(worse, T + SECOND), ev(better, T)) == better


def test_a_task_without_an_end_keeps_its_times() -> None:
    summary = told(ev("enqueued", T + 1), ev("received", T + 2), ev("started", T + 3))
    assert (summary.first_at, summary.last_at, summary.enqueued_at) == (T + 1, T + 3, T + 1)
    assert summary.received == (0, -(T + 2))
    assert summary.start == (0, -(T + 3))


# -- several attempts --------------------------------------------------------------------------------------------------
def test_a_success_of_any_attempt_wins() -> None:
    assert state(ev("succeeded"), ev("failed", T + SECOND, 1), ev("started", T + 2 * SECOND, 2)) == "succeeded"


def test_the_newest_attempt_speaks_before_an_older_end() -> None:
    summary = told(ev("failed", T + SECOND), ev("started", T, 1))
    assert f.state_of(summary.state[0]) == STATES["running"]
    assert f.attempt_of(summary.state[0]) == 1


def test_a_retry_waits_as_retrying_until_it_starts() -> None:
    retried = ev("retried", T + 2, eta=T + SECOND, reason="again", error_type="ValueError", error="bad")
    again = ev("enqueued", T + 1, 1, eta=T + SECOND)
    assert state(retried) == "retrying"
    assert state(retried, again) == "retrying"
    assert state(again, ev("received", T + 3, 1, eta=T + SECOND)) == "retrying"
    assert state(again, ev("received", T + 3, 1)) == "received"
    assert state(again, ev("started", T + 4, 1)) == "running"
    assert state(ev("received", T, 1, eta=T)) == "received"
    assert state(ev("enqueued", T, 1)) == "retrying"
    assert state(retried, again, ev("started", T + SECOND, 1)) == "running"


def test_the_enqueued_time_is_that_of_the_first_attempt() -> None:
    assert told(ev("enqueued", T + 5), ev("enqueued", T, 1)).enqueued_at == T + 5
    assert told(ev("enqueued", T, 1)).enqueued_at == f.NEVER
    assert told(ev("received", T)).enqueued_at == f.NEVER
    assert told(ev("enqueued", T + 5), ev("enqueued", T + 3)).enqueued_at == T + 3


def test_the_start_is_the_earliest_of_the_newest_attempt() -> None:
    assert told(ev("started", T + 2), ev("started", T + 1)).start == (0, -(T + 1))
    assert told(ev("started", T), ev("started", T + 9, 1)).start == (1, -(T + 9))
    assert told(ev("received", T + 2), ev("received", T + 1), ev("received", T + 8, 1)).received == (1, -(T + 8))


def test_attempts_beyond_the_limit_are_counted_as_the_last() -> None:
    summary = told(ev("failed", T, 5_000), ev("started", T, 4_095))
    assert f.attempt_of(summary.state[0]) == 4_095
    assert f.state_of(summary.state[0]) == STATES["failed"]
    assert f.is_end(summary.state[0])
    assert told(ev("started", T, 4_096, name="n")).name == (4_095 << 2 | 1, "n")
    assert told(ev("retried", T, 4_095, eta=T)).eta == (4_096, T)
    assert told(ev("payload", T, 4_096, rank=1)).args == (4_095 << 8 | 1, "", False)
    assert run_told(ev("failed", T, 4_096)).state[0] == f.state_key("failed", 4_095, T)


def test_the_highest_attempt_stays_below_a_success() -> None:
    assert state(ev("succeeded"), ev("failed", T, 4_095)) == "succeeded"
    assert f.state_key("succeeded", 4_095, T) < 1 << 63


# -- eta ---------------------------------------------------------------------------------------------------------------
def test_an_eta_ahead_is_scheduled_and_one_behind_is_not() -> None:
    assert state(ev("enqueued", T, eta=T + 1)) == "scheduled"
    assert state(ev("enqueued", T, eta=T)) == "queued"
    assert state(ev("received", T, eta=T + 1)) == "scheduled"
    assert state(ev("received", T, eta=T)) == "received"
    assert state(ev("started", T, eta=T + 1)) == "running"
    assert told(ev("enqueued", T, eta=T + 1)).eta == (0, T + 1)
    assert told(ev("enqueued", T, eta=0)).eta == (0, 0)
    assert told(ev("enqueued", T)).eta == ()


def test_due_makes_a_scheduled_task_queued() -> None:
    scheduled = ev("enqueued", T, eta=T + SECOND)
    assert state(scheduled, ev("received", T + 5, eta=T + SECOND), ev("due", T + SECOND)) == "queued"
    assert state(scheduled, ev("due", T + SECOND), ev("started", T + 2 * SECOND)) == "running"
    assert state(ev("enqueued", T, eta=T + 1), ev("due", T + 1)) == "queued"


def test_the_eta_of_a_retry_is_that_of_the_attempt_after_it() -> None:
    assert told(ev("retried", T, 2, eta=T + SECOND)).eta == (3, T + SECOND)
    assert told(ev("enqueued", T, eta=T + 9), ev("enqueued", T, 1, eta=T + 5)).eta == (1, T + 5)


# -- lost and alive ----------------------------------------------------------------------------------------------------
def test_lost_beats_what_was_known_and_any_later_news_beats_it() -> None:
    started = ev("started", T)
    lost = ev("lost", T + 1, reason="worker_gone", error="gone")
    assert state(started, lost) == "lost"
    assert told(started, lost).state[5:8] == ("worker_gone", "", "gone")
    assert state(started, lost, ev("alive", T + MS)) == "running"
    assert state(started, lost, ev("started", T + SECOND, run="other.2")) == "running"
    assert state(started, lost, ev("enqueued", T + SECOND, 1)) == "retrying"


def test_a_real_end_beats_lost_always() -> None:
    assert state(ev("started", T), ev("lost", T + SECOND), ev("failed", T + 5)) == "failed"
    assert state(ev("lost", T + SECOND), ev("cancelled", T)) == "cancelled"


def test_a_cold_shutdown_reads_lost_at_once() -> None:
    assert state(ev("started", T), ev("retried", T + 5), ev("lost", T + 5, reason="shutdown")) == "lost"


def test_lost_is_a_fact_and_final_until_news() -> None:
    assert not f.is_end(f.state_key("lost", 0, T))
    assert "lost" in FINAL
    assert STATES["lost"] in FINAL_CODES
    assert f.is_end(f.state_key("cancelled", 0, T))
    assert not f.is_end(f.state_key("started", 7, T))


# -- racing reports ----------------------------------------------------------------------------------------------------
def test_of_equal_ends_the_earliest_speaks() -> None:
    summary = told(ev("failed", T, error="first", worker="a"), ev("failed", T + 1, error="second", worker="z"))
    assert summary.state == (f.state_key("failed", 0, T), -T, "boot.1", "a", -1, "", "", "first", "", ())


def test_of_ends_told_at_the_same_moment_the_greatest_payload_speaks() -> None:
    assert told(ev("failed", T, error="a"), ev("failed", T, error="b")).state[7] == "b"
    assert told(ev("failed", T, run="a.1"), ev("failed", T, run="b.1")).state[2] == "b.1"


def test_a_failed_delivery_beside_a_running_one_reads_failed_until_that_ends() -> None:
    events = [ev("failed", T + 5), ev("started", T + SECOND, run="other.2", flags=1)]
    assert state(*events) == "failed"
    assert state(*events, ev("succeeded", T + 2 * SECOND, run="other.2")) == "succeeded"


def test_an_end_carries_its_own_received_and_started() -> None:
    summary = told(ev("succeeded", T + 9, received_at=T + 1, started_at=T + 2, runtime_us=7, result="ok"))
    assert summary.received == (0, -(T + 1))
    assert summary.start == (0, -(T + 2))
    assert summary.state[4] == 7
    assert summary.state[8] == "ok"
    assert told(ev("failed", T, received_at=0, started_at=0)).start == (0, 0)
    assert told(ev("failed", T, received_at=0, started_at=0)).received == (0, 0)
    bare = told(ev("failed", T))
    assert (bare.received, bare.start) == ((), ())


def test_an_end_without_a_start_is_accepted() -> None:
    assert state(ev("cancelled", T, run="main.1")) == "cancelled"


# -- commands ----------------------------------------------------------------------------------------------------------
def test_a_cancel_that_was_asked_is_not_a_state() -> None:
    summary = told(ev("enqueued"), ev("cancel_asked", T + 5), ev("cancel_asked", T + 3), ev("started", T + 9))
    assert f.state_of(summary.state[0]) == STATES["running"]
    assert summary.cancel_asked_at == T + 3
    assert told(ev("enqueued")).cancel_asked_at == f.NEVER
    asked = told(ev("cancel_asked", T + 5))
    assert (asked.first_at, asked.last_at) == (T + 5, T + 5)


# -- who, where, whence ------------------------------------------------------------------------------------------------
def test_only_what_happens_in_a_worker_names_the_worker() -> None:
    assert told(ev("enqueued", worker="w")).state[2:4] == ("", "")
    assert told(ev("received", worker="w")).state[2:4] == ("boot.1", "w")
    assert told(ev("started", worker="w"), ev("enqueued", T + SECOND, 1, worker="w")).state[2:4] == ("", "")


def test_the_producer_knows_name_queue_and_environment_best_then_the_receiver() -> None:
    producer = ev("enqueued", name="n1", queue="q1", environment="e1")
    receiver = ev("received", name="n2", queue="q2", environment="e2")
    anybody = ev("failed", name="n3", queue="q3", environment="e3")

    def where(*events: Event) -> list[str]:
        summary = told(*events)
        return [field[1] if field else "" for field in (summary.name, summary.queue, summary.environment)]

    assert where(producer, receiver, anybody) == ["n1", "q1", "e1"]
    assert where(receiver, anybody) == ["n2", "q2", "e2"]
    assert where(anybody) == ["n3", "q3", "e3"]
    assert where(producer._replace(queue=""), receiver) == ["n1", "q2", "e1"]
    assert where(producer._replace(name="", environment=""), anybody) == ["n3", "q1", "e3"]
    assert where(producer, ev("started", T, 1, queue="moved")) == ["n1", "moved", "e1"]
    assert where(ev("enqueued", T, 1, queue="q1"), ev("started", T, 1, queue="q2")) == ["", "q1", ""]
    assert where(ev("due")) == ["", "", ""]


def test_the_first_attempts_producer_says_where_a_task_came_from() -> None:
    other = ("z", *SENT[1:])  # so that the greater text is not the better one
    assert second(told(ev("enqueued", sent=SENT), ev("received", sent=other)).sent) == SENT
    assert second(told(ev("enqueued", sent=SENT), ev("enqueued", T, 1, sent=other)).sent) == SENT
    assert second(told(ev("received", sent=SENT), ev("started", sent=other)).sent) == SENT
    assert second(told(ev("enqueued", T, 1, sent=SENT), ev("enqueued", T, 2, sent=other)).sent) == SENT
    assert second(told(ev("received", T, 4_095, sent=SENT), ev("started", sent=other)).sent) == SENT
    assert told(ev("enqueued")).sent == ()
    kept: Any = told(ev("enqueued", T, 2, sent=SENT)).sent
    assert kept == (3 << 12 | 4_093, SENT)


def test_flags_add_up() -> None:
    assert told(ev("started", flags=1), ev("succeeded", flags=4), ev("failed", flags=1)).flags == 5
    assert told(ev("started")).flags == 0


# -- payload -----------------------------------------------------------------------------------------------------------
def test_a_payload_says_what_and_nothing_about_the_state() -> None:
    payload = ev("payload", T + SECOND, name="n", queue="q", environment="e", worker="w", rank=2, args="[1]", is_masked=True)
    summary = told(payload)
    assert summary.state == (STATES["queued"], 0, "", "", -1, "", "", "", "", ())
    assert (summary.first_at, summary.last_at) == (T + SECOND, T + SECOND)
    assert (summary.name, summary.queue, summary.environment) == ((1, "n"), (1, "q"), (1, "e"))
    assert summary.args == (2, "[1]", True)
    assert state(payload, ev("received")) == "received"
    assert state(payload, ev("enqueued", T, eta=T + SECOND)) == "scheduled"
    assert told(ev("payload", T, 3, name="n", queue="q", environment="e"))[7:10] == ((13, "n"), (13, "q"), (13, "e"))
    assert told(ev("payload"))[7:10] == ((), (), ())


def test_the_newest_attempts_arguments_then_the_best_source() -> None:
    assert second(told(ev("payload", rank=1, args="w"), ev("payload", rank=2, args="p")).args) == "p"
    assert second(told(ev("payload", rank=2, args="old"), ev("payload", T, 1, rank=1, args="new")).args) == "new"
    assert told(ev("payload", rank=300, args="a")).args == (255, "a", False)
    assert told(ev("payload", rank=255)).args == (255, "", False)


def test_an_original_with_data_before_none_then_the_newest_attempt_then_the_best_source() -> None:
    plain, too_large = ORIGINAL_STATES["plain"], ORIGINAL_STATES["too_large"]

    def kept(*events: Event) -> int:
        return told(*events).original

    old = ev("payload", original=plain, rank=1)
    assert kept(old, ev("payload", T, 1, original=too_large)) == f.original_key(old)
    newer = ev("payload", T, 1, original=plain, rank=0)
    assert kept(old, newer) == f.original_key(newer)
    better = ev("payload", original=plain, rank=2)
    assert kept(old, better) == f.original_key(better)
    assert kept(ev("payload", original=too_large)) & 15 == too_large
    assert f.original_key(old) == 1 << 24 | 1 << 4 | plain
    assert f.original_key(ev("payload", T, 5, original=too_large, rank=3)) == 5 << 12 | 3 << 4 | too_large
    assert f.original_key(ev("payload", T, 9_999, original=too_large, rank=999)) == 4_095 << 12 | 255 << 4 | too_large
    assert f.original_key(ev("payload", original=ORIGINAL_STATES["no_key"])) == ORIGINAL_STATES["no_key"]


# -- keys --------------------------------------------------------------------------------------------------------------
def test_the_key_is_built_as_documented() -> None:
    assert f.state_key("succeeded", 3, T) == 1 << 59 | 3 << 47 | 1 << 46 | 12
    assert f.state_key("failed", 3, T) == 3 << 47 | 1 << 46 | 11
    assert f.state_key("started", 3, T + 1_999) == 3 << 47 | (T // 1_000 + 1) << 4 | 4
    assert f.state_key("payload", 3, T) == 2
    assert f.state_key("enqueued", 3, T) == 3 << 47 | (T // 1_000 - 1) << 4 | 5
    assert f.state_key("enqueued", 1, 0) == 1 << 47 | 5
    assert f.state_key("enqueued", 0, 0) == 2
    assert f.attempt_of(f.state_key("succeeded", 3, T)) == 3
    assert f.state_key("started", 0, f.MAX_AT - 1) < 1 << 46
    assert f.state_key("received", 0, T, T) & 15 == 3
    assert told(ev("moved", T + 1_999, queue="q")).queue == (2**44 + T // 1_000 + 1, "q"), "above the rank of every attempt"
    assert (f.MAX_AT, f.MAX_ATTEMPT, f.NEVER) == (1000 * 2**42, 4_095, 2**62)


def test_what_is_not_said_is_nothing() -> None:
    nothing = ("", "", "", "", "", -1, -1, -1, -1, "", "", "", "", "", (), 0, "", False, 0, 0, ())
    assert Event("started", 0, T) == ("started", 0, T, *nothing)
    summary = delta(Event("cancel_asked", 0, T))
    assert summary[1:] == (T, T, f.NEVER, (), (), (), (), (), (), (), (), 0, T, 0)
    assert Summary(summary.state, T, T)[3:] == (f.NEVER, (), (), (), (), (), (), (), (), 0, f.NEVER, 0)


def test_nothing_is_the_summary_of_no_events() -> None:
    assert fold(None, []) is None
    assert delta(Event("started", 0, 0)).last_at == 0
    some = delta(ev("enqueued"))
    assert fold(some, []) == some
    assert fold(some, [ev("started", T + 1)]) == join(some, delta(ev("started", T + 1)))
    assert delta(ev("enqueued")) == Summary(
        (f.state_key("enqueued", 0, T), -T, "", "", -1, "", "", "", "", ()), T, T, T, (), (), (), (), (), (), (), (), 0, f.NEVER, 0
    )


USED = (5, 0, 900, 10, 0)
FULL: dict[str, Any] = {
    "worker": "w1", "environment": "e1", "name": "n1", "queue": "q1", "eta": T + 5, "received_at": T + 1, "started_at": T + 2,
    "runtime_us": 3, "reason": "r", "error_type": "E", "error": "m", "result": "1", "sent": SENT, "rank": 1, "args": "[1]",
    "original": 3, "flags": 1, "usage": USED,
}  # fmt: skip
OTHER: dict[str, Any] = {
    "run": "boot.2", "worker": "w2", "environment": "e2", "name": "n2", "queue": "q2", "eta": T + 6, "received_at": T, "started_at": T + 1,
    "sent": ("z", *SENT[1:]), "rank": 2, "args": "[2]", "original": 4, "flags": 6,
}  # fmt: skip
KINDS = (*f.ENDS, *f.FACTS, "payload", "cancel_asked", "moved")


@pytest.mark.parametrize("kind", KINDS)
def test_two_summaries_say_together_what_their_events_say(kind: str) -> None:
    one = [ev(kind, T + 9, **FULL), ev(kind, T + 9, 1, **FULL), ev(kind, T + 8)]
    for a in one:
        for b in [of for other in KINDS for of in (ev(other, T + 7, **OTHER), ev(other, T + 10, 1, **OTHER), ev(other, T + 11))]:
            together = fold(None, [a, b])
            assert together == join(delta(a), delta(b)) == join(delta(b), delta(a)) == fold(delta(b), [a]) == fold(delta(a), [b])


# -- runs --------------------------------------------------------------------------------------------------------------
def run_told(*events: Event) -> AttemptSummary:
    found = set()
    for order in permutations(events):
        summary = None
        for event in order:
            news = attempt_delta(event)
            assert news is not None
            summary = news if summary is None else run_join(summary, news)
        found.add(summary)
    assert len(found) == 1
    only = found.pop()
    assert only is not None
    return only


@pytest.mark.parametrize("kind", ["started", "succeeded", "alive"])
def test_a_plain_first_try_leaves_no_run(kind: str) -> None:
    assert attempt_delta(ev(kind)) is None
    assert attempt_delta(ev(kind, flags=4)) is None
    assert attempt_delta(ev(kind, flags=1)) is not None
    assert attempt_delta(ev(kind, T, 1)) is not None


@pytest.mark.parametrize("kind", ["enqueued", "received", "payload", "cancel_asked", "moved", "due"])
def test_what_belongs_to_the_attempt_is_no_run(kind: str) -> None:
    assert attempt_delta(ev(kind, T, 1, flags=1)) is None


@pytest.mark.parametrize("kind", ["failed", "retried", "cancelled", "expired", "rejected", "lost"])
def test_every_other_end_is_a_run(kind: str) -> None:
    assert attempt_delta(ev(kind)) is not None
    assert attempt_delta(ev(kind, run="")) is None


def test_a_run_keeps_its_times_and_its_error() -> None:
    end = ev(
        "failed", T + 9, 1, received_at=T + 1, started_at=T + 2, runtime_us=7, worker="w", reason="time_limit",
        error_type="E", error="bad", traceback="tb", flags=4, usage=USED,
    )  # fmt: skip
    assert run_told(end, ev("started", T + 3, 1, worker="w", flags=1)) == AttemptSummary(
        (f.state_key("failed", 1, T + 9), -(T + 9), 7, "w", "time_limit", "E", "bad", "tb", USED), T + 1, T + 2, -1, 5
    )
    assert run_told(ev("started", T, 1)) == AttemptSummary(
        (f.state_key("started", 1, T), -T, -1, "", "", "", "", "", ()), f.NEVER, T, -1, 0
    )
    assert run_told(ev("failed", T)).started_at == f.NEVER
    assert run_told(ev("failed", T, received_at=0, started_at=0))[1:3] == (0, 0)
    assert run_told(ev("failed", T, 1, received_at=T + 2), ev("failed", T, 1, received_at=T + 1)).received_at == T + 1


def test_a_run_that_ends_in_a_retry_says_when_the_next_is_due() -> None:
    assert run_told(ev("started", T, 1), ev("retried", T + 5, 1, eta=T + SECOND)).eta_at == T + SECOND
    assert run_told(ev("retried", T, eta=5), ev("retried", T, eta=9)).eta_at == 9


def test_the_runs_of_a_task_are_by_attempt_and_process() -> None:
    start, end = ev("started", T, 1, run="a", flags=1), ev("failed", T + 5, 1, run="a", started_at=T, error="m")
    beyond, other = ev("failed", T + 9, 4_096, run="a"), ev("started", T + 1, 1, run="b")
    assert f.runs_of([start, ev("enqueued"), end, ev("started"), beyond, other]) == {
        (1, "a"): run_told(start, end), (4_095, "a"): run_told(beyond), (1, "b"): run_told(other),
    }  # fmt: skip
    assert f.runs_of([]) == {}
