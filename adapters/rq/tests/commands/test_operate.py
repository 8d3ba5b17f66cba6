# SPDX-License-Identifier: Apache-2.0
"""What operators may ask of RQ, proved by what its own worker then does."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest
from test_conformance import RqHarness

from z4j_agent.conformance import FailuresContract, OperateContract, wait_for
from z4j_agent.conformance.assertions import ENDS, final_answer, worker_link
from z4j_agent.conformance.gateway import Gateway


class OperateHarness(RqHarness):
    """One worker of two queues; a forking one takes one job at a time anyway."""

    def start_worker(self):  # type: ignore[no-untyped-def]
        count = self.log("worker").count("Listening on")
        command = [sys.executable, "-m", "rq.cli", "worker", "-c", "engine_app", "-w", self.kind, "--url", self.environment()["BROKER_URL"]]
        worker = self.start("worker", [*command, "--with-scheduler", self.queue, "other"], cwd=self.folder)
        wait_for(lambda: self.log("worker").count("Listening on") > count, "the worker is ready", seconds=30)
        return worker


class TestOperate(OperateContract):
    harness_class = OperateHarness
    other_queue: ClassVar[str] = "other"
    keeps_dead: ClassVar[bool] = True


class TestFailures(FailuresContract):
    harness_class = OperateHarness
    other_queue: ClassVar[str] = "other"


class SlowHorseHarness(RqHarness):
    kind: ClassVar[str] = "engine_app.SlowHorse"


@pytest.fixture
def slow(tmp_path: Path) -> Iterator[tuple[Gateway, SlowHorseHarness]]:
    gateway = Gateway()
    gateway.start()
    harness = SlowHorseHarness(tmp_path, gateway.url)
    try:
        harness.set_up()
        harness.start_worker()
        wait_for(lambda: worker_link(gateway), "the worker connects")
        yield gateway, harness
    finally:
        harness.tear_down()
        gateway.stop()


def test_terminate_stops_a_task_whose_horse_has_not_prepared_it_yet(slow: tuple[Gateway, SlowHorseHarness]) -> None:
    """The heartbeat already reports it as running, while the job in Redis does not name its worker."""
    gateway, harness = slow
    task_id = harness.enqueue("wait", 30)
    wait_for(lambda: [r for r in gateway.records(task_id) if r.kind == "received"], "the worker has taken it")

    def is_running() -> bool:
        beats = worker_link(gateway).heartbeats
        return any(task[1] == task_id and task[6] for task in (beats[-1]["running"] or [] if beats else []))

    wait_for(is_running, "a heartbeat reports it as running in a horse")
    status, fields = final_answer(
        gateway, gateway.ask(worker_link(gateway), "terminate_task", harness.adapter.engine, {"task_id": task_id})
    )
    assert status == "done", fields
    end = wait_for(lambda: [r for r in gateway.records(task_id) if r.kind in ENDS], "the engine reports the end")
    assert [(record.kind, record.rest["reason"]) for record in end] == [("cancelled", "stopped")]
