# SPDX-License-Identifier: AGPL-3.0-or-later
"""What a task adds to the counts of error groups, and when ignoring ends."""

from __future__ import annotations

import pytest

from z4j.rules.errors.group_states import (
    CURED,
    FAILED,
    GROUP_STATE_NAMES,
    GROUP_STATES,
    OPEN,
    RETRIED,
    Attempt,
    failures_of,
    is_ignoring_over,
    type_of,
)  # fmt: skip
from z4j.rules.tasks.fold import state_key
from z4j.rules.tasks.states import STATES


def attempt(kind: str, number: int, error: str = "KeyError", reason: str = "", run: int = 1) -> Attempt:
    return Attempt(state_key(kind, number, 1_000_000 * (number + 1)), number, (run, 7), reason, error, "k" if error else "")


def kinds(state: str, task: Attempt, *attempts: Attempt) -> list[int]:
    return [kind for kind, _ in failures_of(STATES[state], task, attempts)]


def test_a_failed_task_counts_once_and_is_described_by_the_attempt_that_decided() -> None:
    deciding = attempt("failed", 1)._replace(traceback="File …")
    task = deciding._replace(traceback="")
    counted = failures_of(STATES["failed"], task, [attempt("retried", 0), deciding])
    assert [kind for kind, _ in counted] == [RETRIED, FAILED]
    assert counted[1].attempt is deciding


def test_attempts_of_a_task_that_succeeded_are_cured() -> None:
    assert kinds("succeeded", attempt("succeeded", 1, ""), attempt("retried", 0), attempt("succeeded", 1, "")) == [CURED]
    assert kinds("running", attempt("started", 1, ""), attempt("retried", 0), attempt("started", 1, "")) == [RETRIED]


def test_another_delivery_that_failed_counts_beside_the_one_that_decided() -> None:
    assert kinds("failed", attempt("failed", 0), attempt("failed", 0), attempt("failed", 0, run=2)) == [RETRIED, FAILED]


def test_what_is_no_failure_does_not_count() -> None:
    assert kinds("retrying", attempt("retried", 0, "", "requeued"), attempt("retried", 0, "", "requeued")) == []
    assert kinds("cancelled", attempt("cancelled", 0, "")) == []
    assert kinds("expired", attempt("expired", 0, "")) == []


def test_a_lost_task_has_no_attempt_of_its_own() -> None:
    [(kind, found)] = failures_of(STATES["lost"], attempt("lost", 0, "", "worker_gone"), [])
    assert (kind, type_of(found)) == (FAILED, "worker_gone")
    assert type_of(attempt("rejected", 0, "")) == "rejected"
    assert type_of(attempt("failed", 0)) == "KeyError"


@pytest.mark.parametrize(
    ("limits", "is_over"),
    [
        ((None, None, None), False), ((100, None, None), True), ((101, None, None), False), ((None, 5, None), True),
        ((None, 6, None), False), ((None, None, 20), True), ((None, None, 21), False), ((101, 6, 20), True),
    ],
)  # fmt: skip
def test_ignoring_ends_at_the_first_limit(limits: tuple[int | None, int | None, int | None], is_over: bool) -> None:
    assert is_ignoring_over(100, 20, 5, *limits) == is_over


def test_stored_codes_stay_the_same() -> None:
    assert GROUP_STATES == {"unresolved": 0, "resolved": 1, "ignored": 2, "regressed": 3}
    assert GROUP_STATE_NAMES == {0: "unresolved", 1: "resolved", 2: "ignored", 3: "regressed"}
    assert OPEN == ("unresolved", "regressed")
    assert (FAILED, RETRIED, CURED) == (0, 1, 2)
    assert attempt("failed", 0).traceback == ""


def test_each_bad_end_counts_and_has_a_word() -> None:
    for kind in ("failed", "lost", "rejected"):
        bare = attempt(kind, 0, "")
        assert kinds(kind, bare) == [FAILED]
        assert kinds("succeeded", attempt("succeeded", 1, ""), bare) == [CURED]
        assert type_of(bare) == kind
    assert type_of(attempt("retried", 0, "")) == "failed"
    only_text = attempt("retried", 0, "")._replace(error="no")
    assert kinds("retrying", only_text, only_text) == [RETRIED]
    other_run = attempt("failed", 0, run=2)
    assert failures_of(STATES["failed"], attempt("failed", 0), [other_run])[1].attempt.run == (1, 7)


def test_an_attempt_without_a_message_or_that_goes_on() -> None:
    silent = attempt("retried", 0)._replace(error="")
    assert kinds("retrying", silent, silent) == [RETRIED]
    assert kinds("running", attempt("started", 0), attempt("started", 0)) == []
