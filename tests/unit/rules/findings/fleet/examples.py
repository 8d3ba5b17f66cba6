# SPDX-License-Identifier: AGPL-3.0-or-later
"""Processes as the rules see them: as usual, unless a test says otherwise."""

from __future__ import annotations

from typing import Any

from tests.unit.rules.findings.examples import SHOP, T
from z4j.rules.findings.finding import Scope
from z4j.rules.findings.fleet.process import SECOND_US, Process
from z4j.rules.findings.fleet.worker_restarts import RecentEnd

WHERE = Scope("shop", "production")


def process(worker: str = "w1", **changes: Any) -> Process:
    fields: dict[str, Any] = {
        "scope": WHERE, "boot": f"boot-{worker}", "host": "host-7", "role": "worker", "worker": worker, "seat": "", "release": "1.0",
        "engines": {"celery": "5.4"}, "pool": "prefork", "queues": ("emails",), "began_at": T - 3_600 * SECOND_US,
        "seen_at": T - 3 * SECOND_US, "left_at": None, "is_orderly": False,
    }  # fmt: skip
    return Process(**(fields | changes))


def silent(worker: str = "w1", quiet_s: int = 240, **changes: Any) -> Process:
    return process(worker, seen_at=T - quiet_s * SECOND_US, left_at=T - (quiet_s - 45) * SECOND_US, **changes)


def end(tasks: int, state: str = "lost", reason: str = "child_killed", task: str = "reports.build", queue: str = "reports") -> RecentEnd:
    return RecentEnd(SHOP, task, queue, state, reason, tasks, T - 300 * SECOND_US, T - 60 * SECOND_US)
