# SPDX-License-Identifier: AGPL-3.0-or-later
"""Which events of an id belong to which of its executions. The laws with a real database are in contract/."""

from __future__ import annotations

import random
from typing import Any

import pytest

from tests.support.histories import S, T, ended, enqueued, received, started, told
from z4j.rules.tasks.fold import Event
from z4j.rules.tasks.reused_ids.split_executions import Execution, ReportedEvent, split

SENT = ("", "", "", "", "shop:1", "", -1, 0, "", "")
"""As an application sends a task; () is a message that the engine publishes again."""


def test_a_redelivery_stays_in_its_life() -> None:
    first = [started(1), ended("failed", 2, 1)]
    assert told(*first, started(9, meta={"redelivered": True}), ended("succeeded", 10, 9)) == ["succeeded"]
    assert told(*first, started(9), ended("succeeded", 10, 9)) == ["failed", "succeeded"]


def test_lost_ends_no_life_but_another_sending_begins_one() -> None:
    first = [enqueued(0), started(1), ended("lost", 2, None)]
    assert told(*first, started(9), ended("succeeded", 10, 9)) == ["succeeded"]
    assert told(*first, enqueued(8), started(9), ended("succeeded", 10, 9)) == ["lost", "succeeded"]
    assert told(*first, enqueued(8)) == ["lost", "queued"]


def test_a_loss_that_tells_no_start_is_of_the_run_before_it_unless_another_was_announced() -> None:
    first = [enqueued(0), ended("cancelled", 2, None)]
    assert told(*first, ended("lost", 60, None)) == ["cancelled"]
    assert told(*first, enqueued(50), ended("lost", 60, None)) == ["cancelled", "lost"]
    assert told(*first, received(50), ended("lost", 60, None)) == ["cancelled", "lost"]
    assert told(*first, enqueued(61), ended("lost", 60, None)) == ["cancelled", "queued"], "announced after the loss"
    retried = [started(1, 1), ended("succeeded", 2, 1, 1)]
    assert told(*retried, ended("lost", 60, None)) == ["succeeded"], "of the first attempt, whose start is not known"
    assert told(*retried, enqueued(50), ended("lost", 60, None)) == ["succeeded", "lost"]


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
    first = [Event("started", 0, T, "a"), Event("succeeded", 0, T + S, "a", started_at=T)]
    for gap, other, executions in ((2 * S, "b", 1), (7 * S, "b", 2), (10, "a", 2)):
        again = [Event("started", 0, T + S + gap, "c"), Event("failed", 0, T + S + gap + 9, "c", started_at=T + S + gap)]
        assert len(split([ReportedEvent(of, "a") for of in first] + [ReportedEvent(of, other) for of in again])) == executions


# -- laws ----------------------------------------------------------------------------------------------------------------
def execution(chance: random.Random, at: int, number: int) -> list[ReportedEvent]:
    """All that is reported of one execution that begins at `at`, by a producer and a worker whose clocks may be two seconds apart."""
    sender, worker = "p", chance.choice("pab")
    lag = 0 if worker == sender else chance.randrange(-2 * S, 2 * S)
    found: list[ReportedEvent] = []

    def say(clock: str, kind: str, attempt: int, moment: int, **facts: Any) -> None:
        run = facts.pop("run", "")
        found.append(ReportedEvent(Event(kind, attempt, moment + (lag if clock == worker else 0), run, **facts), clock))

    is_watched, is_delayed = chance.random() < 0.6, chance.random() < 0.3
    lag = max(lag, 0) if is_delayed else lag  # a worker whose clock is behind waits longer
    if is_watched:
        eta = at + 4 * S if is_delayed else -1
        say(sender, "enqueued", 0, at, run="p.1", eta=eta, sent=SENT)
        say(sender, "payload", 0, at + 5, run="p.1", rank=2, args=f"[{number}]")
        if is_delayed:
            say("", "due", 0, eta)
            at = eta
    last = chance.choice([0, 0, 1, 2])
    for attempt in range(last + 1):
        got, began, end = at + 900, at + 1_000, at + 500_000
        say(worker, "received", attempt, got, run=f"{worker}.1")
        if not is_watched and not attempt:
            say(worker, "payload", 0, got + 5, run=f"{worker}.1", rank=1, args=f"[{number}]")
        say(worker, "started", attempt, began, run=f"{worker}.7")
        if chance.random() < 0.2:
            say(worker, "cancel_asked", attempt, began + 100_000)
        if chance.random() < 0.2:
            say("", "alive", attempt, began + 200_000, run=f"{worker}.7", started_at=began + lag)
        if chance.random() < 0.2:  # the process is gone, and the broker hands it out again
            say(worker, "lost", attempt, end, run=f"{worker}.7", started_at=began + lag)
            at += 2 * S
            got, began, end = at + 900, at + 1_000, at + 500_000
            say(worker, "received", attempt, got, run=f"{worker}.1", flags=1)
            say(worker, "started", attempt, began, run=f"{worker}.8", flags=1)
        is_last = attempt == last
        kind = chance.choice(["succeeded", "failed"]) if is_last else "retried"
        receipt = {"received_at": got + lag} if is_last else {}
        say(worker, kind, attempt, end, run=f"{worker}.7", started_at=began + lag, result=f"{number}", **receipt)
        if not is_last:
            say(worker, "enqueued", attempt + 1, end + 10, run=f"{worker}.7")
        at += 600_000
    return found


