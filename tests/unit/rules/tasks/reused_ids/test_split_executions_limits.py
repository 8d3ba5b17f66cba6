# SPDX-License-Identifier: AGPL-3.0-or-later
"""Where one execution of an id ends and the next begins, to the microsecond: clocks, ends without a start, receipts and arguments."""

from __future__ import annotations

import random

import pytest

from tests.unit.rules.tasks.reused_ids.test_split_executions import FIRST, ONE, SECOND, SENT, TWO, args, executions_of, say, sent, soup
from z4j.rules.tasks.reused_ids.split_executions import ReportedEvent, split

BARE = [say("started", 1), say("failed", 2, began=1), say("started", 60), say("failed", 61, began=60)]


WON = [say("started", 1), say("succeeded", 2, began=1)]


def by_unknown(told: ReportedEvent) -> ReportedEvent:
    """As a row retells it: by which process is not known any more."""
    return told._replace(event=told.event._replace(run=""))


# -- clocks --------------------------------------------------------------------------------------------------------------
def test_clocks_of_two_hosts_differ_by_five_seconds_at_most() -> None:
    first = [say("started", 1), say("failed", 2, began=1)]
    assert len(split([*first, say("started", 7, clock="b")])) == 1
    assert len(split([*first, say("started", 7.000001, clock="b")])) == 2


def test_two_unknown_clocks_are_not_one_clock() -> None:
    first = [say("started", 1, clock=""), say("failed", 2, began=1, clock="")]
    assert len(split([*first, say("started", 3, clock="")])) == 1
    assert len(split([*first, say("started", 7.1, clock="")])) == 2


def test_what_has_ended_stays_ended_whatever_is_reported_of_its_run_later() -> None:
    assert len(split([*ONE, say("lost", 60, began=1), say("started", 70)])) == 2
    assert len(split([*ONE, say("alive", 60, began=1), say("started", 70)])) == 2
    assert len(split([*ONE, say("retried", 3, began=1), say("started", 70)])) == 2


@pytest.mark.parametrize("seed", range(200))
def test_nothing_depends_on_the_date(seed: int) -> None:
    """The same by clocks that begin at the first microsecond there is."""
    told = soup(random.Random(seed))
    first = min(at for of in told for at in times(of))
    assert split(earlier(of, first) for of in told) == [
        execution._replace(reports=[earlier(of, first) for of in execution.reports]) for execution in split(told)
    ]


def times(told: ReportedEvent) -> list[int]:
    event = told.event
    return [at for at in (event.at, event.started_at, event.received_at, event.eta) if at >= 0]


def earlier(told: ReportedEvent, by: int) -> ReportedEvent:
    event = told.event
    moments = {name: at - by for name in ("at", "started_at", "received_at", "eta") if (at := getattr(event, name)) >= 0}
    return told._replace(event=event._replace(**moments))


# -- ends without a start ------------------------------------------------------------------------------------------------
def test_an_end_without_a_start_is_of_the_attempt_it_names() -> None:
    assert executions_of(*WON, say("cancelled", 3, 1)) == [["started 1", "succeeded 2"], ["cancelled 3"]]
    assert executions_of(*WON, say("cancelled", 3)) == [["started 1", "succeeded 2", "cancelled 3"]]


def test_a_loss_alone_begins_nothing() -> None:
    assert executions_of(*WON, say("lost", 3, 1)) == [["started 1", "succeeded 2", "lost 3"]]
    assert executions_of(*WON, say("lost", 4, 1, began=3)) == [["started 1", "succeeded 2"], ["lost 4"]]
    assert executions_of(*WON, say("started", 3, 1), say("lost", 4, 1)) == [["started 1", "succeeded 2"], ["started 3", "lost 4"]]
    assert executions_of(*WON, say("lost", 4, 1), say("cancelled", 4, 1)) == [["started 1", "succeeded 2"], ["cancelled 4", "lost 4"]]


def test_an_end_without_a_start_may_come_before_the_start_by_another_clock_alone() -> None:
    for mine, other, next_start in (("b", "a", 10), ("", "", 11)):
        told = [say("started", 5, clock=mine), say("failed", 4.9, clock=other), say("started", next_start, clock=mine)]
        assert executions_of(*told) == [["failed 4.9", "started 5"], [f"started {next_start}"]]
    assert executions_of(say("failed", 0.999999), say("started", 1)) == [["failed 0.999999"], ["started 1"]], "one clock is exact"
    behind = [say("started", 5, clock="b"), say("failed", 3, began=5), say("cancelled", 5, clock="b")]
    assert executions_of(*behind) == [["failed 3", "cancelled 5", "started 5"]], "at the moment of its start"


