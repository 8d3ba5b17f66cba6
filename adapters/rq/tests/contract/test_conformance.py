# SPDX-License-Identifier: Apache-2.0
"""RQ passes the contract: the ordinary worker that forks, and at length the one that spawns and the one that does neither.

Of those two only what could differ there is short (`essentials`, see conftest); the rest of them is marked long.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest
import redis
import rq.worker
from rq.version import VERSION

from z4j_agent.conformance import AdapterContract, Harness, Outcome, wait_for
from z4j_rq.adapter import RqAdapter

APPS = Path(__file__).resolve().parents[1] / "apps"
ANYWHERE: dict[str, Outcome] = {
    "succeed": Outcome("succeeded", args=("value",)),
    "fail": Outcome("failed", args=("no such door",), error_type="ValueError"),
    "retry": Outcome("succeeded", attempts=2),
    "again": Outcome("succeeded", attempts=2),
    "never_enough": Outcome("failed", "retries_exhausted", attempts=2, error_type="Retry"),
    "wait": Outcome("succeeded", args=(0.05,)),
    "log": Outcome("succeeded", args=(42, "hunter2")),
    "secret": Outcome("succeeded", args=("eve", "hunter2")),
    "note": Outcome("succeeded", args=(42, "hunter2")),
    "spawn": Outcome("succeeded"),
    "limit": Outcome("failed", "time_limit", error_type="JobTimeoutException"),
    "unkept": Outcome("succeeded"),
    "unknown": Outcome("rejected", "unknown_task"),
}
RQ = tuple(int(part) for part in VERSION.split(".")[:2])
IS_SPAWNING = hasattr(rq.worker, "SpawnWorker") and (RQ >= (2, 12) or redis.__version__ < "8")
"""Why not before: see `test_rqs_own`."""
if RQ < (2, 1):  # there a task that returns Retry has just returned something
    del ANYWHERE["again"], ANYWHERE["never_enough"]
IN_CHILDREN: dict[str, Outcome] = {
    "crash": Outcome("lost", "child_killed", is_timed=False),
    "leave": Outcome("lost", "child_killed", is_timed=False),
}


class RqHarness(Harness):
    cpu_of = "process"
    has_own_process = True
    adapter = RqAdapter
    outcomes: ClassVar[Mapping[str, Outcome]] = ANYWHERE | IN_CHILDREN
    names: ClassVar[Mapping[str, str]] = {kind: f"engine_app.{kind}" for kind in ANYWHERE | IN_CHILDREN}
    queue = "work"
    worker_options: ClassVar[dict[str, str]] = {
        "worker class": "Worker", "serializer": "rq.serializers.DefaultSerializer",
    }  # fmt: skip
    runs_in_children = True
    kind: ClassVar[str] = "rq.worker.Worker"

    def __init__(self, folder: Path, url: str) -> None:
        super().__init__(folder, url)
        self.broker_port = 0

    def environment(self) -> dict[str, str]:
        return super().environment() | {"BROKER_URL": f"redis://127.0.0.1:{self.broker_port}/0", "PYTHONPATH": str(APPS)}

    def set_up(self) -> None:
        self.broker_port = self.start_valkey()

    def start_worker(self) -> subprocess.Popen[bytes]:
        count = self.log("worker").count("Listening on")
        command = [sys.executable, "-m", "rq.cli", "worker", "-c", "engine_app", "-w", self.kind, "--url", self.environment()["BROKER_URL"]]
        worker = self.start("worker", [*command, "--with-scheduler", self.queue], cwd=self.folder)
        wait_for(lambda: self.log("worker").count("Listening on") > count, "the worker is ready", seconds=30)
        return worker

    def enqueue(self, kind: str, *args: Any, delay_s: float = 0, **options: Any) -> str:
        send = {"delay_s": delay_s} if delay_s else {}
        return self.ask_producer([sys.executable, APPS / "engine_app.py"], [kind, args, options, send])


class TestFork(AdapterContract):
    harness_class = RqHarness


class SimpleHarness(RqHarness):
    """Everything in the worker's one process: nothing can be stopped, and a crash has nobody to report it."""

    cpu_of = "thread"
    has_own_process = False
    outcomes: ClassVar[Mapping[str, Outcome]] = ANYWHERE
    runs_in_children = False
    unsupported = frozenset({"terminate_task"})
    kind = "rq.worker.SimpleWorker"
    worker_options = RqHarness.worker_options | {"worker class": "SimpleWorker"}


class TestSimple(AdapterContract):
    harness_class = SimpleHarness
    essentials: ClassVar[frozenset[str]] = frozenset(
        {
            "test_outcome[succeed]", "test_outcome[retry]", "test_outcome[limit]", "test_outcome[unknown]",
            "test_hello_says_who_and_what", "test_ends_name_the_process_that_ran_the_task", "test_heartbeats_tell_what_runs",
            "test_terminate_stops_a_running_task", "test_a_killed_worker_loses_no_captured_event", "test_nothing_went_wrong_inside",
        }
    )  # fmt: skip


class SpawnHarness(RqHarness):
    """Every horse is an interpreter of its own, which knows nothing of its worker but what the environment says."""

    kind = "rq.worker.SpawnWorker"
    worker_options = RqHarness.worker_options | {"worker class": "SpawnWorker"}


@pytest.mark.skipif(not IS_SPAWNING, reason="this RQ spawns no horses")
class TestSpawn(AdapterContract):
    harness_class = SpawnHarness
    essentials: ClassVar[frozenset[str]] = frozenset(
        {
            "test_outcome[succeed]", "test_outcome[retry]", "test_outcome[crash]", "test_outcome[unknown]",
            "test_a_child_names_its_parent", "test_ends_name_the_process_that_ran_the_task",
            "test_a_secret_never_leaves_in_clear[by position]", "test_terminate_stops_a_running_task", "test_nothing_went_wrong_inside",
        }
    )  # fmt: skip