def histories(chance: random.Random) -> list[list[ReportedEvent]]:
    at, made = T, []
    for number in range(chance.choice([1, 2, 3, 4])):
        made.append(execution(chance, at, number))
        at = max(of.event.at for of in made[-1]) + chance.randrange(12 * S, 500 * S)
    return made


@pytest.mark.parametrize("seed", range(60))
def test_every_execution_has_exactly_what_was_reported_of_it(seed: int) -> None:
    made = histories(random.Random(seed))
    everything = [of for execution in made for of in execution]
    random.Random(seed).shuffle(everything)
    found = split(everything + everything[:3])
    assert [set(execution.reports) for execution in found] == [set(execution) for execution in made]
    assert all(len(execution.reports) == len(set(execution.reports)) for execution in found)


KINDS = (
    "enqueued",
    "payload",
    "received",
    "started",
    "succeeded",
    "failed",
    "retried",
    "cancelled",
    "lost",
    "alive",
    "due",
    "moved",
    "cancel_asked",
)


def soup(chance: random.Random) -> list[ReportedEvent]:
    """Any events at all, close together and far apart: much of it no worker would report."""
    moments = [T, T + S, T + 4 * S, T + 5 * S, T + 6 * S, T + 20 * S, T + 21 * S, T + 60 * S]
    found = []
    for _ in range(chance.randrange(1, 14)):
        clock, kind = chance.choice(["a", "b", ""]), chance.choice(KINDS)
        ends = kind in ("succeeded", "failed", "retried", "cancelled", "lost", "alive")
        event = Event(
            kind, chance.choice([0, 0, 0, 1, 2]), chance.choice(moments), chance.choice(["a.1", "a.2", "b.1", ""]),
            started_at=chance.choice([-1, *moments[:6]]) if ends else -1,
            received_at=chance.choice([-1, *moments[:6]]) if kind in ("succeeded", "failed") else -1,
            eta=chance.choice([-1, *moments]) if kind in ("enqueued", "received") else -1,
            sent=SENT if chance.random() < 0.5 and kind == "enqueued" else (),
            flags=chance.choice([0, 0, 0, 1]), rank=chance.choice([1, 2]) if kind == "payload" else 0,
            queue=chance.choice(["", "q"]),
        )  # fmt: skip
        found.append(ReportedEvent(event, clock))
    return list({of.event: of for of in found}.values())


@pytest.mark.parametrize("seed", range(400))
def test_whatever_is_reported_is_of_exactly_one_life_in_any_order(seed: int) -> None:
    chance = random.Random(seed)
    told = soup(chance)
    found = split(told)
    assert sorted(of for execution in found for of in execution.reports) == sorted(told)
    assert not found[0].is_unmarked
    assert all(
        list(execution.reports) == sorted(execution.reports, key=lambda of: (of.event.at, of.event.kind, of.event.attempt))
        for execution in found
    )
    chance.shuffle(told)
    copies = [of._replace(clock="") for of in told[:3]]
    assert split(told + copies + told[:2]) == found


