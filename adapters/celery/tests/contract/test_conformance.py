# SPDX-License-Identifier: Apache-2.0
"""Celery passes the contract in every pool."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest
from celery.concurrency import gevent

from z4j_agent.conformance import AdapterContract, Harness, Outcome, wait_for
from z4j_celery.adapter import CeleryAdapter

APPS = Path(__file__).resolve().parents[1] / "apps"
ANYWHERE: dict[str, Outcome] = {
    "succeed": Outcome("succeeded", args=("value",)),
    "fail": Outcome("failed", args=("no such door",), error_type="ValueError"),
    "retry": Outcome("succeeded", attempts=2),
    "autoretry": Outcome("failed", attempts=2, error_type="OSError"),
    "wait": Outcome("succeeded", args=(0.05,)),
    "log": Outcome("succeeded", args=(42, "hunter2")),
    "secret": Outcome("succeeded", args=("eve", "hunter2")),
    "note": Outcome("succeeded", args=(42, "hunter2")),
    "spawn": Outcome("succeeded"),
    "ignore": Outcome("cancelled", "ignored"),
    "reject": Outcome("rejected", "rejected"),
    "unknown": Outcome("rejected", "unknown_task", is_received=False, is_started=False),
    "late": Outcome("expired", is_received=False, is_started=False, options={"as": "succeed", "expires": -5}, args=("too late",)),
}
PREFORK: dict[str, Outcome] = {
    "crash": Outcome("lost", "child_killed", is_timed=False),
    "leave": Outcome("lost", "child_killed", is_timed=False),
    "hard_limit": Outcome("failed", "time_limit", error_type="TimeLimitExceeded", is_timed=False),
    "soft_limit": Outcome("failed", "soft_time_limit", error_type="SoftTimeLimitExceeded"),
    "soft_limit_survived": Outcome("succeeded"),
}


class CeleryHarness(Harness):
    cpu_of = "process"
    adapter = CeleryAdapter
    outcomes: ClassVar[Mapping[str, Outcome]] = ANYWHERE | PREFORK
    names: ClassVar[Mapping[str, str]] = {kind: f"contract.{kind}" for kind in ANYWHERE | PREFORK} | {"late": "contract.succeed"}
    queue = "work"
    worker_options: ClassVar[Mapping[str, str]] = {
        "worker_prefetch_multiplier": "4", "task_acks_late": "no", "task_serializer": "json", "accept_content": "json",
    }  # fmt: skip
    runs_in_children = True
    pool: ClassVar[tuple[str, ...]] = ("--pool", "prefork", "--concurrency", "2")

    def __init__(self, folder: Path, url: str) -> None:
        super().__init__(folder, url)
        self.broker_port = 0
        self.workers = 0

    def environment(self) -> dict[str, str]:
        return super().environment() | {"BROKER_URL": f"redis://127.0.0.1:{self.broker_port}/0", "PYTHONPATH": str(APPS)}

    def set_up(self) -> None:
        self.broker_port = self.start_valkey()

    def start_worker(self) -> subprocess.Popen[bytes]:
        self.workers += 1
        count = self.log("worker").count(" ready.")
        celery = [sys.executable, "-m", "celery", "-A", "engine_app", "worker", "--loglevel", "INFO", "-Q", self.queue]
        worker = self.start("worker", [*celery, *self.pool, "-n", f"w{self.workers}@test"], cwd=self.folder)
        wait_for(lambda: self.log("worker").count(" ready.") > count, "the worker is ready", seconds=30)
        return worker

    def enqueue(self, kind: str, *args: Any, delay_s: float = 0, **options: Any) -> str:
        keys = {"as", "expires", "priority", "delivery_mode", "reply_to", "ignore_result", "queue"} & options.keys()
        send = {key: options.pop(key) for key in keys}
        kind = send.pop("as", kind)
        if delay_s:
            send["countdown"] = delay_s
        return self.ask_producer([sys.executable, APPS / "engine_app.py"], [kind, args, options, send])


OF_THE_POOL = frozenset(
    {
        "test_outcome", "test_hello_says_who_and_what", "test_ends_name_the_process_that_ran_the_task", "test_heartbeats_tell_what_runs",
        "test_terminate_stops_a_running_task", "test_a_running_task_cannot_be_cancelled_as_if_it_waited", "test_nothing_went_wrong_inside",
    }
)  # fmt: skip
"""What differs between pools."""


class TestPrefork(AdapterContract):
    harness_class = CeleryHarness


class SoloHarness(CeleryHarness):
    """Everything in the worker's one process: nothing can be stopped, and limits and crashes have nobody to report them."""

    cpu_of = "thread"
    outcomes: ClassVar[Mapping[str, Outcome]] = ANYWHERE
    runs_in_children = False
    unsupported = frozenset({"terminate_task", "resize_worker"})
    pool = ("--pool", "solo")


class ThreadsHarness(SoloHarness):
    pool = ("--pool", "threads", "--concurrency", "3")


class GeventHarness(SoloHarness):
    """Python's sockets, threads and locks are gevent's; the agent's thread is a real one all the same. A greenlet can be stopped."""

    cpu_of = ""
    unsupported = frozenset({"inspect_task"} if "terminate_job" in vars(gevent.TaskPool) else {"inspect_task", "terminate_task"})
    pool = ("--pool", "gevent", "--concurrency", "3")


@pytest.mark.long
class TestSolo(AdapterContract):
    """The workers of `test_brokers.py` have this pool, too."""

    harness_class = SoloHarness


class TestThreads(AdapterContract):
    harness_class = ThreadsHarness
    essentials: ClassVar[frozenset[str]] = OF_THE_POOL


class TestGevent(AdapterContract):
    harness_class = GeventHarness