def test_of_two_deliveries_that_process_ends_which_says_so() -> None:
    both = [say("started", 1, run="x"), say("alive", 1.5, run="server", began=1), say("started", 2, run="y", flags=1)]
    assert len(split([*both, say("failed", 3, run="x"), say("started", 9)])) == 1, "the second one still runs"
    assert len(split([*both, say("failed", 3, run="y"), say("started", 9)])) == 2
    assert len(split([*both, say("failed", 3, run="main"), say("started", 9)])) == 2, "of an unknown process: the newest"
    won = [say("started", 1, run="x"), say("succeeded", 2, run="main"), say("started", 9, 1)]
    assert len(split(won)) == 2, "another process than the one that ran it reports its success"


def test_an_end_is_not_of_a_run_before_its_own_sending() -> None:
    assert executions_of(*ONE, say("cancelled", 4), sent(5)) == [[*FIRST, "cancelled 4"], ["enqueued 5"]]
    retried = [say("started", 0), say("retried", 1, began=0)]
    assert executions_of(*retried, say("enqueued", 1), say("failed", 2)) == [["started 0", "retried 1", "failed 2"], ["enqueued 1"]]


def test_two_attempts_that_end_at_one_moment_without_a_start_are_two_runs() -> None:
    ended = [say("started", 0), say("succeeded", 2, began=0), say("cancelled", 9), say("cancelled", 9, 1)]
    assert executions_of(*ended, say("enqueued", 1.5, 1)) == [["started 0", "succeeded 2"], ["enqueued 1.5", "cancelled 9", "cancelled 9"]]


def test_a_run_may_have_ended_at_the_first_microsecond_there_is() -> None:
    told = [say("started", 0), say("failed", 0, began=0), say("cancelled", 60)]
    assert [len(execution.reports) for execution in split(told)] == [2, 1]
    assert [len(execution.reports) for execution in split(earlier(of, told[0].event.at) for of in told)] == [2, 1]


# -- when another execution begins --------------------------------------------------------------------------------------------
def test_two_that_were_sent_before_either_ran_are_two() -> None:
    both = [sent(0), sent(0.5), say("started", 1), say("failed", 2, began=1)]
    assert len(split([*both, say("started", 3, clock="b")])) == 2
    assert len(split([*both, say("started", 2.000001, clock="b")])) == 2
    assert len(split([*both, say("started", 2, clock="b")])) == 1


def test_a_run_that_was_lost_and_has_ended_after_all_waits_for_no_other() -> None:
    late = [say("started", 1), say("lost", 2, began=1), sent(3), say("started", 5), say("failed", 9, began=1)]
    assert len(split(late)) == 1


def test_one_sending_alone_makes_no_second_run_of_what_still_runs() -> None:
    assert len(split([say("started", 1), sent(50), say("started", 60)])) == 1, "it may be that of the first"


def test_only_what_the_application_sends_is_a_sending() -> None:
    """A task that a worker publishes for another names its parent, and no place in the code."""
    lost = [sent(0), say("started", 1), say("lost", 2, began=1)]
    by_engine = say("enqueued", 50, sent=("parent", *[""] * 5, -1, 0, "", ""))
    assert len(split([*lost, by_engine, say("started", 60)])) == 1
    assert len(split([*lost, say("enqueued", 50, sent=SENT), say("started", 60)])) == 2