# -- cases ---------------------------------------------------------------------------------------------------------------
def say(kind: str, at: float, attempt: int = 0, *, clock: str = "a", run: str = "", began: float | None = None, got: float | None = None,
        eta: float | None = None, **facts: Any) -> ReportedEvent:  # fmt: skip
    """Seconds after T. Without a run of its own, a producer speaks for what was sent and a worker for the rest."""
    times: dict[str, Any] = {
        name: -1 if value is None else T + int(value * S) for name, value in (("started_at", began), ("received_at", got), ("eta", eta))
    }
    token = run or ("p.1" if kind in ("enqueued", "payload") and not attempt else "w.7")
    return ReportedEvent(Event(kind, attempt, T + int(at * S), token, **times, **facts), clock)


def sent(at: float, **facts: Any) -> ReportedEvent:
    return say("enqueued", at, sent=SENT, **facts)


def executions_of(*told: ReportedEvent) -> list[list[str]]:
    """Of each execution what was reported, with its second."""
    return [[f"{of.event.kind} {(of.event.at - T) / S:g}" for of in execution.reports] for execution in split(told)]


ONE = [sent(0), say("received", 0.5), say("started", 1), say("failed", 2, began=1, got=0.5)]
TWO = [sent(50), say("received", 50.5), say("started", 51), say("failed", 52, began=51, got=50.5)]
FIRST, SECOND = ["enqueued 0", "received 0.5", "started 1", "failed 2"], ["enqueued 50", "received 50.5", "started 51", "failed 52"]


def test_nothing_is_one_life_of_nothing() -> None:
    assert split([]) == [Execution([], is_unmarked=False)]


def test_a_later_run_is_unmarked_where_only_its_time_tells_it_from_the_one_before() -> None:
    again = [say("started", 51), say("failed", 52, began=51)]
    assert [execution.is_unmarked for execution in split([*ONE, *again])] == [False, True]
    assert [execution.is_unmarked for execution in split([*ONE, *TWO])] == [False, False]
    assert [execution.is_unmarked for execution in split([*ONE, sent(50)])] == [False, False], "it has not run"
    assert [execution.is_unmarked for execution in split(again)] == [False], "nothing was before it"
    assert [execution.is_unmarked for execution in split([*ONE, say("received", 50)])] == [False, False]


@pytest.mark.parametrize(("event", "index"), [
    (say("cancel_asked", 1.5), 0), (say("cancel_asked", 30), 0), (say("cancel_asked", 51.5), 1), (say("cancel_asked", 50), 1),
    (say("moved", 1.5, queue="q"), 0), (say("moved", 49, queue="q"), 0), (say("moved", 51.5, queue="q"), 1),
    (say("moved", 49), 1), (say("moved", 44), 0), (say("moved", 45), 1), (say("moved", 2), 0), (say("moved", 1.5), 0),
    (say("moved", 60), 1),
    (say("due", 1.5), 0), (say("due", 51.5), 1), (say("lost", 2, began=1), 0), (say("lost", 52, began=51), 1),
    (say("alive", 51.5, began=51), 1),
    (say("payload", 49, rank=2, run="x"), 1), (say("payload", 44.9, rank=2, run="x"), 0), (say("payload", 1.5, rank=2, run="x"), 0),
    (say("enqueued", 3, 1), 0), (say("enqueued", 53, 1), 1),
])  # fmt: skip
def test_what_is_of_no_run_belongs_to_the_life_of_its_time(event: ReportedEvent, index: int) -> None:
    """A message, and arguments, are reported a moment before the execution they begin, by another clock."""
    assert [event in execution.reports for execution in split([*ONE, *TWO, event])] == [not index, bool(index)]


def test_a_task_becomes_due_in_the_life_it_was_sent_for() -> None:
    waits = [sent(0, eta=90), say("failed", 2), sent(50, eta=95), say("started", 96)]
    assert executions_of(*waits, say("due", 90)) == [["enqueued 0", "failed 2", "due 90"], ["enqueued 50", "started 96"]]
    assert executions_of(*waits, say("due", 95)) == [["enqueued 0", "failed 2"], ["enqueued 50", "due 95", "started 96"]]
    assert executions_of(*waits, say("due", 90, 1))[1] == ["enqueued 50", "due 90", "started 96"], "of another attempt"


