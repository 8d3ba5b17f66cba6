# SPDX-License-Identifier: AGPL-3.0-or-later
"""What the runs of a schedule say about it: on time, late, missed, double, and when nothing can be said."""

from __future__ import annotations

from typing import Any

import pytest

from z4j.rules.schedules import schedule_health
from z4j.rules.schedules.schedule_health import GRACE, SECOND, FireFacts, grace_of, health, percentile

NOW = 1_800_000_000 * SECOND


def fire(ago_s: float, *, late_s: float = 0.2, outcome: str = "sent", is_double: bool = False) -> FireFacts:
    due_at = NOW - int(ago_s * SECOND)
    return FireFacts(due_at, due_at + int(late_s * SECOND) if outcome == "sent" else None, outcome, is_double, GRACE)


def state(next_in_s: float | None, *latest: FireFacts, **other: Any) -> tuple[str, str]:
    facts: dict[str, Any] = {"kind": "interval", "is_enabled": True, "is_own": False, "is_heard": True, "silent_since": None} | other
    next_at = None if next_in_s is None else NOW + int(next_in_s * SECOND)
    found = health(NOW, next_at=next_at, grace=GRACE, latest=latest, **facts)
    return found.state, found.why


@pytest.mark.parametrize("since_s", [0.5, 2.5, 4.9, 9.9])
def test_what_is_due_within_its_grace_is_on_time(since_s: float) -> None:
    """A schedule of five seconds is due in half of all looks: that is our reading, not its lateness."""
    assert state(-since_s, fire(since_s + 5)) == ("on time", "Due now.")


def test_what_is_due_past_its_grace_is_missed() -> None:
    assert state(-10.1, fire(15.1)) == ("missed", "Overdue: no run reported.")


def test_what_fired_late_is_late() -> None:
    assert state(4, fire(20, late_s=11))[0] == "late"
    assert state(4, fire(1))[0] == "on time"


@pytest.mark.parametrize("is_enabled", [True, False])
def test_a_one_off_that_ran_has_ended(is_enabled: bool) -> None:
    """Stores disable it or keep it; its scheduler does not say that it is due again."""
    assert state(None, fire(60), kind="once", is_enabled=is_enabled) == ("ended", "Ran. Not due again.")
    assert state(None, fire(60, late_s=30), kind="once", is_enabled=is_enabled)[0] == "late"


@pytest.mark.parametrize(("latest", "kind", "expected"), [
    ((), "once", "unknown"),
    ((fire(60, outcome="missed"),), "once", "missed"),
    ((fire(60, is_double=True),), "once", "double"),
    ((fire(60),), "other", "unknown"),
])  # fmt: skip
def test_without_a_next_time(latest: tuple[FireFacts, ...], kind: str, expected: str) -> None:
    assert state(None, *latest, kind=kind)[0] == expected


def test_what_is_off_or_was_never_heard_of() -> None:
    assert state(-1, is_enabled=False)[0] == "off"
    assert state(-100, is_heard=False) == ("unknown", "No process that runs it has reported it, so its runs are unknown.")
    assert state(4, fire(20, outcome="unknown")) == ("failed", "The outcome of the last run is unknown.")


# -- one run -------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("run", "word"), [
    (fire(60), "on time"),
    (fire(60, late_s=10), "on time"),  # exactly its grace
    (fire(60, late_s=10.1), "late"),
    (fire(60, late_s=30, is_double=True), "double"),
    (fire(60, outcome="failed", is_double=True), "double"),
    (fire(60, outcome="handed"), "waiting"),
    (fire(60, outcome="waiting"), "waiting"),
    (fire(60, outcome="missed"), "missed"),
    (fire(60, outcome="skipped"), "skipped"),
    (fire(60, outcome="unknown"), "unknown"),
    (FireFacts(NOW, None, "sent", False, GRACE), "on time"),  # it ran; when is not known
])  # fmt: skip
def test_a_run_is_described_by_one_word(run: FireFacts, word: str) -> None:
    assert run.state == word


def test_lateness_counts_from_the_due_time_and_is_never_negative() -> None:
    assert fire(60, late_s=2).lateness == 2 * SECOND
    assert fire(60, late_s=-2).lateness == 0
    assert fire(60, late_s=0.000001).lateness == 1
    assert fire(60, outcome="missed").lateness is None


