# SPDX-License-Identifier: Apache-2.0
"""What both contracts of operating an engine stand on: a watched worker, its answers, and a queue held still."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import pytest

from z4j_agent.conformance.gateway import Gateway, Record
from z4j_agent.conformance.harness import Harness, wait_for
from z4j_agent.conformance.reading import ENDS, ended, final_answer, is_declared, payload_of, worker_link

HELD_S = 1.5
"""A task that has not started after so long waits."""
PROBES = 6


def new_id() -> str:
    return f"{secrets.token_hex(4)}-0000-4000-8000-{secrets.token_hex(6)}"


class Operating:
    """Subclass it with a `harness_class`; the name must begin with `Test`."""

    harness_class: ClassVar[type[Harness]]
    other_queue: ClassVar[str] = ""
    """A second queue for `move_task`; the harness's worker consumes it, or `start_other_worker` starts one that does."""
    levels: ClassVar[Sequence[str]] = ("next",)
    """Of `prioritise_task`: those the engine has on this broker. With all four, `normal` is what a task has by itself."""
    keeps_dead: ClassVar[bool] = False
    """Whether what failed for good stays in the queue's place `dead`."""
    is_in_order: ClassVar[bool] = True
    """Whether the engine runs what waits in the order it was enqueued, one at a time."""

    def start_other_worker(self, running: Harness) -> None:
        """A worker that consumes `other_queue`, where the one of the harness does not."""

    # -- fixtures ------------------------------------------------------------------------------------------------------
    @pytest.fixture(scope="class")
    @classmethod
    def gateway(cls) -> Iterator[Gateway]:
        gateway = Gateway()
        gateway.start()
        yield gateway
        gateway.stop()

    @pytest.fixture(scope="class")
    @classmethod
    def running(cls, gateway: Gateway, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Harness]:
        """An engine with one worker, watched and connected."""
        harness = cls.harness_class(tmp_path_factory.mktemp("operate"), gateway.url)
        try:
            harness.set_up()
            harness.start_worker()
            wait_for(lambda: worker_link(gateway), "the worker connects")
            yield harness
        finally:
            harness.tear_down()

    @pytest.fixture
    def own_gateway(self) -> Iterator[Gateway]:
        gateway = Gateway()
        gateway.start()
        yield gateway
        gateway.stop()

    @pytest.fixture
    def alone(self, own_gateway: Gateway, tmp_path: Path) -> Iterator[Harness]:
        """An engine whose worker is the test's to end."""
        harness = self.harness_class(tmp_path, own_gateway.url)
        try:
            harness.set_up()
            yield harness
        finally:
            harness.tear_down()

    # -- asking --------------------------------------------------------------------------------------------------------
    def ask(self, gateway: Gateway, running: Harness, action: str, **params: Any) -> tuple[str, dict[str, Any]]:
        """The final answer of the harness's own worker, the first that connected."""
        worker_link(gateway)
        first = next(link for link in gateway.open_links() if link.hello["role"] == "worker")
        asked = gateway.ask(first, action, running.adapter.engine, params)
        return final_answer(gateway, asked)

    def done(self, gateway: Gateway, running: Harness, action: str, **params: Any) -> dict[str, Any]:
        status, facts = self.ask(gateway, running, action, **params)
        assert status == "done", (action, status, facts, running.log("worker")[-2000:])
        return facts

    def need(self, running: Harness, *actions: str) -> None:
        missing = [action for action in actions if not is_declared(running, action)]
        if missing:
            pytest.skip(f"{running.adapter.engine} does not declare {', '.join(missing)} here, and says so to operators")

    def paused(self, gateway: Gateway, running: Harness) -> None:
        """The queue is paused and empty when this returns: what a worker had asked for already has run."""
        self.done(gateway, running, "pause_queue", queue=running.queue)
        for _ in range(PROBES):
            probe = running.enqueue("succeed", "probe")
            try:
                wait_for(partial(started, gateway, probe), "", seconds=HELD_S)
            except AssertionError:
                self.done(gateway, running, "purge_queue", queue=running.queue)
                wait_for(partial(end_of, gateway, probe), "the probe is purged")
                return
            wait_for(partial(end_of, gateway, probe), "the probe ends")
        raise AssertionError(f"{PROBES} tasks ran from a paused queue")

    def resumed(self, gateway: Gateway, running: Harness) -> None:
        self.done(gateway, running, "resume_queue", queue=running.queue)

    def waiting(self, gateway: Gateway, running: Harness, count: int, **options: Any) -> list[str]:
        """So many tasks in the paused queue, the first enqueued first."""
        tasks = [running.enqueue("succeed", number, **options) for number in range(count)]
        for task_id in tasks:
            wait_for(partial(gateway.records, task_id), "the waiting task is reported")
        return tasks

    def order(self, gateway: Gateway, running: Harness, tasks: Sequence[str]) -> list[str]:
        """The tasks as they ran after the queue was resumed."""
        self.resumed(gateway, running)
        for task_id in tasks:
            ended(gateway, task_id, running.outcomes["succeed"])
        return sorted(tasks, key=lambda task_id: started(gateway, task_id)[0].at)

    @staticmethod
    def original(gateway: Gateway, task_id: str) -> dict[str, Any]:
        """The parameters of a command that carries the original of a task."""
        payload = payload_of(gateway, task_id)
        key_id, blob = payload.rest["original"]
        assert base64.b64decode(blob)
        return {"task_id": task_id, "name": payload.name, "queue": payload.queue, "original": blob, "key_id": key_id}


def started(gateway: Gateway, task_id: str) -> list[Record]:
    return [record for record in gateway.records(task_id) if record.kind == "started"]


def end_of(gateway: Gateway, task_id: str) -> list[Record]:
    return [record for record in gateway.records(task_id) if record.kind in ENDS]
