# SPDX-License-Identifier: Apache-2.0
"""Two brokers of one engine in one process, with queues of the same name: a task is sent to its own broker again, or is refused."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
import secrets
import signal
import subprocess
import threading
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

import z4j_agent
from z4j_agent.capture.originals import Binding, close_original
from z4j_agent.conformance.assertions import final_answer, payload_of
from z4j_agent.conformance.gateway import Gateway, Link, Record
from z4j_agent.conformance.harness import Harness, wait_for

BOTH = (0, 1)


class TwoBrokers(Harness):
    """The engine twice: this process enqueues to both brokers and is monitored; `start_worker_of` runs tasks in processes of their own.

    The task `note(value)` of the queue `queue` adds a line to the file of the broker whose worker ran it (`ran`).
    """

    engine: ClassVar[str]
    watches_workers = False
    """Whether the workers report to the gateway; else only their files show what they run."""

    def connect(self, gateway: Gateway) -> None:
        """Creates both brokers and installs the adapter, with `self.options(gateway)`."""
        raise NotImplementedError

    def disconnect(self) -> None:
        """Uninstalls the adapter."""

    def options(self, gateway: Gateway) -> dict[str, Any]:
        return {"url": gateway.url, "spool": self.spool, "environment": "test", "allow": "all"}

    def send(self, which: int, value: str, *, delay_s: float = 0, task_id: str = "") -> str:
        """Enqueues `note(value)` to one of the brokers; returns the task's id."""
        raise NotImplementedError

    def start_worker_of(self, which: int) -> subprocess.Popen[bytes]:
        raise NotImplementedError

    def depth(self, which: int) -> int:
        """Number of waiting tasks in `queue`, read from the broker without the adapter."""
        raise NotImplementedError

    # -- for subclasses and the contract -------------------------------------------------------------------------------
    def ran(self, which: int) -> list[str]:
        path = self.folder / f"ran-{which}"
        return path.read_text().splitlines() if path.exists() else []

    def tear_down(self) -> None:
        """Kills the processes at once: their own end is not tested."""
        for process in self.processes:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        super().tear_down()

    def environment(self) -> dict[str, str]:
        variables = super().environment() | {"TWO_FOLDER": str(self.folder)}
        return {key: value for key, value in variables.items() if self.watches_workers or key != "Z4J_URL"}


