# SPDX-License-Identifier: AGPL-3.0-or-later
"""Findings of schedules: one for a silent scheduler, one for two that run the same, and one for each schedule that has a problem."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.rules.findings.examples import SHOP, T
from z4j.rules.findings import schedules
from z4j.rules.findings.finding import Finding, Scope
from z4j.rules.findings.schedules import QUIET_US, SchedulerState, ScheduleState
from z4j.rules.rollups import DAY_US, HOUR_US, MINUTE_US

SECOND = 1_000_000


def schedule(number: int = 1, state: str = "on time", **changes: Any) -> ScheduleState:
    fields: dict[str, Any] = {
        "id": number, "scope": SHOP, "scheduler": "celery_beat", "name": f"nightly-{number}", "state": state, "next_at": T + HOUR_US,
        "due_at": T - 10 * MINUTE_US, "lateness": 200_000, "doubled_at": None, "error": "", "is_enabled": True,
    }  # fmt: skip
    return ScheduleState(**(fields | changes))


def scheduler(**changes: Any) -> SchedulerState:
    fields: dict[str, Any] = {
        "scope": Scope("shop", "production"), "scheduler": "celery_beat", "word": "Celery Beat", "connected": ("beat on host-1",),
        "silent_since": None, "last": "beat on host-1",
    }  # fmt: skip
    return SchedulerState(**(fields | changes))


def find(*its: ScheduleState, **changes: Any) -> list[Finding]:
    return schedules.find(its, [scheduler(**changes)], T)


def test_a_silent_scheduler_is_one_finding_for_all_its_schedules() -> None:
    its = [schedule(1, "missed"), schedule(2, "missed"), schedule(3, "gone"), schedule(4, "off", is_enabled=False)]
    [finding] = find(*its, connected=(), silent_since=T - 10 * MINUTE_US)
    assert (finding.kind, finding.subject, finding.level, finding.since) == ("silent_scheduler", "celery_beat", "bad", T - 10 * MINUTE_US)
    assert finding.title == "Celery Beat of shop is not connected"
    assert finding.text == "for 10\u202fm\u202f00\u202fs; it runs 3 schedules, 2 of which were due since"
    assert finding.why.startswith("last seen: beat on host-1.")
    assert finding.action is not None
    assert finding.action.href == "/schedules?app=shop&environment=production&scheduler=celery_beat"
    assert find(*(each._replace(state="on time") for each in its)) == [], "it is connected again"


def test_a_restart_and_a_scheduler_out_of_service_are_not_silent() -> None:
    for since in (T - QUIET_US + 1, T - 7 * DAY_US):
        assert find(schedule(state="gone"), schedule(2, "missed"), connected=(), silent_since=since) == []
    assert len(find(schedule(state="gone"), connected=(), silent_since=T - QUIET_US)) == 1
    assert find(schedule(state="off", is_enabled=False), connected=(), silent_since=T - HOUR_US) == []


def test_two_processes_that_run_the_same_schedules() -> None:
    its = [schedule(1, "double", doubled_at=T - 50 * MINUTE_US), schedule(2, "on time", doubled_at=T - 5 * MINUTE_US), schedule(3)]
    [finding] = find(*its, connected=("beat on host-1", "beat on host-2"))
    assert (finding.kind, finding.title) == ("doubled_schedules", "Celery Beat of shop runs twice")
    assert finding.text == "2 schedules ran twice for the same due time in the last hour"
    assert finding.why.startswith("run by beat on host-1 and beat on host-2.")
    assert finding.since == T - 50 * MINUTE_US
    assert find(schedule(1, doubled_at=T - HOUR_US)) == []
    single = schedule(1, doubled_at=T - 50 * MINUTE_US, due_at=T - 10 * MINUTE_US)
    assert find(single) == [], "one process is left, and it ran alone since"
    assert find(single, connected=("beat on host-1", "beat on host-2"))
    assert find(schedule(1, doubled_at=T - 50 * MINUTE_US, due_at=T - 50 * MINUTE_US)), "it has not run since"
    assert find(single, schedule(2, doubled_at=T - 50 * MINUTE_US, due_at=T - 50 * MINUTE_US)), "nor has another"


@pytest.mark.parametrize(
    ("state", "level", "title", "action"),
    [
        ("missed", "bad", "Schedule nightly-1 did not run", "Run now…"),
        ("failed", "bad", "Schedule nightly-1 failed to run", "Run now…"),
        ("late", "warn", "Schedule nightly-1 ran late", "Open the schedule"),
    ],
)
def test_a_schedule_with_a_problem(state: str, level: str, title: str, action: str) -> None:
    [finding] = find(schedule(1, state, lateness=30 * SECOND, error="no agent"), schedule(2))
    assert (finding.kind, finding.level, finding.title) == (f"{state}_schedule", level, title)
    assert finding.action == (action, "/schedules/1", "viewer" if state == "late" else "operator")
    assert finding.since == T - 10 * MINUTE_US
    assert "10\u202fm\u202f00\u202fs ago" in finding.text
    assert "no agent" in finding.why or state == "late"
    assert find(schedule(1, state, due_at=T - DAY_US)) == [], "that is history"
    assert (find(schedule(1, state, due_at=T - HOUR_US)) == []) == (state == "late")


def test_what_is_overdue_counts_from_its_next_due_time() -> None:
    [finding] = find(schedule(1, "missed", next_at=T - 60 * SECOND))
    assert (finding.since, finding.text) == (T - 60 * SECOND, "it was due 1\u202fm\u202f00\u202fs ago")


def test_several_schedules_are_one_finding() -> None:
    its = [schedule(number, "missed", error="no agent that could run it was connected in time") for number in range(5)]
    [finding] = find(*its)
    assert (finding.kind, finding.title) == ("missed_schedules", "5 schedules of Celery Beat did not run when they were due")
    assert finding.text == "nightly-0, nightly-1, nightly-2 …"
    assert finding.why == "no agent that could run it was connected in time"
    assert len(find(*its[:3])) == 3


def test_all_is_well() -> None:
    assert find(schedule(1), schedule(2, "skipped"), schedule(3, "unknown"), schedule(4, "missed", is_enabled=False)) == []


def test_limits_are_those_of_the_documents() -> None:
    assert (QUIET_US, schedules.FORGOTTEN_US, schedules.RECENT_US, schedules.OLD_US) == (45_000_000, 7 * DAY_US, HOUR_US, DAY_US)
    assert schedules.SEVERAL == 3


def test_weights_of_a_silent_scheduler() -> None:
    def look(*its: ScheduleState) -> Finding:
        [finding] = find(*its, connected=(), silent_since=T - HOUR_US)
        return finding

    assert (look(schedule(1, "missed"), schedule(2)).weight, look(*(schedule(n, "missed") for n in range(40))).weight) == (672, 900)
    assert "; it runs 2 schedules, 1 of which was due since" in look(schedule(1, "missed"), schedule(2)).text


def test_the_edges_of_doubled_runs() -> None:
    both = ("a", "b")
    assert find(schedule(doubled_at=T - HOUR_US), connected=both) == [], "an hour to the microsecond"
    assert find(schedule(doubled_at=T - HOUR_US + 1), connected=both)
    assert find(connected=both) == []
    early, late = schedule(1, doubled_at=T - 9), schedule(2, doubled_at=T - 5)
    [finding] = find(late, early, connected=("a", "b", "c", "d"))
    assert (finding.since, finding.weight) == (T - 9, 700)
    assert finding.why.startswith("run by a and b and c. Each task")
    [many] = find(*(schedule(n, doubled_at=T - 9) for n in range(40)), connected=both)
    assert (many.weight, [link.text for link in many.evidence]) == (900, ["nightly-0", "nightly-1", "nightly-2"])
    [one] = find(schedule(doubled_at=T - MINUTE_US, due_at=T - MINUTE_US), connected=("a",))
    assert one.why.startswith("run by two processes."), "one of them has stopped, and no run was decided since"
    assert find(schedule(doubled_at=T - MINUTE_US, due_at=T - 9), connected=("a",)) == [], "the next run was no longer doubled"
    assert find(schedule(doubled_at=T - MINUTE_US, due_at=None), connected=("a",)), "no run was decided at all"


def test_when_the_run_of_a_state_was_due() -> None:
    overdue = schedule(1, "missed", next_at=T - MINUTE_US, due_at=T - HOUR_US)
    assert find(overdue)[0].since == T - MINUTE_US
    assert find(schedule(1, "missed", next_at=T, due_at=T - HOUR_US))[0].since == T - HOUR_US, "the next one is due just now"
    assert find(schedule(1, "missed", next_at=None, due_at=T - HOUR_US))[0].since == T - HOUR_US
    assert find(schedule(1, "failed", next_at=T - MINUTE_US, due_at=T - HOUR_US))[0].since == T - HOUR_US
    unknown = find(schedule(1, "missed", due_at=None))[0]
    assert (unknown.since, unknown.text) == (None, "it was due")
    assert find(schedule(1, "late", due_at=T - HOUR_US)) == []
    assert find(schedule(1, "late", due_at=T - HOUR_US + 1))
    assert find(schedule(1, "missed", due_at=T - DAY_US)) == []


def test_several_begin_with_the_first_of_them() -> None:
    its = [schedule(n, "missed", due_at=T - n * MINUTE_US if n else None, error="" if n else "no worker") for n in range(5)]
    [finding] = find(*its)
    assert (finding.since, finding.weight, finding.why) == (T - 4 * MINUTE_US, 565, "no worker")
    assert find(*(schedule(n, "missed") for n in range(99)))[0].weight == 700
    assert find(*(schedule(n, "missed", due_at=None) for n in range(4)))[0].since is None
