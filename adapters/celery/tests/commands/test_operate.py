# SPDX-License-Identifier: Apache-2.0
"""What operators may ask of Celery, proved by what its own workers then do: on Redis and on RabbitMQ."""

from __future__ import annotations

import base64
import json
import pickle
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest
from test_conformance import CeleryHarness

from z4j_agent.conformance import FailuresContract, Harness, OperateContract, Outcome, wait_for
from z4j_agent.conformance.assertions import ended
from z4j_agent.conformance.brokers.rabbitmq import start_rabbitmq
from z4j_agent.conformance.gateway import Gateway
from z4j_agent.conformance.operations import OperationsBase, new_id


class OneHarness(CeleryHarness):
    """One child, one message fetched in advance, so that the order of execution is the order of the queue."""

    pool: ClassVar[tuple[str, ...]] = ("--pool", "prefork", "--concurrency", "1")

    def environment(self) -> dict[str, str]:
        return super().environment() | {"HIGHEST": ""}

    def start(self, name: str, command: Sequence[str | Path], **more: Any) -> subprocess.Popen[bytes]:
        """By the `celery` command: the one that can begin itself anew."""
        words = [str(word) for word in command]
        if words[1:3] == ["-m", "celery"]:
            words = [str(Path(sys.executable).with_name("celery")), *words[3:]]
        return super().start(name, words, **more)

    def start_other(self) -> None:
        celery = [sys.executable, "-m", "celery", "-A", "engine_app", "worker", "--loglevel", "INFO", "-Q", "other", "-n", "other@test"]
        self.start("other-worker", [*celery, *self.pool], cwd=self.folder)
        wait_for(lambda: " ready." in self.log("other-worker"), "the other worker is ready", seconds=30)


class CeleryContract(OperateContract):
    """With what Celery alone has."""

    other_queue: ClassVar[str] = "other"

    def start_other_worker(self, running: Harness) -> None:
        assert isinstance(running, OneHarness)
        running.start_other()

    def test_a_pickle_that_was_not_sealed_is_not_handed_to_a_worker(self, gateway: Gateway, running: Harness) -> None:
        """Whoever reaches the server could have made it, and reading it runs code."""
        content = {
            "body64": base64.b64encode(pickle.dumps(((), {}, {}))).decode(),
            "type": "application/x-python-serialize",
            "encoding": "binary",
        }
        original = base64.b64encode(b"\x00" + json.dumps(content).encode()).decode()
        for action in ("retry_task", "restore_task", "edit_task"):
            id = new_id()
            params = {"task_id": "t", "name": running.name_of("succeed"), "queue": "work", "original": original, "new_id": id, "edit": {}}
            status, facts = self.ask(gateway, running, action, **params)
            assert (status, facts["check"]) == ("refused", "original.proof"), action
            assert gateway.records(id) == []

    def test_a_worker_grows_and_shrinks(self, gateway: Gateway, running: Harness) -> None:
        assert self.done(gateway, running, "resize_worker", by=2)["concurrency"] == 3
        wait_for(lambda: self.ask(gateway, running, "resize_worker", by=-2) == ("done", {"concurrency": 1}), "the new ones are up, and go")
        status, facts = self.ask(gateway, running, "resize_worker", by=-1)
        assert (status, "at least one" in facts["error"]) == ("refused", True)

    def test_a_worker_leaves_a_queue_and_comes_back(self, gateway: Gateway, running: Harness) -> None:
        self.done(gateway, running, "leave_queue", queue="work")
        wait_for(lambda: "Canceling queue work" in running.log("worker"), "it leaves")
        self.done(gateway, running, "consume_queue", queue="work")
        task_id = running.enqueue("succeed", "back again")
        ended(gateway, task_id, running.outcomes["succeed"])
        for action in ("leave_queue", "pause_queue", "consume_queue"):
            assert self.ask(gateway, running, action, queue="nowhere")[0] == "refused"

    def test_limits_of_a_name(self, gateway: Gateway, running: Harness) -> None:
        self.done(gateway, running, "limit_name", name=running.name_of("wait"), hard_s=1)
        task_id = running.enqueue("wait", 20)
        end = wait_for(lambda: [r for r in gateway.records(task_id) if r.kind == "failed"], "it hits its new limit", seconds=30)
        assert end[0].rest["reason"] == "time_limit"
        self.done(gateway, running, "limit_name", name=running.name_of("wait"), hard_s=0)
        self.done(gateway, running, "limit_name", name=running.name_of("succeed"), rate="10/m")
        self.done(gateway, running, "limit_name", name=running.name_of("succeed"), rate="0")
        assert self.ask(gateway, running, "limit_name", name=running.name_of("succeed"), rate="often")[0] == "refused"
        assert self.ask(gateway, running, "limit_name", name="nobody.knows", rate="1/m")[0] == "refused"

    def test_a_pause_outlives_the_worker(self, alone: Harness, own_gateway: Gateway) -> None:
        worker = alone.start_worker()
        self.done(own_gateway, alone, "pause_queue", queue="work")
        worker.terminate()
        assert worker.wait(30) == 0
        alone.start_worker()
        wait_for(lambda: "Canceling queue work" in alone.log("worker").rpartition(" ready.")[2], "the next one pauses it, too")
        task_id = alone.enqueue("succeed", 1)
        time.sleep(2)
        assert [r for r in own_gateway.records(task_id) if r.kind == "started"] == []
        self.done(own_gateway, alone, "resume_queue", queue="work")
        ended(own_gateway, task_id, alone.outcomes["succeed"])


