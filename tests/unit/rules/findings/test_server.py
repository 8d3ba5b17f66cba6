# SPDX-License-Identifier: AGPL-3.0-or-later
"""Findings of the server itself and of plans that stand still."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.rules.findings.examples import T
from z4j.rules.backups import OLD_US
from z4j.rules.findings.server import LATE_US, DutyState, PlanState, ServerState, TargetState, find_forwarding, find_plans, find_server
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
    assert "takes rows more slowly" in found.why
