# SPDX-License-Identifier: Apache-2.0
"""A server that was taken over makes no schedule of rq-scheduler's or of RQ's cron that runs what the application does not."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from rq import Queue
from rq.job import Job
from test_schedules import CronHarness, RqScheduleHarness, SchedulerHarness

from z4j_agent.capture.originals import prove_name
from z4j_agent.conformance import wait_for
from z4j_agent.conformance.assertions import final_answer
from z4j_agent.conformance.gateway import Gateway, Link
from z4j_agent.conformance.hostile_server import FUNCTIONS, KEY


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    made = Gateway()
    made.start()
    yield made
    made.stop()


def started(kind: type[RqScheduleHarness], folder: Path, gateway: Gateway, **owner: str) -> RqScheduleHarness:
    harness = kind(folder, gateway.url)
    harness.variables |= owner
    harness.set_up()
    harness.start_scheduler()
    return harness


def link_of(gateway: Gateway) -> Link:
    def links() -> list[Link]:
        return [link for link in gateway.open_links() if link.schedules]

    return wait_for(links, "the scheduler lists its entries", seconds=30)[-1]


def spec(name: str, argument: str, **more: Any) -> dict[str, Any]:
    fields = {"kind": "interval", "expression": "1", "timezone": "", "task_name": name, "args": [argument], "kwargs": {}}
    return {"key": "", "name": "evil", "queue": "", "is_enabled": True, **fields, **more}


def ask(gateway: Gateway, action: str, engine: str, params: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    return final_answer(gateway, gateway.ask(link_of(gateway), action, engine, params))


def run_all(harness: RqScheduleHarness) -> None:
    """Everything that was enqueued, by a worker nobody watches; the scheduler, which was started last, ends first."""
    harness.processes[-1].terminate()
    harness.processes[-1].wait(60)
    worker = ["worker", "-w", "rq.worker.SimpleWorker", "--burst", "--url", harness.broker, "work", "default", "evil"]
    command = [sys.executable, "-m", "rq.cli", *worker]
    unwatched = {name: value for name, value in harness.environment().items() if name != "Z4J_URL"}
    subprocess.run(command, env=unwatched, cwd=harness.folder, timeout=60, check=True, capture_output=True)


def test_rq_scheduler_runs_only_what_the_application_does(gateway: Gateway, tmp_path: Path) -> None:
    harness, witness = started(SchedulerHarness, tmp_path, gateway), tmp_path / "witness"
    try:
        for name in FUNCTIONS:
            for key in ("", "nightly"):
                status, facts = ask(gateway, "save_schedule", "rq_scheduler", spec(name, f"touch {witness}", key=key))
                assert (status, facts.get("check")) == ("refused", "task.unknown"), (name, key, status, facts)
        status, facts = ask(gateway, "save_schedule", "rq_scheduler", spec("schedules_app.succeed", "x", queue="evil"))
        assert (status, facts.get("check")) == ("refused", "queue.unknown")
        for action in ("delete_schedule", "enable_schedule", "disable_schedule", "fire_schedule"):
            assert ask(gateway, action, "rq_scheduler", {"key": "rq:queues"})[0] == "refused"
        assert ask(gateway, "save_schedule", "rq_scheduler", spec("schedules_app.succeed", "control"))[0] == "done"
        waiting = Queue("work", connection=Redis(port=harness.broker_port))
        wait_for(lambda: [job for job in waiting.jobs if job.args == ("control",)], "the genuine schedule fires")
        run_all(harness)
        assert not witness.exists()
    finally:
        harness.tear_down()


def test_a_name_that_a_schedule_of_the_server_runs_does_not_become_known(gateway: Gateway, tmp_path: Path) -> None:
    harness = started(SchedulerHarness, tmp_path, gateway)
    try:
        proofs = {"rq": prove_name(KEY, "rq", "schedules_app.login")}
        requested = spec("schedules_app.login", "eve", kwargs={"password": "x"})
        key = ask(gateway, "save_schedule", "rq_scheduler", {**requested, "proofs": proofs})[1]["key"]
        wait_for(lambda: gateway.fires(key), "it fires")
        time.sleep(1.5)  # and its entries are listed again
        status, facts = ask(gateway, "save_schedule", "rq_scheduler", requested)
        assert (status, facts.get("check")) == ("refused", "task.unknown")
        job = Job.fetch(key, connection=Redis(port=harness.broker_port))
        assert job.meta == {"interval": 1}, "what the application reads of its job holds nothing of ours"
    finally:
        harness.tear_down()


def test_rq_cron_runs_only_what_the_application_does(gateway: Gateway, tmp_path: Path) -> None:
    harness, witness = started(CronHarness, tmp_path, gateway), tmp_path / "witness"
    try:
        for name in FUNCTIONS:
            override = {"key": "evil", "is_new": True, "spec": spec(name, f"touch {witness}")}
            status, facts = ask(gateway, "apply_overrides", "rq_cron", {"overrides": [override], "key": "evil"})
            assert status == "refused", (name, status, facts)
        time.sleep(2)
        run_all(harness)
        assert not witness.exists()
    finally:
        harness.tear_down()


def test_an_override_on_disk_runs_nothing_once_the_owner_denies_it(gateway: Gateway, tmp_path: Path) -> None:
    """It was permitted when it was kept; the owner has changed his mind since and started the process again."""
    harness = started(CronHarness, tmp_path, gateway)
    try:
        override = {"key": "more", "is_new": True, "spec": spec("schedules_app.succeed", "more")}
        assert ask(gateway, "apply_overrides", "rq_cron", {"overrides": [override], "key": "more"})[0] == "done"
        wait_for(lambda: gateway.fires("more"), "it fires")
        harness.processes[-1].terminate()
        harness.processes[-1].wait(60)
        harness.variables |= {"Z4J_DENIED": "run_task"}
        before = len(gateway.fires("more"))
        harness.start_scheduler()
        wait_for(lambda: [link for link in gateway.open_links() if link.schedules], "it is up again")
        time.sleep(2.5)
        assert len(gateway.fires("more")) == before
    finally:
        harness.tear_down()