def test_a_republished_attempt_belongs_to_the_run_it_was_sent_for() -> None:
    repeats = [sent(0), say("started", 1), say("retried", 2, began=1), say("started", 9, 1), say("failed", 10, 1, began=9)]
    assert executions_of(*repeats, *TWO, say("enqueued", 8, 1))[0][3] == "enqueued 8"
    assert executions_of(*repeats, *TWO, say("enqueued", 9, 1))[0][3:5] == ["enqueued 9", "started 9"]
    assert "enqueued 53" in executions_of(*repeats, *TWO, say("enqueued", 53, 1))[1]
    again = (say("started", 50), say("retried", 52, began=50), say("started", 60, 1), say("enqueued", 53, 1))
    assert "enqueued 1.5" in executions_of(*ONE, *again,
                                      say("enqueued", 1.5, 2))[0]  # fmt: skip


# -- ends without a start ------------------------------------------------------------------------------------------------
def test_an_end_without_a_start_is_of_the_run_of_the_same_process() -> None:
    runs = [say("started", 1, run="x"), say("started", 2, run="y", flags=1)]
    [execution] = split([*runs, say("failed", 3, run="x"), say("failed", 4, run="y")])
    assert len(execution.reports) == 4
    assert executions_of(*ONE, say("started", 50, run="x"), say("cancelled", 51, run="x"))[1] == ["started 50", "cancelled 51"]


def test_an_end_without_a_start_that_comes_much_later_is_of_a_task_that_never_ran() -> None:
    assert executions_of(*ONE, say("cancelled", 60)) == [FIRST, ["cancelled 60"]]
    assert executions_of(*ONE, say("cancelled", 7)) == [[*FIRST, "cancelled 7"]]
    assert executions_of(*ONE, say("cancelled", 7.1)) == [FIRST, ["cancelled 7.1"]]
    assert executions_of(*ONE, say("expired", 60), say("cancelled", 60)) == [FIRST, ["cancelled 60", "expired 60"]]
    assert executions_of(*ONE, say("cancelled", 60), say("cancelled", 90)) == [FIRST, ["cancelled 60"], ["cancelled 90"]]


def test_an_end_after_another_sending_is_not_of_the_run_before_it() -> None:
    assert executions_of(*ONE, sent(3), say("cancelled", 4)) == [FIRST, ["enqueued 3", "cancelled 4"]]
    assert executions_of(*ONE, sent(3), say("cancelled", 3)) == [FIRST, ["cancelled 3", "enqueued 3"]]
    assert executions_of(*ONE, say("lost", 60)) == [[*FIRST, "lost 60"]], "a worker that is gone ends no other run"


def test_an_end_of_another_attempt_is_not_of_this_run() -> None:
    assert executions_of(say("started", 1), say("retried", 2, began=1), say("cancelled", 3, 1)) == [
        ["started 1", "retried 2", "cancelled 3"]
    ]
    assert executions_of(say("started", 1), say("succeeded", 2, began=1), say("cancelled", 9, 1)) == [
        ["started 1", "succeeded 2"],
        ["cancelled 9"],
    ]


def test_an_end_of_another_host_may_be_a_little_before_the_start() -> None:
    assert executions_of(say("started", 5, clock="b"), say("failed", 0, run="w.7")) == [["failed 0", "started 5"]]
    assert [execution.reports[0].event.kind for execution in split([say("started", 5, clock="b"), say("failed", -0.1)])] == [
        "failed",
        "started",
    ]
    assert [execution.reports[0].event.kind for execution in split([say("started", 5), say("failed", 4.9)])] == ["failed", "started"]


# -- when another execution begins --------------------------------------------------------------------------------------------
def test_a_first_attempt_begins_a_life_after_the_last_end_and_a_retry_after_successes_alone() -> None:
    won = [say("started", 1), say("succeeded", 2, began=1)]
    assert len(split([*won, say("started", 9, 1)])) == 2
    assert len(split([*ONE, say("started", 9, 1)])) == 1
    assert len(split([*won, say("failed", 3, began=1), say("started", 9, 1)])) == 2, "one run that told two ends has succeeded"
    assert len(split([*ONE, say("started", 9, flags=1), say("succeeded", 10, began=9), say("started", 20, 1)])) == 1
    assert len(split([*won, say("started", 2, 1)])) == 1, "not after its end"
    assert len(split([*won, say("started", 2.1, 1)])) == 2


