# SPDX-License-Identifier: AGPL-3.0-or-later
"""Findings of the server itself and of plans that stand still."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.rules.findings.examples import T
from z4j.rules.backups import OLD_US
from z4j.rules.findings.finding import Finding, Link
from z4j.rules.findings.server import (
    LATE_US,
    LITTLE_SPACE,
    OLD_PLAN_US,
    STALLED_US,
    URGENT_DAYS,
    DutyState,
    PlanState,
    ServerState,
    TargetState,
    find_forwarding,
    find_plans,
    find_server,
)
from z4j.rules.plans import NO_AGENT, STOPPED
from z4j.rules.rollups import DAY_US, HOUR_US

SECOND = 1_000_000


def server(**changes: Any) -> ServerState:
    return ServerState(**({"free_bytes": 50_000_000_000, "has_backups": True, "backups_since": T - HOUR_US} | changes))


def test_a_server_without_problems() -> None:
    assert find_server(server(), T) == []
    assert find_server(server(has_backups=False, backup_problem="no", backups_since=None), T) == [], "they are disabled"


@pytest.mark.parametrize(
    ("changes", "kind", "level", "title", "text"),
    [
        ({"audit_row": 4_120, "audit_why": "changed"}, "audit_alarm", "bad", "The audit log was altered", "from row 4,120: changed"),
        ({"free_bytes": 999_999_999}, "disk", "bad", "The disk of the data folder is nearly full", "1000.0\u202fMB free"),
        ({"certificate_days": 20}, "certificate", "warn", "The TLS certificate of this server", "it expires in 20 days"),
        ({"certificate_days": 1}, "certificate", "bad", "The TLS certificate of this server", "it expires in 1 day"),
        ({"certificate_days": -1}, "certificate", "bad", "The TLS certificate of this server",
         "it has expired, and clients that verify it cannot connect"),
        ({"certificate_problem": "no key"}, "certificate", "bad", "The TLS certificate of this server", "its new files are not used"),
        ({"why_not_held": "shop uses most"}, "retention", "warn", "Retention limits are exceeded", "shop uses most"),
        ({"backup_problem": "disk full"}, "backup", "warn", "The last nightly backup failed",
         "the last successful one is 1\u202fh\u202f00\u202fm old"),
        ({"backups_since": T - OLD_US - SECOND}, "backup", "bad", "There is no recent backup",
         "the last successful one is 2\u202fd\u202f0\u202fh old"),
        ({"backups_since": None, "backup_problem": "damaged"}, "backup", "warn", "The last nightly backup failed", "no backup yet"),
        ({"duties": (DutyState("retention", "failing", T, 3, "disk I/O error"),)}, "duty", "bad", "A background duty is failing",
         "retention, 3 times in a row"),
        ({"duties": (DutyState("due tasks", "stalled", None, 0, ""),)}, "duty", "bad", "A background duty is not running", "due tasks"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_the_server(changes: dict[str, Any], kind: str, level: str, title: str, text: str) -> None:
    [finding] = find_server(server(**changes), T)
    assert (finding.kind, finding.level, finding.title, finding.text) == (kind, level, title, text)
    assert finding.action is not None


def plan(**changes: Any) -> PlanState:
    fields: dict[str, Any] = {
        "id": 12, "action": "retry_task", "status": "paused", "note": f"{STOPPED}3 of 10 failed; the limit is 5 %.", "items": 500,
        "author": "amelia", "created_at": T - HOUR_US, "started_at": T - 60 * SECOND,
    }  # fmt: skip
    return PlanState(**(fields | changes))


def test_a_plan_that_its_canary_stopped() -> None:
    [finding] = find_plans([plan()], T)
    assert (finding.kind, finding.subject, finding.level, finding.title) == ("stopped_plan", "12", "bad", "Plan 12 stopped")
    assert finding.text == "retry task of 500 tasks: 3 of 10 failed; the limit is 5 %."
    assert finding.why == "started by amelia; the remaining tasks wait until it is resumed or aborted"
    assert finding.action == ("Open the plan", "/plans/12", "viewer")
    assert find_plans([plan(note="")], T) == [], "a person paused it"
    assert find_plans([plan(status="aborted")], T) == []
    assert find_plans([plan(created_at=T - 7 * DAY_US - 1)], T) == []


def test_a_plan_that_waits_for_an_agent() -> None:
    waiting = plan(status="running", note=f"{NO_AGENT}none is connected.")
    [finding] = find_plans([waiting], T)
    assert (finding.kind, finding.level, finding.title) == ("stalled_plan", "warn", "Plan 12 stalled")
    assert finding.text == "retry task of 500 tasks: Waiting for an agent: none is connected."
    assert find_plans([waiting._replace(started_at=T - 59 * SECOND)], T) == []
    assert find_plans([waiting._replace(note="Waiting for the results of the first 10.")], T) == []


def test_forwarding_that_lags() -> None:
    fresh = TargetState("siem", "tls://h:6514", None, "", 3, T - LATE_US + 1)
    done = TargetState("done", "tls://h:6514", None, "", 0, None)
    assert find_forwarding([fresh, done], T) == []
    late = fresh._replace(oldest_at=T - LATE_US, failing_since=T - HOUR_US, error="Connection refused.")
    [found] = find_forwarding([late], T)
    assert (found.kind, found.subject, found.level, found.since) == ("forwarding", "siem", "warn", T - HOUR_US)
    assert found.text.startswith("3 rows to send, the oldest is 10")
    assert found.why == "Connection refused."
    [found] = find_forwarding([late._replace(oldest_at=T - DAY_US, error="", failing_since=None)], T)
    assert found.level == "bad"
    assert "accepts rows more slowly" in found.why


def test_limits_are_those_of_the_documents() -> None:
    assert (LITTLE_SPACE, URGENT_DAYS, STALLED_US, LATE_US, OLD_PLAN_US) == (10**9, 14, 60_000_000, 600_000_000, 7 * DAY_US)


def one(**changes: Any) -> Finding | None:
    found = find_server(server(**changes), T)
    assert len(found) <= 1
    return found[0] if found else None


def test_the_edges_of_space_and_certificates() -> None:
    assert one(free_bytes=LITTLE_SPACE) is None
    assert one(free_bytes=LITTLE_SPACE - 1)

    def certificate(**changes: Any) -> tuple[str, str, float, str]:
        found = one(**changes)
        assert found is not None
        return found.text, found.level, found.weight, found.why

    usual = "replace the file; the server reloads it automatically"
    assert certificate(certificate_days=14) == ("it expires in 14 days", "warn", 400, usual)
    assert certificate(certificate_days=13) == ("it expires in 13 days", "bad", 400, usual)
    assert certificate(certificate_days=0) == ("it expires in 0 days", "bad", 400, usual)
    assert certificate(certificate_days=-1) == ("it has expired, and clients that verify it cannot connect", "bad", 900, usual)
    assert certificate(certificate_problem="no key") == ("its new files are not used", "bad", 400, "no key")
    assert certificate(certificate_days=20, certificate_problem="no key") == ("it expires in 20 days", "bad", 400, "no key")


def test_the_edges_of_backups() -> None:
    def backup(age_us: int | None, problem: str = "") -> tuple[str, str, str, str] | None:
        found = one(has_backups=True, backups_since=None if age_us is None else T - age_us, backup_problem=problem)
        return None if found is None else (found.title, found.text, found.why, found.level)

    assert backup(OLD_US) is None
    assert backup(None) is None
    old = backup(OLD_US + 1)
    assert old is not None
    assert (old[0], old[3]) == ("There is no recent backup", "bad")
    assert old[2].startswith("reported after ")
    assert old[2].endswith("; a backup is made every night")
    assert backup(None, "full") == ("The last nightly backup failed", "no backup yet", "full", "warn")
    assert find_server(server(has_backups=False, backup_problem="full"), T) == []


def test_duties_in_words() -> None:
    found = find_server(server(duties=(DutyState("a", "failing", 5, 1, "disk"), DutyState("b", "stalled", None, 0, ""))), T)
    assert [(each.title, each.text, each.why, each.since) for each in found] == [
        ("A background duty is failing", "a, 1 time in a row", "disk", 5),
        ("A background duty is not running", "b", "no run has finished in time; see the server log", None),
    ]


def test_the_edges_of_forwarding() -> None:
    def look(waits_us: int | None, error: str = "", failing_since: int | None = None) -> Finding | None:
        target = TargetState("siem", "tls://logs:6514", failing_since, error, 9, None if waits_us is None else T - waits_us)
        found = find_forwarding([target], T)
        return found[0] if found else None

    assert look(None) is None
    assert look(LATE_US - 1) is None
    late = look(LATE_US)
    assert late is not None
    assert (late.kind, late.subject, late.level, late.weight, late.since) == ("forwarding", "siem", "warn", 260, T - LATE_US)
    assert (late.title, late.text) == ("Forwarding to siem lags", "9 rows to send, the oldest is 10\u202fm\u202f00\u202fs old")
    assert late.why == "no errors, but tls://logs:6514 accepts rows more slowly than they are recorded"
    assert late.action == Link("Open forwarding", "/settings/forwarding")
    day = look(DAY_US, "refused", 7)
    assert day is not None
    assert (day.level, day.why, day.since) == ("bad", "refused", 7)
    almost = look(DAY_US - 1)
    assert almost is not None
    assert almost.level == "warn"
    assert len(find_forwarding([TargetState("a", "", None, "", 0, None), TargetState("b", "", None, "", 1, T - LATE_US)], T)) == 1


def test_the_edges_of_plans() -> None:
    def kinds(**changes: Any) -> list[str]:
        return [each.kind for each in find_plans([plan(**changes)], T)]

    stalled: dict[str, Any] = {"status": "running", "note": NO_AGENT}
    assert kinds(**stalled, started_at=T - 60_000_000) == ["stalled_plan"]
    assert kinds(**stalled, started_at=T - 59_999_999) == []
    assert kinds(**stalled, started_at=None) == []
    assert kinds(status="running", note="", started_at=T - 90_000_000) == []
    assert kinds(status="paused", note=NO_AGENT, started_at=T - 90_000_000) == []
    assert kinds(status="paused", note=f"{STOPPED}9", created_at=T - 7 * DAY_US) == ["stopped_plan"]
    assert kinds(status="paused", note=f"{STOPPED}9", created_at=T - 7 * DAY_US - 1) == []
    assert kinds(status="running", note=f"{STOPPED}9") == []
    old, new = plan(created_at=T - 8 * DAY_US), plan(status="paused", note=f"{STOPPED}9")
    assert len(find_plans([old, new], T)) == 1
