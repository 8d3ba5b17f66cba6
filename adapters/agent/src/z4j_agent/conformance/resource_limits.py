# SPDX-License-Identifier: Apache-2.0
"""The maximum cost of monitoring: disk space, and processor time (as Linux counts it). Part of the contract."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import signal
import subprocess
import time
from functools import partial
from pathlib import Path
from typing import Any

from z4j_agent.conformance.assertions import ended, spooled
from z4j_agent.conformance.gateway import Gateway
from z4j_agent.conformance.harness import PATIENCE_S, Harness, wait_for

SPOOL_MB = 3
"""Bytes of one segment: the newest record survives the next cleaning of the spool, also while other processes fill it."""
LARGE = 24_000
"""Random bytes of an argument, as hexadecimal digits: few of them fill such a spool."""
AT_ONCE = 10
MANY, GAPS = 60, 3
"""Tasks of each round, several times more than fit; and the number of gaps, of which later ones must not hide the first."""

WARM, COUNTED = 20, 60
PRODUCER_CEILING_S = 0.001
"""Seconds of processor time that monitoring may add to enqueueing one task; on an ordinary machine it adds a tenth of that."""
WORKER_CEILING_S = 0.002
"""The same for running a task, in addition to the engine's own time: a work horse may take thirty milliseconds, and vary."""
IDLE_S, IDLE_CPU_S = 0.8, 0.03
"""A worker that uses less than this processor time for that long is idle."""
TRIES = 3
"""Number of tries: a defect costs too much every time, a busy machine only sometimes."""


class ResourceLimits:
    """Its fixtures are those of `AdapterContract`."""

    def test_a_full_spool_gives_up_the_oldest_and_says_so(self, alone: Harness, lonely_gateway: Gateway) -> None:
        """No task is affected, the newest are reported, and every missing record is reported as lost."""
        alone.variables["Z4J_SPOOL_LIMIT_MB"] = str(SPOOL_MB)
        worker = alone.start_worker()
        tasks: list[str] = []
        ran: set[str] = set()
        keys: set[str] = set()
        while len(keys) < GAPS:
            assert len(tasks) < AT_ONCE * MANY, "the spool never reached its limit"
            tasks += [alone.enqueue("succeed", secrets.token_hex(LARGE)) for _ in range(AT_ONCE)]
            wait_for(partial(all_ran, alone.spool, tasks, ran), "all tasks run without a server")
            keys |= ids_of(alone.spool, "gap")
        assert worker.poll() is None, alone.log("worker")[-3000:]
        newest = alone.enqueue("succeed", "the newest")
        wait_for(lambda: newest in ids_of(alone.spool, "succeeded"), "a task runs while the spool is full")

        lonely_gateway.start()
        ended(lonely_gateway, newest, alone.outcomes["succeed"])
        gaps = wait_for(lambda: gaps_in(lonely_gateway), "a gap is reported")
        assert {facts["cause"] for facts in gaps.values()} == {"the spool was full"}, gaps
        for facts in gaps.values():
            assert facts["count"] > 0, gaps
            assert facts["bytes"] > 0, gaps
            assert facts["first_at"] <= facts["last_at"], gaps
        # which segment was the oldest that no process could write to depends on the engine: a scheduler's process may have the first
        outcome = alone.outcomes["succeed"]
        kinds = {"enqueued", "payload", outcome.end} | ({"started"} if outcome.is_started else set())
        written = {(kind, task_id) for kind in kinds for task_id in tasks}

        def is_accounted_for() -> bool:
            missing: set[tuple[str, str]] = written - {(record.kind, record.task_id) for record in lonely_gateway.records()}
            return 0 < len(missing) <= sum(int(facts["count"]) for facts in gaps_in(lonely_gateway).values())

        wait_for(is_accounted_for, "no more is missing than was reported as lost")
        assert worker.poll() is None, alone.log("worker")[-3000:]

    def test_watching_stays_below_its_ceiling(self, alone: Harness) -> None:
        """Processor time of the producer and of the worker with all its children, with and without monitoring, without a server."""
        watched, costs = alone.url, ""
        for _ in range(TRIES):
            alone.url = ""
            bare = cost_of(alone)
            alone.url = watched
            cost = cost_of(alone)
            costs = f"seconds per task (producer, worker): {cost} monitored, {bare} not"
            if cost[0] - bare[0] < PRODUCER_CEILING_S and cost[1] < 2 * bare[1] + WORKER_CEILING_S:
                break
        else:
            raise AssertionError(costs)
        assert spooled(alone.spool, "succeeded") >= COUNTED, "it was monitored"


def cost_of(harness: Harness) -> tuple[float, float]:
    """(producer, worker): seconds of processor time for one task, with a worker of its own."""
    worker = harness.start_worker()
    for number in range(WARM):
        harness.enqueue("succeed", number)
    idle = rest(worker)
    producers = [process for process in harness.processes if process.stdin is not None]
    before = [cpu_of(process.pid) for process in producers]
    for number in range(COUNTED):
        harness.enqueue("succeed", number)
    produced = max(cpu_of(process.pid) - began for process, began in zip(producers, before, strict=True))
    ran = rest(worker) - idle
    os.killpg(worker.pid, signal.SIGKILL)
    worker.wait(PATIENCE_S)
    return produced / COUNTED, ran / COUNTED


def rest(worker: subprocess.Popen[bytes]) -> float:
    """Waits until a worker is idle, and returns the seconds of processor time that it has used until then."""
    ends = time.monotonic() + 3 * PATIENCE_S  # a spawned horse takes half a second for each of them
    seen, since = cpu_of(worker.pid), time.monotonic()
    while time.monotonic() - since < IDLE_S:
        assert time.monotonic() < ends, "the worker is never idle"
        time.sleep(0.1)
        if (taken := cpu_of(worker.pid)) - seen > IDLE_CPU_S:
            seen, since = taken, time.monotonic()
    return seen


def cpu_of(pid: int) -> float:
    """Seconds of processor time of a process, of its running children and of those that have ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        children = [int(child) for path in Path(f"/proc/{pid}/task").glob("*/children") for child in path.read_text().split()]
    except (FileNotFoundError, ProcessLookupError):
        return 0.0  # ended meanwhile: its parent counts it now
    return sum(int(ticks) for ticks in fields[11:15]) / os.sysconf("SC_CLK_TCK") + sum(cpu_of(child) for child in children)


def ids_of(spool: Path, kind: str) -> set[str]:
    """The IDs of tasks (for "gap" the keys) with such a record in the spool, sent or not."""
    ids: set[str] = set()
    pattern = rb'\x1e\["%s",%s"([^"]+)"' % (kind.encode(), b"" if kind == "gap" else rb'"\w+",')
    for path in spool.rglob("*.seg"):
        with contextlib.suppress(FileNotFoundError):  # dropped meanwhile
            ids |= {match.decode() for match in re.findall(pattern, path.read_bytes())}
    return ids


def all_ran(spool: Path, tasks: list[str], ran: set[str]) -> bool:
    """Whether all of `tasks` have succeeded; `ran` stores those that were seen, because the spool may drop them."""
    ran |= ids_of(spool, "succeeded")
    return ran.issuperset(tasks)


def gaps_in(gateway: Gateway) -> dict[str, dict[str, Any]]:
    """The reported gaps: count, bytes, times and cause, by the key that identifies a repeated report."""
    return {fields[1]: fields[3] for fields in gateway.decoded() if fields[0] == "gap"}