class TestRedis(CeleryContract):
    harness_class = OneHarness
    levels: ClassVar[Sequence[str]] = ("next", "low")

    def test_a_message_is_delivered_again_as_it_was(self, gateway: Gateway, running: Harness) -> None:
        """Its priority, its expiry, how it is kept and where it is answered, also with other arguments."""
        task_id = running.enqueue("delivered", 1, priority=9, expires=600, delivery_mode=1, reply_to="answers")
        outcome = Outcome("succeeded")
        first = json.loads(ended(gateway, task_id, outcome)[-1].rest["result"])
        assert (first["priority"], first["delivery_mode"], first["reply_to"]) == (9, 1, "answers")
        for action in ("retry_task", "restore_task", "edit_task"):
            id = new_id()
            self.done(gateway, running, action, **self.original(gateway, task_id), new_id=id, edit={"args": {"0": 2}})
            assert json.loads(ended(gateway, id, outcome)[-1].rest["result"]) == first, action

    def test_an_edit_keeps_dates_uuids_and_decimals(self, gateway: Gateway, running: Harness) -> None:
        typed = [("date", "2026-01-31"), ("datetime", "2026-01-31T09:30:00"), ("uuid", {"hex": "0b6f3e1c8d0a4a539a533c1f5d2e7a10"})]
        values = [{"__type__": name, "__value__": value} for name, value in [*typed, ("decimal", "12.50")]]
        task_id, outcome = running.enqueue("kinds", *values), Outcome("succeeded")
        first = json.loads(ended(gateway, task_id, outcome)[-1].rest["result"])
        assert [text.partition(" ")[0] for text in first] == ["date", "datetime", "UUID", "Decimal"]
        id = new_id()
        edit = {"args": {"0": "2026-02-01", "3": "13.10"}}
        self.done(gateway, running, "edit_task", **self.original(gateway, task_id), new_id=id, edit=edit)
        changed = json.loads(ended(gateway, id, outcome)[-1].rest["result"])
        assert changed == ["date 2026-02-01", *first[1:3], "Decimal 13.10"]
        soon = {"args": {"0": "soon"}}
        status, facts = self.ask(gateway, running, "edit_task", **self.original(gateway, task_id), new_id=new_id(), edit=soon)
        assert (status, facts["check"]) == ("refused", "arguments.type")
        assert "2026-01-31" in facts["error"]


class SoloHarness(OneHarness):
    pool: ClassVar[tuple[str, ...]] = ("--pool", "solo")


class TestBusy(OperationsBase):
    """A worker whose own thread is busy with a task carries out nothing before that has ended."""

    harness_class = SoloHarness

    def test_queues_are_left_and_consumed_in_the_order_of_the_commands(self, gateway: Gateway, running: Harness) -> None:
        busy = running.enqueue("wait", 2)
        wait_for(lambda: [r for r in gateway.records(busy) if r.kind == "started"], "it is busy")
        for action in ("leave_queue", "consume_queue", "pause_queue", "resume_queue") * 2:
            self.done(gateway, running, action, queue="work")
        ended(gateway, running.enqueue("succeed", 1), running.outcomes["succeed"])
        assert running.log("worker").count("Canceling queue work") == 4


class GreenHarness(OneHarness):
    pool: ClassVar[tuple[str, ...]] = ("--pool", "gevent", "--concurrency", "1")


class TestGevent(CeleryContract):
    """Greenlets hold what is delayed in a timer of their own."""

    harness_class = GreenHarness
    essentials: ClassVar[Sequence[str]] = ("test_a_worker_grows_and_shrinks", "test_a_worker_leaves_a_queue_and_comes_back")
    """What a greenlet of the worker must not wait for."""
    levels: ClassVar[Sequence[str]] = ("next", "low")


class RabbitHarness(OneHarness):
    """Queues that know priorities, and results in files: RabbitMQ keeps none that can be asked for."""

    port: ClassVar[int] = 0
    free: ClassVar[list[str]] = []

    def set_up(self) -> None:
        """The broker is the class's, and each harness has a part of it for itself."""
        self.vhost = self.free.pop()

    def environment(self) -> dict[str, str]:
        url = f"amqp://guest:guest@127.0.0.1:{self.port}/{self.vhost}"
        return super().environment() | {"BROKER_URL": url, "RESULTS_URL": f"file://{self.folder}", "HIGHEST": "10"}


@pytest.mark.rabbitmq
class TestRabbitmq(CeleryContract):
    harness_class = RabbitHarness
    essentials: ClassVar[Sequence[str]] = (
        "test_shows_what_waits_in_its_order",
        "test_a_purge_is_told_and_can_be_put_back_in_order",
        "test_a_task_moves_to_another_queue",
        "test_next_is_before_high",
    )
    """What RabbitMQ does otherwise than Redis."""
    levels: ClassVar[Sequence[str]] = ("next", "high")

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def node(cls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
        holder = Harness(tmp_path_factory.mktemp("rabbitmq"), "")
        try:
            RabbitHarness.free = [f"part{number}" for number in range(8)]
            RabbitHarness.port = start_rabbitmq(holder, vhosts=RabbitHarness.free)
            yield
        finally:
            holder.tear_down()


class TestFailures(FailuresContract):
    harness_class = OneHarness
    other_queue: ClassVar[str] = "other"