def test_all_runs_of_a_life_have_to_be_over() -> None:
    late = [say("started", 1), say("failed", 60, began=1), say("started", 5, flags=1), say("failed", 6, began=5)]
    assert len(split([*late, say("started", 50)])) == 1
    assert len(split([*late, say("started", 61)])) == 2


def test_as_many_lives_as_were_sent_where_clocks_are_close() -> None:
    """Two hosts within the skew: the second sending says that it is another run."""
    first = [sent(0), say("started", 1), say("failed", 2, began=1)]
    again = [say("started", 3, clock="b"), say("failed", 4, began=3, clock="b")]
    assert len(split([*first, *again])) == 1
    assert len(split([*first, sent(2.5), *again])) == 2
    assert len(split([*first, say("enqueued", 2.5), *again])) == 1, "published again by the engine"
    assert len(split([*first, sent(8.5), *again])) == 2, "by a clock that is five seconds ahead: it waits"


def test_what_was_lost_runs_again_unless_it_was_sent_again() -> None:
    lost = [sent(0), say("started", 1), say("lost", 2, began=1)]
    assert len(split([*lost, say("started", 60)])) == 1
    assert len(split([*lost, sent(50), say("started", 60)])) == 2
    assert len(split([*lost, sent(1.5), say("started", 60)])) == 1, "sent before it was lost"
    assert len(split([*lost, sent(2), say("started", 60)])) == 1, "sent when it was lost"
    assert len(split([*lost, say("lost", 3, began=1), sent(2.5), say("started", 60)])) == 1, "lost twice; the newest counts"
    assert len(split([*lost, say("enqueued", 50), say("started", 60)])) == 1, "published again by the engine"


def test_what_is_still_running_and_was_sent_again_runs_a_second_time() -> None:
    running = [sent(0), say("started", 1)]
    assert len(split([*running, say("started", 60)])) == 1
    assert len(split([*running, sent(50), say("started", 60)])) == 2
    assert len(split([*running, sent(0.5), say("started", 60)])) == 1, "sent before it started"
    assert len(split([*running, say("retried", 2, began=1), sent(50), say("started", 60)])) == 1, "it was replaced"


# -- what was sent -------------------------------------------------------------------------------------------------------
def test_each_life_takes_what_was_sent_before_it_started() -> None:
    assert executions_of(*ONE, *TWO) == [FIRST, SECOND]
    assert executions_of(*ONE, sent(49), *TWO) == [FIRST, ["enqueued 49", *SECOND]]
    assert executions_of(sent(0), say("enqueued", 0.2), *ONE[1:]) == [["enqueued 0", "enqueued 0.2", *FIRST[1:]]]


def test_a_sending_that_no_run_has_taken_waits_as_a_life() -> None:
    assert executions_of(*ONE, sent(50)) == [FIRST, ["enqueued 50"]]
    assert executions_of(*ONE, sent(50), sent(60)) == [FIRST, ["enqueued 50", "enqueued 60"]]
    assert executions_of(sent(0), sent(9)) == [["enqueued 0", "enqueued 9"]]
    assert executions_of(*ONE, say("enqueued", 0.9)) == [["enqueued 0", "received 0.5", "enqueued 0.9", "started 1", "failed 2"]]


def test_a_life_without_a_sending_of_its_own_takes_one_that_is_left_over() -> None:
    """Two were sent while the first waited, and both ran."""
    both = [sent(0), sent(0.2), say("started", 1), say("failed", 2, began=1), say("started", 60), say("failed", 61, began=60)]
    assert executions_of(*both) == [["enqueued 0", "started 1", "failed 2"], ["enqueued 0.2", "started 60", "failed 61"]]
    one = [sent(0), sent(0.2), say("started", 1), say("failed", 2, began=1)]
    assert executions_of(*one) == [["enqueued 0", "enqueued 0.2", "started 1", "failed 2"]]


def test_a_task_that_was_lost_and_sent_again_waits_as_a_life() -> None:
    lost = [sent(0), say("started", 1), say("lost", 2, began=1)]
    assert executions_of(*lost, sent(9)) == [["enqueued 0", "started 1", "lost 2"], ["enqueued 9"]]
    assert executions_of(*lost, sent(2)) == [["enqueued 0", "started 1", "enqueued 2", "lost 2"]]
    assert executions_of(*lost, say("enqueued", 9)) == [["enqueued 0", "started 1", "lost 2", "enqueued 9"]]