class TwoAsyncBrokers(TwoBrokers):
    """The same for an engine of asyncio: its loop runs in a thread of its own, from `start_loop` to `stop_loop`."""

    def start_loop(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def run(self, what: Coroutine[Any, Any, Any]) -> Any:
        """Runs a coroutine in the loop and returns its result."""
        return asyncio.run_coroutine_threadsafe(what, self._loop).result(20)

    def stop_loop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()


class OwnGateway:
    """A gateway for each test."""

    @pytest.fixture
    def gateway(self) -> Iterator[Gateway]:
        gateway = Gateway()
        gateway.start()
        yield gateway
        gateway.stop()


class TwoBrokersContract(OwnGateway):
    """Subclass it with a `harness_class`; the name must begin with `Test`."""

    harness_class: ClassVar[type[TwoBrokers]]
    can: ClassVar[frozenset[str]] = frozenset({"cancel_task", "prioritise_task", "peek_queue", "purge_queue"})
    """Actions of the engine on a waiting task in its broker."""

    @pytest.fixture
    def two(self, gateway: Gateway, tmp_path: Path) -> Iterator[TwoBrokers]:
        two = self.harness_class(tmp_path, gateway.url)
        try:
            two.set_up()
            two.connect(gateway)
            yield two
        finally:
            two.disconnect()
            z4j_agent.stop()
            two.tear_down()

    # -- requests-----------------------------------------------------------------------------------------------------
    def ask(self, gateway: Gateway, two: TwoBrokers, action: str, **params: Any) -> tuple[str, dict[str, Any]]:
        return final_answer(gateway, gateway.ask(self.link(gateway), action, two.engine, params))

    @staticmethod
    def link(gateway: Gateway) -> Link:
        return wait_for(gateway.open_links, "the process is connected")[-1]

    @staticmethod
    def again(gateway: Gateway, task_id: str) -> dict[str, Any]:
        """The parameters of a command that enqueues this task again."""
        payload = payload_of(gateway, task_id)
        key_id, blob = payload.rest["original"]
        new_id = f"{secrets.token_hex(4)}-0000-4000-8000-{secrets.token_hex(6)}"
        params = {"task_id": task_id, "name": payload.name, "queue": payload.queue}
        return params | {"original": blob, "key_id": key_id, "new_id": new_id}

    @staticmethod
    def closed(engine: str, payload: Record, args: list[Any], broker: str) -> str:
        """An original of that task, as the application's own agent makes it in a process with this broker."""
        agent = z4j_agent.current()
        assert agent is not None
        binding = Binding(engine, payload.task_id, agent.settings.environment, payload.name, payload.queue, broker)
        closed, _ = close_original({"args": args, "kwargs": {}}, binding, is_masked=False, key=agent.settings.seal_key)
        assert closed is not None
        return base64.b64encode(closed[1]).decode()

    def brokers(self, gateway: Gateway, two: TwoBrokers) -> list[str]:
        """The identities of both, as they were reported with a task of each."""
        names = [str(payload_of(gateway, two.send(which, "name")).rest["broker"]) for which in BOTH]
        assert len(set(names)) == 2, names
        assert all(names), names
        return names

    # -- the contract --------------------------------------------------------------------------------------------------
    @pytest.mark.parametrize(("action", "which"), [("retry_task", 0), ("retry_task", 1), ("edit_task", 1), ("restore_task", 1)])
    def test_a_task_goes_back_to_its_broker_and_its_worker_runs_it(
        self, gateway: Gateway, two: TwoBrokers, which: int, action: str
    ) -> None:
        tasks = [two.send(each, f"of {each}") for each in BOTH]
        params = self.again(gateway, tasks[which])
        if action == "edit_task":
            params["edit"] = {"args": {"0": "edited"}}
        status, facts = self.ask(gateway, two, action, **params)
        assert status == "done", facts
        assert [two.depth(each) for each in BOTH] == [1 + (which == 0), 1 + (which == 1)]
        two.start_worker_of(which)
        again = "edited" if action == "edit_task" else f"of {which}"
        wait_for(lambda: sorted(two.ran(which)) == sorted([f"of {which}", again]), "the worker of its broker runs it", seconds=40)
        assert two.ran(1 - which) == []
        assert two.depth(1 - which) == 1

    def test_an_original_of_a_broker_this_process_does_not_have_is_refused(self, gateway: Gateway, two: TwoBrokers) -> None:
        task_id = two.send(0, "first")
        params, payload = self.again(gateway, task_id), payload_of(gateway, task_id)
        blob = self.closed(two.engine, payload, ["elsewhere"], "redis://elsewhere.internal:6379/0")
        status, facts = self.ask(gateway, two, "retry_task", **{**params, "original": blob})
        assert (status, facts.get("check")) == ("refused", "broker.unknown"), facts
        assert [two.depth(each) for each in BOTH] == [1, 0]

    def test_an_original_that_names_no_broker_is_not_sent_to_either(self, gateway: Gateway, two: TwoBrokers) -> None:
        task_id = two.send(0, "first")
        two.send(1, "first")
        params, payload = self.again(gateway, task_id), payload_of(gateway, task_id)
        blob = self.closed(two.engine, payload, ["anywhere"], "")
        status, facts = self.ask(gateway, two, "retry_task", **{**params, "original": blob})
        assert (status, facts.get("check")) == ("refused", "broker.unknown"), facts
        assert [two.depth(each) for each in BOTH] == [1, 1]

    @pytest.mark.parametrize("which", BOTH)
    def test_a_waiting_task_is_found_in_its_own_broker(self, gateway: Gateway, two: TwoBrokers, which: int) -> None:
        names = self.brokers(gateway, two)
        task_id = two.send(which, "waits")
        if "prioritise_task" in self.can:
            status, facts = self.ask(gateway, two, "prioritise_task", task_id=task_id, level="next", broker=names[1 - which])
            assert status == "refused", facts
            status, facts = self.ask(gateway, two, "prioritise_task", task_id=task_id, level="next", broker=names[which])
            assert status == "done", facts
        for broker in (names[which], ""):
            status, facts = self.ask(gateway, two, "lookup_task", task_id=task_id, broker=broker)
            assert (status, facts.get("state")) == ("done", "queued"), facts
        if "cancel_task" in self.can:
            status, facts = self.ask(gateway, two, "cancel_task", task_id=task_id)  # the server does not have the broker
            assert status == "done", facts
        for each in BOTH:
            two.start_worker_of(each)
            wait_for(lambda each=each: "name" in two.ran(each), "the waiting task there runs", seconds=40)  # type: ignore[misc]
        if "cancel_task" in self.can:
            assert all("waits" not in two.ran(each) for each in BOTH)
        else:
            wait_for(lambda: "waits" in two.ran(which), "it runs", seconds=40)

    def test_a_queue_is_looked_into_and_emptied_in_the_broker_that_is_named(self, gateway: Gateway, two: TwoBrokers) -> None:
        names = self.brokers(gateway, two)
        task_id = two.send(1, "waits")
        if "peek_queue" in self.can:
            status, facts = self.ask(gateway, two, "peek_queue", queue=two.queue, place="waiting", broker=names[1])
            assert status == "done", facts
            assert task_id in [task["task_id"] for task in facts["tasks"]]
            status, facts = self.ask(gateway, two, "peek_queue", queue=two.queue, place="waiting", broker=names[0])
            assert task_id not in [task["task_id"] for task in facts["tasks"]]
            assert len(facts["tasks"]) == 1
            status, facts = self.ask(gateway, two, "peek_queue", queue=two.queue, place="waiting")
            assert (status, facts.get("check")) == ("refused", "broker.unknown"), facts
        status, facts = self.ask(gateway, two, "purge_queue", queue=two.queue, place="waiting")
        assert (status, facts.get("check")) == ("refused", "broker.unknown"), facts
        assert [two.depth(each) for each in BOTH] == [1, 2]
        status, facts = self.ask(gateway, two, "purge_queue", queue=two.queue, place="waiting", broker=names[1])
        assert (status, facts.get("tasks")) == ("done", 2), facts
        assert [two.depth(each) for each in BOTH] == [1, 0]

    def test_the_depth_of_both_is_reported_with_the_broker(self, gateway: Gateway, two: TwoBrokers) -> None:
        names = self.brokers(gateway, two)
        two.send(1, "second")
        agent = z4j_agent.current()
        assert agent is not None
        depths = {(queue.broker, queue.name): queue.depth for queue in agent.adapters[0].list_queues()}
        assert {name: depths.get((name, two.queue)) for name in names} == {names[0]: 1, names[1]: 2}, depths
        assert all(agent.adapters[0].brokers()[name] for name in names), "each has the fingerprint of its server"


class KnownToBothContract(TwoBrokersContract):
    """For an engine whose brokers both have the task `note`: running it by its name requires the broker."""

    def test_a_task_that_both_know_is_run_where_the_command_says(self, gateway: Gateway, two: TwoBrokers) -> None:
        names = self.brokers(gateway, two)
        params = {"name": "note", "args": ["asked"], "kwargs": {}, "queue": two.queue, "new_id": "8d5b4ad2-4c0c-4a3b-9d5e-0123456789ab"}
        status, facts = self.ask(gateway, two, "run_task", **params)
        assert (status, facts.get("check")) == ("refused", "broker.unknown"), facts
        status, facts = self.ask(gateway, two, "run_task", **params, broker=names[1])
        assert status == "done", facts
        assert [two.depth(which) for which in BOTH] == [1, 2]