def test_words_that_are_stored_and_what_an_agent_may_report() -> None:
    assert schedule_health.OUTCOMES == ("waiting", "handed", "sent", "failed", "missed", "skipped", "unknown")
    assert set(schedule_health.OUTCOMES) - {"waiting", "handed", "unknown"} == schedule_health.REPORTED
    assert (GRACE, schedule_health.MOST_GRACE, schedule_health.NEAR, SECOND) == (10_000_000, 45_000_000, 0.9, 1_000_000)


@pytest.mark.parametrize(("tick_s", "grace_s"), [(0, 10), (1, 10), (5, 10), (6, 11), (30, 35), (40, 45), (300, 305)])
def test_a_scheduler_that_sleeps_longer_has_a_longer_grace(tick_s: int, grace_s: int) -> None:
    assert grace_of(tick_s * SECOND) == grace_s * SECOND


# -- a schedule ----------------------------------------------------------------------------------------------------------
def test_what_ran_and_will_run_again_is_on_time_with_nothing_to_say() -> None:
    assert state(4, fire(20)) == ("on time", "")
    assert state(4) == ("on time", "")
    assert state(0, fire(20)) == ("on time", "")


def test_the_moment_its_grace_ends_a_run_is_not_missed_yet() -> None:
    assert state(-10)[0] == "on time"
    assert state(-10.000001)[0] == "missed"


@pytest.mark.parametrize(
    ("outcome", "word", "why"),
    [
        ("missed", "missed", "The last run was missed."),
        ("failed", "failed", "The last run failed."),
        ("unknown", "failed", "The outcome of the last run is unknown."),
        ("skipped", "on time", ""),
        ("handed", "on time", ""),
    ],
)
def test_the_newest_run_decides(outcome: str, word: str, why: str) -> None:
    assert state(4, fire(20, outcome=outcome), fire(40)) == (word, why)
    assert state(4, fire(20), fire(40, outcome=outcome))[0] == "on time"


def test_a_double_run_is_remembered_for_one_more() -> None:
    double = fire(40, is_double=True)
    assert state(4, double) == ("double", "Run by two processes.")
    assert state(4, fire(20), double)[0] == "double"
    assert state(4, fire(10), fire(20), double)[0] == "on time"


def test_what_happened_is_worse_than_that_its_scheduler_is_away() -> None:
    away = {"silent_since": NOW - SECOND}
    assert state(4, fire(20), **away) == ("gone", "Its scheduler is not connected. The schedule is not due yet.")
    assert state(4, fire(20, late_s=30), **away)[0] == "gone"
    assert state(4, fire(20, outcome="failed"), **away)[0] == "failed"
    assert state(-60, fire(80), **away)[0] == "missed"
    assert state(4, fire(20), silent_since=0)[0] == "gone"


def test_z4js_own_schedule_needs_no_report_of_a_process() -> None:
    assert state(4, fire(20), is_own=True, is_heard=False) == ("on time", "")
    assert state(None, fire(20), is_own=True) == ("ended", "Not due again.")
    assert state(None, fire(20)) == ("unknown", "Its scheduler does not report when it is due.")


def test_what_is_switched_off_is_off_whatever_happened() -> None:
    assert state(-100, fire(200, outcome="failed"), is_enabled=False, is_heard=False) == ("off", "Disabled.")


def test_a_late_run_is_said() -> None:
    assert state(4, fire(20, late_s=11)) == ("late", "The last run was late.")
    assert state(None, fire(60, late_s=30), kind="once") == ("late", "Ran once, late. Not due again.")


def test_a_one_off_that_is_due_again_is_judged_as_any_other() -> None:
    assert state(60, fire(60, late_s=30), kind="once") == ("late", "The last run was late.")
    assert state(60, fire(60), kind="once")[0] == "on time"
    assert state(None, kind="once", is_enabled=False)[0] == "off"
    assert state(None, fire(60, outcome="failed"), kind="once", is_own=True)[0] == "failed"


# -- lateness of many ----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("share", "value"), [(0.5, 50), (0.95, 95), (0.99, 99), (0.999, 100), (1.0, 100), (0.0, 1), (0.001, 1), (0.011, 2)]
)
def test_a_percentile_is_the_smallest_value_that_so_many_do_not_exceed(share: float, value: int) -> None:
    values = list(range(100, 0, -1))
    assert percentile(values, share) == value


def test_a_percentile_of_few_and_of_none() -> None:
    assert percentile([], 0.5) is None
    assert [percentile([7], share) for share in (0, 0.5, 1)] == [7, 7, 7]
    assert percentile([1, 9], 0.5) == 1
    assert percentile([1, 9], 0.51) == 9