# -- what was sent -------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("told", "executions"), [
    pytest.param([sent(0), say("started", 58), say("failed", 60, began=58, got=0.5), say("enqueued", 55), say("started", 70)],
                 [["enqueued 0", "started 58", "failed 60"], ["enqueued 55", "started 70"]], id="after the first was received"),
    pytest.param([sent(0), say("started", 1), say("failed", 9, began=1, got=3), say("enqueued", 2), say("started", 20)],
                 [["enqueued 0", "started 1", "failed 9"], ["enqueued 2", "started 20"]], id="received by a clock that is ahead"),
    pytest.param([say("enqueued", 3), say("enqueued", 4, clock="b"), say("failed", 5, began=5, got=2)],
                 [["enqueued 3", "enqueued 4", "failed 5"]], id="by two clocks, each is placed once"),
    pytest.param([sent(0), sent(0.2), *ONE[2:], sent(50), say("started", 60)],
                 [["enqueued 0", "enqueued 0.2", "started 1", "failed 2"], ["enqueued 50", "started 60"]], id="each execution has its own"),
    pytest.param([sent(0), say("enqueued", 0.2), *ONE[2:], say("started", 60)],
                 [["enqueued 0", "enqueued 0.2", "started 1", "failed 2"], ["started 60"]], id="published again by the engine"),
    # By a clock that may be ahead, it may have been sent before it ran.
    pytest.param([sent(0), sent(4, clock="b"), say("started", 1), say("lost", 2, began=1)],
                 [["enqueued 0", "started 1", "lost 2", "enqueued 4"]], id="close to a loss, by another clock"),
    pytest.param([sent(0), sent(1.5), sent(4, clock="b"), say("started", 0.5), say("failed", 1, began=0.5), say("started", 2),
                  say("failed", 3, began=2)],
                 [["enqueued 0", "started 0.5", "failed 1", "enqueued 4"], ["enqueued 1.5", "started 2", "failed 3"]],
                 id="close to the first of two, by another clock"),
    pytest.param([sent(0), say("started", 1), say("failed", 2, began=1), say("started", 3, clock="b", flags=1),
                  say("failed", 4, began=3, clock="b"), sent(5, clock="b")],
                 [["enqueued 0", "started 1", "failed 2", "started 3", "failed 4"], ["enqueued 5"]],
                 id="after a redelivery to the host that sends it"),
    pytest.param([sent(0), say("started", 1), say("lost", 2, began=1), say("lost", 20, began=1), sent(9)],
                 [["enqueued 0", "started 1", "lost 2", "enqueued 9", "lost 20"]], id="before the last time it was lost"),
    # RQ sends a repetition before it reports the end.
    pytest.param([say("started", 0), say("enqueued", 1.5, 1), say("succeeded", 2, began=0), say("started", 3, 1)],
                 [["started 0", "succeeded 2"], ["enqueued 1.5", "started 3"]], id="a repetition"),
    pytest.param([say("started", 0), say("enqueued", 1.5, 1), say("succeeded", 2, began=0), say("started", 3, 1),
                  say("retried", 4, 1, began=3), say("started", 9, 2)],
                 [["started 0", "succeeded 2"], ["enqueued 1.5", "started 3", "retried 4", "started 9"]], id="one that is retried"),
    pytest.param([say("enqueued", 1, 1), say("succeeded", 1, 1), say("started", 12, 1)],
                 [["enqueued 1", "succeeded 1"], ["started 12"]], id="at the moment it ended"),
])  # fmt: skip
def test_what_was_sent_belongs_to_the_execution(told: list[ReportedEvent], executions: list[list[str]]) -> None:
    assert executions_of(*told) == executions


def test_a_task_that_is_sent_right_after_two_deliveries_is_another_life() -> None:
    both = [
        sent(0),
        say("started", 1),
        say("failed", 4, began=1),
        say("started", 2, clock="b", flags=1),
        say("failed", 3, clock="b", began=2),
    ]
    assert len(split([*both, sent(4, clock="b")])) == 1
    assert len(split([*both, sent(4.000001, clock="b")])) == 2


# -- what is of no run ---------------------------------------------------------------------------------------------------
def test_what_happens_before_the_last_delivery_has_ended_is_of_that_life() -> None:
    """Its first delivery ended long after the second; the next was sent meanwhile."""
    long = [say("started", 1), say("failed", 60, began=1), say("started", 5, flags=1), say("failed", 6, began=5), sent(50)]
    assert "cancel_asked 55" in executions_of(*long, say("started", 70), say("cancel_asked", 55))[0]


@pytest.mark.parametrize(("at", "index"), [(1.5, 0), (2, 0), (2.1, 1), (30, 1), (44, 1), (46, 2), (55, 2), (80, 2), (88, 3), (95, 3)])
def test_a_message_belongs_to_the_execution_that_is_about_to_begin(at: float, index: int) -> None:
    executions = split([*ONE, sent(6), say("failed", 7), *TWO, sent(90), say("moved", at)])
    assert [any(of.event.kind == "moved" for of in execution.reports) for execution in executions].index(True) == index