# -- receipts ------------------------------------------------------------------------------------------------------------
def test_a_receipt_is_of_the_run_that_names_it() -> None:
    assert executions_of(*ONE, *TWO) == [FIRST, SECOND]
    other = [say("received", 0.7), say("started", 1), say("failed", 2, began=1, got=0.7)]
    assert executions_of(*other, *TWO)[0][0] == "received 0.7"


def test_a_receipt_that_no_run_names_is_of_the_next_to_start() -> None:
    bare = [say("started", 1), say("failed", 2, began=1), say("started", 60), say("failed", 61, began=60)]
    assert executions_of(*bare, say("received", 0.5), say("received", 59)) == [
        ["received 0.5", "started 1", "failed 2"], ["received 59", "started 60", "failed 61"],
    ]  # fmt: skip
    assert executions_of(*bare, say("received", 59))[1][0] == "received 59"
    assert executions_of(*bare, say("received", 60))[1][0] == "received 60"
    assert executions_of(*bare, say("received", 64, clock="b"))[1][-1] == "received 64"


def test_a_receipt_after_everything_has_ended_begins_a_life() -> None:
    assert executions_of(*ONE, say("received", 50)) == [FIRST, ["received 50"]]
    assert executions_of(*ONE, say("received", 50, flags=1)) == [[*FIRST, "received 50"]], "handed out again"
    assert executions_of(*ONE, say("received", 50, 1)) == [[*FIRST, "received 50"]], "a later attempt"
    assert executions_of(*ONE[:3], say("received", 50)) == [[*FIRST[:3], "received 50"]], "it has not ended"


# -- arguments -----------------------------------------------------------------------------------------------------------
def args(at: float, *, rank: int = 2, **facts: Any) -> ReportedEvent:
    return say("payload", at, rank=rank, args=f"of {at}", **facts)


def test_arguments_are_of_what_the_same_process_reported_in_order() -> None:
    """A thread may report them late, even after the next was sent."""
    assert executions_of(*ONE, *TWO, args(0.1), args(51.5)) == [
        ["enqueued 0", "payload 0.1", *FIRST[1:]],
        [*SECOND[:3], "payload 51.5", *SECOND[3:]],
    ]
    assert executions_of(*ONE, *TWO, args(50.1), args(51.5)) == [[*FIRST, "payload 50.1"], [*SECOND[:3], "payload 51.5", *SECOND[3:]]]
    assert executions_of(*ONE, *TWO, args(51.5)) == [FIRST, [*SECOND[:3], "payload 51.5", *SECOND[3:]]]
    assert executions_of(*ONE, *TWO, args(30)) == [[*FIRST, "payload 30"], SECOND]


def test_arguments_of_a_child_are_of_what_it_started_also_beside_a_row_without_processes() -> None:
    """What a row was split into has no process any longer; it is close in time, and the child's own start decides."""
    row = [say("received", 49.5), say("started", 49.6), say("failed", 49.9, began=49.6, got=49.5)]
    row = [ReportedEvent(report.event._replace(run=""), report.clock) for report in row]
    later = [say("received", 50.5, run="w.1"), say("started", 51), say("failed", 52, began=51, got=50.5)]
    assert executions_of(*row, *later, args(51.2, rank=1, run="w.7")) == [
        ["received 49.5", "started 49.6", "failed 49.9"], ["received 50.5", "started 51", "payload 51.2", "failed 52"],
    ]  # fmt: skip


def test_arguments_of_a_worker_are_of_what_it_received_or_else_started() -> None:
    assert executions_of(*ONE, *TWO, args(50.6, rank=1, run="w.7"), args(0.6, rank=1, run="w.7"))[0][2] == "payload 0.6"
    bare = [say("started", 1), say("failed", 2, began=1), say("started", 60), say("failed", 61, began=60)]
    assert executions_of(*bare, args(1.5, rank=1, run="w.7"), args(60.5, rank=1, run="w.7")) == [
        ["started 1", "payload 1.5", "failed 2"], ["started 60", "payload 60.5", "failed 61"],
    ]  # fmt: skip
    assert executions_of(*bare, args(60.2, rank=1, run="w.7"), args(60.5, rank=1, run="w.7")) == [
        ["started 1", "failed 2", "payload 60.2"], ["started 60", "payload 60.5", "failed 61"],
    ]  # fmt: skip
