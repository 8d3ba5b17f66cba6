# SPDX-License-Identifier: AGPL-3.0-or-later
"""One finding of each kind, as its rule makes it."""

from __future__ import annotations

from collections.abc import Iterator

from tests.unit.rules.findings import examples
from tests.unit.rules.findings.examples import SHOP, T, name, queue
from tests.unit.rules.findings.fleet.examples import end, process, silent
from tests.unit.rules.findings.fleet.test_worker_restarts import starts
from tests.unit.rules.findings.test_errors import error
from tests.unit.rules.findings.test_schedules import find as find_schedules
from tests.unit.rules.findings.test_schedules import schedule
from tests.unit.rules.findings.test_server import plan, server
from z4j.rules.findings import backlog, errors, failure_rate, queue_losses, run_and_retry_rates, runtimes
from z4j.rules.findings.activity import Counts, QueueMinute
from z4j.rules.findings.finding import Finding
from z4j.rules.findings.fleet import agents, missing_heartbeats, stuck_tasks, unregistered_tasks, worker_differences, worker_restarts
from z4j.rules.findings.fleet.agents import FaultReport, GapReport, RefusedReport
from z4j.rules.findings.fleet.process import MINUTE_US
from z4j.rules.findings.fleet.stuck_tasks import RunningTask
from z4j.rules.findings.fleet.unregistered_tasks import WaitingName
from z4j.rules.findings.server import DutyState, find_plans, find_server
from z4j.rules.plans import NO_AGENT, STOPPED

EMPTY, BUSY = QueueMinute(0, 0, 0, 0), QueueMinute(400, 100, 10, 3)
OFTEN = examples.hour(started=600, retried=0)


def each() -> list[Finding]:
    """Returns one finding of each kind, some of several."""
    return [finding for finding in _each() if finding is not None]


def _each() -> Iterator[Finding | None]:
    yield errors.find(error(), {}, T)
    yield errors.find(error(2, error_type="child_killed", hours=(0,) * 23 + (4,)), {}, T)
    yield failure_rate.find(name(Counts(10, 10, 4)))
    yield runtimes.find(name(ms=2_000))
    yield runtimes.find(name(ms=10, usual=(OFTEN,) * 12))
    yield run_and_retry_rates.find(name(Counts(0, 0, 0), earlier=Counts(0, 0, 0)))
    yield run_and_retry_rates.find(name(Counts(10, 10, 0, 30)))
    yield backlog.find(queue(BUSY, depth=5_000, oldest_us=900_000_000))
    yield backlog.find(queue(QueueMinute(20, 1, 0), depth=20, consumers=0, running=0, oldest_us=90_000_000))
    yield from queue_losses.find(queue(EMPTY, depth=0, queued=400))
    yield from queue_losses.find(queue(EMPTY, depth=0, queued=4))
    yield from queue_losses.find(queue(BUSY, QueueMinute(20, 1, 1, 9), dead=90))
    yield from missing_heartbeats.find([silent(last_running=2)], T)
    yield from stuck_tasks.find([RunningTask(SHOP, "emails.send", "w1", T - 60 * MINUTE_US)], {(SHOP, "emails.send"): name()}, T)
    yield from worker_restarts.find_killed([end(3)], T)
    yield from worker_restarts.find_loops(starts(4), T)
    yield from worker_differences.find([process("w1"), process("w2", release="2.0")], T)
    yield from unregistered_tasks.find([end(3, "rejected", "unknown_task")], [WaitingName(SHOP, "a.new", "a", 2, 3, 0, 2 * MINUTE_US)])
    yield from agents.find_dropped([GapReport("shop", T, 9, T - 9, T, "spool_full")])
    yield from agents.find_faults([FaultReport("shop", T, "capture", "KeyError", 2)])
    yield from agents.find_refused([RefusedReport("shop", "3 records refused", T)])
    yield from agents.find_clocks([process(skew_us=9_000_000)])
    yield from agents.find_behind([process(spool_bytes=9_000_000)])
    its = [schedule(1, "double", doubled_at=T - 5 * MINUTE_US)]
    yield from find_schedules(*its, connected=("a", "b"))
    yield from find_schedules(schedule(1, "gone"), connected=(), silent_since=T - 5 * MINUTE_US)
    for state in ("missed", "failed", "late"):
        yield from find_schedules(schedule(1, state, lateness=9_000_000))
        yield from find_schedules(*(schedule(number, state, lateness=9_000_000) for number in range(5)))
    yield from find_server(
        server(
            audit_row=4, audit_why="changed", free_bytes=9, certificate_days=2, why_not_held="full", backup_problem="full",
            duties=(DutyState("retention", "failing", T, 3, "disk"),),
        ),
        T,
    )  # fmt: skip
    yield from find_plans([plan(note=f"{STOPPED}9"), plan(id=13, status="running", note=NO_AGENT, started_at=T - 90_000_000)], T)