# -- receipts ------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("told", "executions"), [
    pytest.param([*WON, say("started", 60, 1), say("failed", 61, 1, began=60), say("received", 59)],
                 [["started 1", "succeeded 2", "received 59"], ["started 60", "failed 61"]], id="of the attempt it names"),
    pytest.param([*BARE, say("received", 6, clock="b")], [["started 1", "failed 2", "received 6"], ["started 60", "failed 61"]],
                 id="by a clock that is five seconds ahead"),
    pytest.param([*BARE, say("received", 6.1, clock="b")], [["started 1", "failed 2"], ["received 6.1", "started 60", "failed 61"]],
                 id="later than clocks differ"),
    pytest.param([*BARE, say("received", 0.5), say("received", 0.7)],
                 [["received 0.5", "started 1", "failed 2"], ["received 0.7", "started 60", "failed 61"]], id="each run has one"),
    pytest.param([*BARE, say("received", 0.5, run="x"), say("received", 0.5, run="y")],
                 [["received 0.5", "received 0.5", "started 1", "failed 2"], ["started 60", "failed 61"]], id="told twice"),
    # The end of the first names another receipt: this one is of an earlier delivery of it.
    pytest.param([sent(0), say("received", 4), say("failed", 6, got=6), say("started", 21)],
                 [["enqueued 0", "received 4", "failed 6"], ["started 21"]], id="before the first began"),
    pytest.param([say("received", 4), say("received", 5), say("failed", 6, got=6), say("started", 21)],
                 [["received 4", "failed 6"], ["received 5", "started 21"]], id="two before the first began"),
    pytest.param([say("received", 1), say("started", 1), say("succeeded", 4, began=1, got=3), say("started", 7)],
                 [["received 1", "started 1", "succeeded 4"], ["started 7"]], id="at the moment the first began"),
    pytest.param([*ONE, *TWO, say("received", 90)], [FIRST, SECOND, ["received 90"]], id="after two"),
])  # fmt: skip
def test_a_receipt_belongs_to_the_execution(told: list[ReportedEvent], executions: list[list[str]]) -> None:
    assert executions_of(*told) == executions


# -- arguments -----------------------------------------------------------------------------------------------------------
def execution_of(*told: ReportedEvent, at: float) -> int:
    """The number of the execution that has the arguments of that second."""
    return [any(of.event.args == f"of {at}" for of in execution.reports) for execution in split(told)].index(True)


def test_arguments_of_a_worker_go_with_the_receipts_of_its_main_process() -> None:
    """Its children report the starts."""
    one, two = (
        [of if of.event.kind != "received" else say("received", at, run="w.1") for of in execution]
        for execution, at in ((ONE, 0.5), (TWO, 50.5))
    )
    told = [*one, *two, args(50.6, rank=1, run="w.1"), args(51.5, rank=1, run="w.1")]
    assert (execution_of(*told, at=50.6), execution_of(*told, at=51.5)) == (0, 1)


def test_arguments_of_a_producer_go_with_what_it_sent_and_not_with_what_it_ran() -> None:
    eager = [sent(0, run="x"), say("started", 1, run="x"), say("failed", 2, began=1, run="x"), say("started", 50, run="x")]
    assert execution_of(*eager, args(51, run="x"), at=51) == 0


def test_arguments_of_a_worker_go_with_receipts_of_their_attempt() -> None:
    again = [
        sent(50),
        say("received", 50.5, run="w.2"),
        say("started", 51),
        say("retried", 52, began=51),
        say("received", 55, 1, run="w.1"),
    ]
    told = [sent(0), say("received", 0.5, run="w.1"), *ONE[2:], *again]
    assert execution_of(*told, args(57, rank=1, run="w.1"), at=57) == 0


def test_arguments_that_come_with_what_was_sent_are_of_it() -> None:
    running = [sent(0), say("started", 1), say("failed", 60, began=1), sent(50, run="q.1"), say("started", 70)]
    assert execution_of(*running, args(50, run="q.1"), at=50) == 1, "at the same moment"
    assert [execution_of(*ONE, *TWO, args(50), args(50.2), args(50.4), at=at) for at in (50, 50.2, 50.4)] == [1, 1, 1]
    assert [execution_of(*ONE, *TWO, args(1), args(49), at=at) for at in (1, 49)] == [0, 0], "two before the second was sent"


CLOSE = [say("started", 10), say("failed", 12, began=10)]
"""An execution that is over when the next is sent seconds later: only by what they came with are arguments of the first told apart."""


@pytest.mark.parametrize(("sender", "teller", "execution"), [
    ("p.1", "p.1", 0),  # it has sent it
    ("", "", 0), ("", "q.1", 0), ("p.1", "", 0),  # it may have sent it
    ("p.1", "q.1", 1),  # it has not: then the time decides
])  # fmt: skip
@pytest.mark.parametrize("sent_at", [8, 9])
def test_arguments_by_an_unknown_process_are_of_what_was_sent_close_to_them(
    sender: str, teller: str, execution: int, sent_at: float
) -> None:
    def by(token: str, of: ReportedEvent) -> ReportedEvent:
        return of._replace(event=of.event._replace(run=token))

    told = [by(sender, sent(sent_at)), *CLOSE, by(sender, sent(16)), by(teller, args(13))]
    assert execution_of(*told, at=13) == execution
    assert execution_of(*told, by(teller, args(60)), at=13) == execution


def test_arguments_by_an_unknown_process_are_not_of_what_was_sent_long_before() -> None:
    told = [by_unknown(sent(0)), *ONE[2:], say("started", 50), by_unknown(args(51))]
    assert execution_of(*told, at=51) == 1
