# SPDX-License-Identifier: Apache-2.0
"""Queues that only a producer knows, and keys of Redis that lie elsewhere: what was not searched is unknown, never "not there"."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from test_operate import OneHarness

from z4j_agent.conformance import wait_for
from z4j_agent.conformance.gateway import Gateway, Link


class PrefixedHarness(OneHarness):
    """Every key has a prefix, priorities another separator and steps of their own."""

    def environment(self) -> dict[str, str]:
        return super().environment() | {"PREFIXED": "1"}


class Scene:
    def __init__(self, gateway: Gateway, harness: OneHarness) -> None:
        self.gateway, self.harness = gateway, harness

    def link(self) -> Link:
        links = self.gateway.open_links
        return wait_for(lambda: [link for link in links() if link.hello.get("worker") == "w1@test"], "the worker connects")[0]

    def ask(self, action: str, **params: Any) -> tuple[str, dict[str, Any]]:
        command, answers = self.gateway.ask(self.link(), action, "celery", params), self.gateway.answers
        return wait_for(lambda: [answer for answer in answers(command) if answer[0] != "accepted"], f"an answer to {action}")[0]

    def done(self, action: str, **params: Any) -> dict[str, Any]:
        status, facts = self.ask(action, **params)
        assert status == "done", facts
        return facts

    def refused(self, action: str, **params: Any) -> dict[str, Any]:
        status, facts = self.ask(action, **params)
        assert status == "refused", facts
        return facts

    def send(self, queue: str) -> str:
        task_id = self.harness.enqueue("succeed", queue, queue=queue)
        wait_for(lambda: self.gateway.queue_proof("celery", queue), f"the producer proves {queue}", seconds=40)
        return task_id

    def waiting(self, queue: str) -> list[str]:
        return [task["task_id"] for task in self.done("peek_queue", queue=queue)["tasks"]]

    def has_ended(self, task_id: str) -> bool:
        return any(record.kind == "succeeded" for record in self.gateway.records(task_id))


@pytest.fixture(scope="module", params=[OneHarness, PrefixedHarness], ids=["plain", "prefixed"])
def scene(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    gateway = Gateway()
    gateway.start()
    harness = request.param(tmp_path_factory.mktemp("queues"), gateway.url)
    try:
        harness.set_up()
        harness.start_worker()
        yield Scene(gateway, harness)
    finally:
        harness.tear_down()
        gateway.stop()


def test_a_task_in_a_queue_that_only_its_producer_knows(scene: Scene) -> None:
    first, second = scene.send("reports"), scene.send("reports")
    scene.done("prioritise_task", task_id=second, level="next", queue="reports")
    assert scene.waiting("reports") == [second, first]
    scene.done("move_task", task_id=second, queue="other", from_queue="reports")
    scene.done("prioritise_task", task_id=second, level="next", queue="other")  # at once: where it was seen before does not count
    assert scene.waiting("other") == [second]
    scene.done("move_task", task_id=second, queue="work", from_queue="other")
    wait_for(lambda: scene.has_ended(second), "it runs")
    assert scene.done("purge_queue", queue="reports", place="waiting")["tasks"] == 1


def test_what_was_not_looked_into_is_unknown(scene: Scene) -> None:
    task_id = scene.send("reports")
    facts = scene.refused("prioritise_task", task_id=task_id, level="next")
    assert facts["check"] == "task.not_found"
    assert "other, work" in facts["error"]
    assert "unknown" in facts["error"]
    assert "fetched" not in facts["error"]
    facts = scene.refused("prioritise_task", task_id=str(uuid.uuid4()), level="next", queue="reports")
    assert facts["check"] == "task.not_waiting"
    assert scene.waiting("reports") == [task_id]
    scene.done("purge_queue", queue="reports", place="waiting")


def test_a_waiting_task_is_looked_up_and_counted(scene: Scene) -> None:
    """Also where each key has a prefix: kombu's own count looks without it, and finds none."""
    task_id = scene.harness.enqueue("succeed", "x", queue="other")
    wait_for(lambda: task_id in scene.waiting("other"), "it waits")
    assert scene.done("lookup_task", task_id=task_id)["state"] == "queued"

    def depth() -> list[int]:
        reported = [beat.get("queues") or [] for link in scene.gateway.links for beat in link.heartbeats]
        return [depth for queues in reported for _, name, depth, *_ in queues if name == "other" and depth]

    assert wait_for(depth, "its depth is reported", seconds=40)[-1] == 1
    scene.done("purge_queue", queue="other", place="waiting")
