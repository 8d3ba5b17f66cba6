# SPDX-License-Identifier: Apache-2.0
"""The eventlet pool: tasks are told as they ended, also those that a warm shutdown waits for."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from test_conformance import SoloHarness

from z4j_agent.conformance import wait_for
from z4j_agent.conformance.assertions import ended, worker_link
from z4j_agent.conformance.gateway import Gateway

SECONDS = 3.0


class EventletHarness(SoloHarness):
    """Python's sockets, threads and locks are eventlet's. Its greenlets cannot be stopped from outside, but their number can be changed."""

    unsupported = frozenset({"terminate_task"})
    pool = ("--pool", "eventlet", "--concurrency", "3")


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    gateway = Gateway()
    gateway.start()
    yield gateway
    gateway.stop()


@pytest.fixture
def running(tmp_path: Path, gateway: Gateway) -> Iterator[EventletHarness]:
    harness = EventletHarness(tmp_path, gateway.url)
    try:
        harness.set_up()
        yield harness
    finally:
        harness.tear_down()


def test_a_warm_shutdown_tells_every_task_as_it_ended(running: EventletHarness, gateway: Gateway) -> None:
    worker = running.start_worker()
    link = worker_link(gateway)
    offered = {action for engine, action, *_ in link.hello["capabilities"] if engine == "celery"}
    assert "terminate_task" not in offered
    assert "resize_worker" in offered
    for kind in ("succeed", "fail", "retry", "ignore"):
        ended(gateway, running.enqueue(kind, *running.outcomes[kind].args), running.outcomes[kind])
    slow = [running.enqueue("wait", SECONDS) for _ in range(2)]
    for task_id in slow:
        wait_for(lambda task_id=task_id: [r for r in gateway.records(task_id) if r.kind == "started"], "it runs")  # type: ignore[misc]
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(60) == 0, running.log("worker")[-3000:]
    for task_id in slow:
        end = ended(gateway, task_id, running.outcomes["wait"])[-1]
        assert end.rest["runtime"] >= SECONDS * 1_000_000
        assert end.rest["result"] == str(SECONDS)
    wait_for(lambda: link.goodbye is not None, "the goodbye")
    assert "Traceback" not in running.log("worker").partition("Warm shutdown")[2]


def test_a_warm_shutdown_is_not_held_up_by_a_server_that_is_away(running: EventletHarness, gateway: Gateway) -> None:
    gateway.stop()
    worker = running.start_worker()
    task_id = running.enqueue("wait", SECONDS)
    wait_for(lambda: "received" in running.log("worker"), "the worker has the task")
    began = time.monotonic()
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(60) == 0, running.log("worker")[-3000:]
    assert time.monotonic() - began < SECONDS + 20
    gateway.start()
    running.start_worker()
    ended(gateway, task_id, running.outcomes["wait"])
