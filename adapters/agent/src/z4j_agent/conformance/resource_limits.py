# SPDX-License-Identifier: Apache-2.0
"""What watching may cost at most: room on the disk, and time of the processor (as Linux counts it). Part of the contract."""

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
"""Segments have one each: what was written last outlives the next look at the spool, whoever else fills it meanwhile."""
LARGE = 24_000
"""Random bytes of an argument, as hexadecimal digits: few of them fill such a spool."""
AT_ONCE = 10
MANY, GAPS = 60, 3
"""Rounds of so many tasks, several times more than fit; and so many losses, of which the later ones must not hide the first."""

WARM, COUNTED = 20, 60
PRODUCER_CEILING_S = 0.001
"""Processor time that watching may add to enqueueing one task; it adds a tenth of that on an ordinary machine."""
WORKER_CEILING_S = 0.002
"""The same for running one, beside what the engine itself takes for it: a work horse may cost thirty milliseconds, and vary."""
IDLE_S, IDLE_CPU_S = 0.8, 0.03
"""A worker that takes less than this of the processor for so long has nothing to do."""
TRIES = 3
"""A disaster costs too much every time, a busy machine only now and then."""


class ResourceLimits:
    """Its fixtures are those of `AdapterContract`."""

    def test_a_full_spool_gives_up_the_oldest_and_says_so(self, alone: Harness, lonely_gateway: Gateway) -> None:
        """No task is disturbed, the newest are told, and nothing is missing that was not reported."""
        alone.variables["Z4J_SPOOL_LIMIT_MB"] = str(SPOOL_MB)
        worker = alone.start_worker()
        tasks: list[str] = []
        ran: set[str] = set()
        keys: set[str] = set()
        while len(keys) < GAPS:
            assert len(tasks) < AT_ONCE * MANY, "the spool never reached its limit"
            tasks += [alone.enqueue("succeed", secrets.token_hex(LARGE)) for _ in range(AT_ONCE)]
            wait_for(partial(all_ran, alone.spool, tasks, ran), "all tasks run while nobody listens")
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
        # which segment was the oldest that nobody could still write to is the engine's affair: a scheduler's process may hold the first
        outcome = alone.outcomes["succeed"]
        kinds = {"enqueued", "payload", outcome.end} | {kind for kind in ("received", "started") if getattr(outcome, f"is_{kind}")}
        written = {(kind, task_id) for kind in kinds for task_id in tasks}

        def is_accounted_for() -> bool:
            missing: set[tuple[str, str]] = written - {(record.kind, record.task_id) for record in lonely_gateway.records()}
            return 0 < len(missing) <= sum(int(facts["count"]) for facts in gaps_in(lonely_gateway).values())

        wait_for(is_accounted_for, "what is missing is no more than what was reported lost")
        assert worker.poll() is None, alone.log("worker")[-3000:]

    def test_watching_stays_below_its_ceiling(self, alone: Harness) -> None:
        """Processor time of the producer and of the worker with all its children, watched and not; nobody listens."""
        watched, costs = alone.url, ""
        for _ in range(TRIES):
            alone.url = ""
            bare = cost_of(alone)
            alone.url = watched
            cost = cost_of(alone)
            costs = f"seconds per task (producer, worker): {cost} watched, {bare} not"
            if cost[0] - bare[0] < PRODUCER_CEILING_S and cost[1] < 2 * bare[1] + WORKER_CEILING_S:
                break
        else:
            raise AssertionError(costs)
        assert spooled(alone.spool, "succeeded") >= COUNTED, "it was watched"


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
    worker.wait(10)
    return produced / COUNTED, ran / COUNTED


def rest(worker: subprocess.Popen[bytes]) -> float:
    """Waits until a worker has nothing to do any more, and returns the seconds of processor time it has taken until then."""
    ends = time.monotonic() + 3 * PATIENCE_S  # a spawned horse takes half a second for each of them
    seen, since = cpu_of(worker.pid), time.monotonic()
    while time.monotonic() - since < IDLE_S:
        assert time.monotonic() < ends, "the worker never rests"
        time.sleep(0.1)
        if (taken := cpu_of(worker.pid)) - seen > IDLE_CPU_S:
            seen, since = taken, time.monotonic()
    return seen


def cpu_of(pid: int) -> float:
    """Seconds of processor time of a process, of its living children and of those it has seen end."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        children = [int(child) for path in Path(f"/proc/{pid}/task").glob("*/children") for child in path.read_text().split()]
    except (FileNotFoundError, ProcessLookupError):
        return 0.0  # ended meanwhile: its parent counts it from now on
    return sum(int(ticks) for ticks in fields[11:15]) / os.sysconf("SC_CLK_TCK") + sum(cpu_of(child) for child in children)


def ids_of(spool: Path, kind: str) -> set[str]:
    """The ids of tasks (of "gap" the keys) of which the spool holds such a record, sent or not."""
    ids: set[str] = set()
    pattern = rb'\x1e\["%s",%s"([^"]+)"' % (kind.encode(), b"" if kind == "gap" else rb'"\w+",')
    for path in spool.rglob("*.seg"):
        with contextlib.suppress(FileNotFoundError):  # given up meanwhile
            ids |= {match.decode() for match in re.findall(pattern, path.read_bytes())}
    return ids


def all_ran(spool: Path, tasks: list[str], ran: set[str]) -> bool:
    """Whether all of `tasks` have succeeded; `ran` keeps those that were seen, since the spool may give them up."""
    ran |= ids_of(spool, "succeeded")
    return ran.issuperset(tasks)


def gaps_in(gateway: Gateway) -> dict[str, dict[str, Any]]:
    """What was reported lost: count, bytes, times and cause, by the key that makes a repeated report the same."""
    return {fields[1]: fields[3] for fields in gateway.decoded() if fields[0] == "gap"}
