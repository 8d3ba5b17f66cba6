# SPDX-License-Identifier: Apache-2.0
"""What an adapter that lets operators act must do, as pytest tests against the engine's own worker and broker.

Every test requests what the adapter declares and proves it by what the engine then does; what is not declared is not tested here. The
worker of the harness takes one task at a time, so that the order of execution is the order of the queue.
"""

from __future__ import annotations

import base64
import secrets
import time
from collections.abc import Sequence
from functools import partial
from typing import Any, ClassVar

import pytest

from z4j_agent.conformance.assertions import ENDS, ended, final_answer, is_declared, payload_of, proof_of, worker_link
from z4j_agent.conformance.gateway import Gateway, Record
from z4j_agent.conformance.harness import PATIENCE_S, Harness, happens, wait_for
from z4j_agent.conformance.harness_fixtures import HarnessFixtures

NOT_STARTED_S = 1.5
"""Seconds after which a task that has not started is waiting."""
PROBES = 6


def new_id() -> str:
    return f"{secrets.token_hex(4)}-0000-4000-8000-{secrets.token_hex(6)}"


def started(gateway: Gateway, task_id: str) -> list[Record]:
    return [record for record in gateway.records(task_id) if record.kind == "started"]


def end_of(gateway: Gateway, task_id: str) -> list[Record]:
    return [record for record in gateway.records(task_id) if record.kind in ENDS]


class OperationsBase(HarnessFixtures):
    """What the contracts of operations share: a watched worker, its results, and a paused queue."""

    other_queue: ClassVar[str] = ""
    """A second queue for `move_task`; the harness's worker consumes it, or `start_other_worker` starts one that does."""
    levels: ClassVar[Sequence[str]] = ("next",)
    """Levels of `prioritise_task` that the engine supports on this broker. With all four, `normal` is the default of a task."""
    keeps_dead: ClassVar[bool] = False
    """Whether tasks that failed permanently stay in the section `dead` of the queue."""
    is_in_order: ClassVar[bool] = True
    """Whether the engine runs queued tasks in the order of their enqueueing, one at a time."""

    def start_other_worker(self, running: Harness) -> None:
        """Starts a worker that consumes `other_queue`, if the one of the harness does not."""

    # -- requests-----------------------------------------------------------------------------------------------------
    def ask(self, gateway: Gateway, running: Harness, action: str, **params: Any) -> tuple[str, dict[str, Any]]:
        """The final answer of the harness's own worker, the first that connected."""
        worker_link(gateway)
        first = next(link for link in gateway.open_links() if link.hello["role"] == "worker")
        command_id = gateway.ask(first, action, running.adapter.engine, params)
        return final_answer(gateway, command_id)

    def done(self, gateway: Gateway, running: Harness, action: str, **params: Any) -> dict[str, Any]:
        status, facts = self.ask(gateway, running, action, **params)
        assert status == "done", (action, status, facts, running.log("worker")[-2000:])
        return facts

    def need(self, running: Harness, *actions: str) -> None:
        missing = [action for action in actions if not is_declared(running, action)]
        if missing:
            pytest.skip(f"{running.adapter.engine} does not declare {', '.join(missing)} here, and operators are not offered it")

    def paused(self, gateway: Gateway, running: Harness) -> None:
        """Pauses the queue and returns when it is empty: a worker may still run a task that it had requested before."""
        self.done(gateway, running, "pause_queue", queue=running.queue)
        for _ in range(PROBES):
            probe = running.enqueue("succeed", "probe")
            if not happens(partial(started, gateway, probe), seconds=NOT_STARTED_S):
                self.done(gateway, running, "purge_queue", queue=running.queue)
                wait_for(partial(end_of, gateway, probe), "the probe is purged")
                return
            wait_for(partial(end_of, gateway, probe), "the probe ends")
        raise AssertionError(f"{PROBES} tasks ran from a paused queue")

    def resumed(self, gateway: Gateway, running: Harness) -> None:
        self.done(gateway, running, "resume_queue", queue=running.queue)

    def waiting(self, gateway: Gateway, running: Harness, count: int, **options: Any) -> list[str]:
        """Enqueues that many tasks to the paused queue. Returns their IDs in order."""
        tasks = [running.enqueue("succeed", number, **options) for number in range(count)]
        for task_id in tasks:
            wait_for(partial(gateway.records, task_id), "the waiting task is reported")
        return tasks

    def order(self, gateway: Gateway, running: Harness, tasks: Sequence[str]) -> list[str]:
        """Resumes the queue. Returns the tasks in the order in which they ran."""
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


class OperateContract(OperationsBase):
    """Subclass it with a `harness_class`; the name must begin with `Test`."""

    # -- tasks ---------------------------------------------------------------------------------------------------------
    def test_runs_a_task_by_its_name(self, gateway: Gateway, running: Harness) -> None:
        self.need(running, "run_task")
        id = new_id()
        facts = self.done(gateway, running, "run_task", name=running.name_of("succeed"), args=["by name"], kwargs={}, new_id=id)
        assert facts["task_id"] == id
        records = ended(gateway, id, running.outcomes["succeed"])
        assert records[-1].rest["result"] == '"by name"'
        assert payload_of(gateway, id).rest["original_state"] == "plain"

    def test_runs_again_with_other_arguments(self, gateway: Gateway, running: Harness) -> None:
        self.need(running, "edit_task")
        first = running.enqueue("fail", "before")
        ended(gateway, first, running.outcomes["fail"])
        id = new_id()
        self.done(gateway, running, "edit_task", **self.original(gateway, first), new_id=id, edit={"args": {"0": "after"}})
        again = ended(gateway, id, running.outcomes["fail"])
        assert again[-1].rest["error"] == "after"
        assert any(record.meta.get("retry_of") == first for record in again)

    def test_an_edit_keeps_what_is_masked(self, gateway: Gateway, running: Harness) -> None:
        self.need(running, "edit_task")
        secret = f"hunter-{secrets.token_hex(8)}"
        first = running.enqueue("secret", user="eve", password=secret)
        ended(gateway, first, running.outcomes["secret"])
        id = new_id()
        edit = {"kwargs": {"user": "adam", "password": "•••"}}
        self.done(gateway, running, "edit_task", **self.original(gateway, first), new_id=id, edit=edit)
        result = ended(gateway, id, running.outcomes["secret"])[-1].rest["result"]
        assert proof_of(secret) in result
        assert "adam" in result
        assert secret.encode() not in b"".join(gateway.raw)

    def test_an_edit_that_does_not_fit_is_refused(self, gateway: Gateway, running: Harness) -> None:
        self.need(running, "edit_task")
        first = running.enqueue("succeed", 1)
        ended(gateway, first, running.outcomes["succeed"])
        status, facts = self.ask(
            gateway, running, "edit_task", **self.original(gateway, first), new_id=new_id(), edit={"args": {"7": "far away"}}
        )
        assert (status, "position 8" in facts["error"]) == ("refused", True)

    def test_a_delayed_task_runs_now(self, gateway: Gateway, running: Harness) -> None:
        self.need(running, "release_task")
        task_id = running.enqueue("succeed", "soon", delay_s=600)
        wait_for(lambda: gateway.records(task_id), "the delayed task is reported")
        time.sleep(0.5)  # an engine may have it in its worker's memory by now, and must find it there too
        self.done(gateway, running, "release_task", task_id=task_id)
        end = wait_for(lambda: end_of(gateway, task_id), "it runs at once")
        assert end[0].kind == "succeeded"
        assert len(started(gateway, task_id)) == 1

    def test_what_is_not_there_is_refused(self, gateway: Gateway, running: Harness) -> None:
        calls = {"release_task": {}, "move_task": {"queue": self.other_queue or "elsewhere"}, "prioritise_task": {"level": "next"}}
        for action, params in calls.items():
            if is_declared(running, action):
                status, facts = self.ask(gateway, running, action, task_id="no-such-task", **params)
                assert status == "refused", (action, facts)
                assert facts["error"]

    def test_looks_a_task_up(self, gateway: Gateway, running: Harness) -> None:
        self.need(running, "lookup_task")
        task_id = running.enqueue("succeed", 1)
        ended(gateway, task_id, running.outcomes["succeed"])
        assert self.done(gateway, running, "lookup_task", task_id=task_id)["state"] in ("succeeded", "unknown")
        assert self.done(gateway, running, "lookup_task", task_id="no-such-task")["state"] == "unknown"

    # -- queues --------------------------------------------------------------------------------------------------------
    def test_a_paused_queue_waits_and_goes_on(self, gateway: Gateway, running: Harness) -> None:
        self.need(running, "pause_queue", "resume_queue", "purge_queue")
        self.paused(gateway, running)
        self.done(gateway, running, "pause_queue", queue=running.queue)  # a second pause changes nothing
        tasks = self.waiting(gateway, running, 3)
        time.sleep(NOT_STARTED_S)
        assert not [task_id for task_id in tasks if started(gateway, task_id)]
        ran = self.order(gateway, running, tasks)
        assert not self.is_in_order or ran == tasks

    def test_shows_what_waits_in_its_order(self, gateway: Gateway, running: Harness) -> None:
        self.need(running, "peek_queue", "pause_queue")
        self.paused(gateway, running)
        tasks = self.waiting(gateway, running, 3)
        facts = self.done(gateway, running, "peek_queue", queue=running.queue, place="waiting", limit=10)
        shown = facts["tasks"]
        assert {task["name"] for task in shown} == {running.name_of("succeed")}
        ids = [task["task_id"] for task in shown]
        self.resumed(gateway, running)
        for task_id in tasks:
            ended(gateway, task_id, running.outcomes["succeed"])
        assert ids == tasks if self.is_in_order else sorted(ids) == sorted(tasks)

    def test_what_is_shown_is_masked(self, gateway: Gateway, running: Harness) -> None:
        self.need(running, "peek_queue", "pause_queue")
        self.paused(gateway, running)
        secret = f"hunter-{secrets.token_hex(8)}"
        task_id = running.enqueue("secret", user="eve", password=secret)
        wait_for(lambda: gateway.records(task_id), "the waiting task is reported")
        shown = self.done(gateway, running, "peek_queue", queue=running.queue, place="waiting", limit=10)["tasks"]
        assert [task["task_id"] for task in shown] == [task_id]
        assert secret not in str(shown)
        self.resumed(gateway, running)
        ended(gateway, task_id, running.outcomes["secret"])
        assert secret.encode() not in b"".join(gateway.raw)

    def test_a_waiting_task_is_cancelled_and_the_others_run(self, gateway: Gateway, running: Harness) -> None:
        self.need(running, "cancel_task", "pause_queue")
        self.paused(gateway, running)
        tasks = self.waiting(gateway, running, 3)
        self.done(gateway, running, "cancel_task", task_id=tasks[1])
        self.resumed(gateway, running)
        for task_id in (tasks[0], tasks[2]):
            ended(gateway, task_id, running.outcomes["succeed"])
        assert wait_for(lambda: end_of(gateway, tasks[1]), "the engine reports it")[0].kind == "cancelled"
        assert not started(gateway, tasks[1])

    def test_a_purge_is_told_and_can_be_put_back_in_order(self, gateway: Gateway, running: Harness) -> None:
        self.need(running, "purge_queue", "pause_queue", "restore_task")
        self.paused(gateway, running)
        tasks = self.waiting(gateway, running, 5)
        assert self.done(gateway, running, "purge_queue", queue=running.queue, place="waiting")["tasks"] == len(tasks)
        ends = [wait_for(partial(end_of, gateway, task_id), "the purged task is reported")[0] for task_id in tasks]
        assert {(end.kind, end.rest["reason"]) for end in ends} == {("cancelled", "purged")}
        purged = [end.task_id for end in sorted(ends, key=lambda end: gateway.records().index(end))]
        assert not self.is_in_order or purged == tasks
        again = []
        for task_id in purged:
            id = new_id()
            self.done(gateway, running, "restore_task", **self.original(gateway, task_id), new_id=id)
            again.append(id)
        assert not [task_id for task_id in tasks if started(gateway, task_id)]
        ran = self.order(gateway, running, again)
        assert not self.is_in_order or ran == again

    def test_a_task_moves_to_another_queue(self, gateway: Gateway, running: Harness) -> None:
        self.need(running, "move_task", "pause_queue")
        self.paused(gateway, running)
        tasks = self.waiting(gateway, running, 2)
        self.start_other_worker(running)
        wait_for(lambda: gateway.queue_proof(running.adapter.engine, self.other_queue), "the other queue is reported")
        self.done(gateway, running, "move_task", task_id=tasks[1], queue=self.other_queue)
        end = wait_for(lambda: end_of(gateway, tasks[1]), "it runs from the other queue")
        assert end[0].kind == "succeeded"
        moved = [record for record in gateway.records(tasks[1]) if record.kind == "moved"]
        assert [record.queue for record in moved] == [self.other_queue]
        assert not started(gateway, tasks[0])
        self.order(gateway, running, tasks[:1])
        assert len(started(gateway, tasks[1])) == 1

    @pytest.mark.parametrize("level", ["next", "high", "low"])
    def test_a_task_gets_another_place(self, gateway: Gateway, running: Harness, level: str) -> None:
        self.need(running, "prioritise_task", "pause_queue")
        if level not in self.levels:
            status, facts = self.ask(gateway, running, "prioritise_task", task_id="any", level=level)
            assert (status, bool(facts["error"])) == ("refused", True)
            return
        self.paused(gateway, running)
        tasks = self.waiting(gateway, running, 4)
        chosen = 1 if level == "low" else 2
        self.done(gateway, running, "prioritise_task", task_id=tasks[chosen], level=level)
        rest = [task_id for task_id in tasks if task_id != tasks[chosen]]
        assert self.order(gateway, running, tasks) == ([*rest, tasks[chosen]] if level == "low" else [tasks[chosen], *rest])

    def test_next_is_before_high(self, gateway: Gateway, running: Harness) -> None:
        self.need(running, "prioritise_task", "pause_queue")
        if not self.levels:
            pytest.skip("this broker only has the order of sending, and refuses the action")
        self.paused(gateway, running)
        tasks = self.waiting(gateway, running, 3)
        self.done(gateway, running, "prioritise_task", task_id=tasks[1], level="high" if "high" in self.levels else "next")
        self.done(gateway, running, "prioritise_task", task_id=tasks[2], level="next")
        assert self.order(gateway, running, tasks) == [tasks[2], tasks[1], tasks[0]]

    def test_the_dead_are_shown_and_deleted(self, gateway: Gateway, running: Harness) -> None:
        if not self.keeps_dead:
            pytest.skip(f"{running.adapter.engine} stores no failed tasks in a queue here")
        task_id = running.enqueue("fail", "dead")
        ended(gateway, task_id, running.outcomes["fail"])

        def dead() -> list[str]:
            shown = self.done(gateway, running, "peek_queue", queue=running.queue, place="dead", limit=200)["tasks"]
            return [task["task_id"] for task in shown]

        wait_for(lambda: task_id in dead(), "it is in the section dead")
        assert self.done(gateway, running, "purge_queue", queue=running.queue, place="dead")["tasks"] >= 1
        assert dead() == []

    # -- workers -------------------------------------------------------------------------------------------------------
    def test_a_worker_ends_when_it_has_finished(self, alone: Harness, own_gateway: Gateway) -> None:
        self.need(alone, "shutdown_worker")
        worker = alone.start_worker()
        link = worker_link(own_gateway)
        task_id = alone.enqueue("wait", 1.5)
        wait_for(lambda: started(own_gateway, task_id), "it runs")
        command_id = own_gateway.ask(link, "shutdown_worker", alone.adapter.engine, {})
        assert worker.wait(PATIENCE_S) in (0, -15), alone.log("worker")[-2000:]
        wait_for(lambda: link.goodbye is not None, "the goodbye")
        assert final_answer(own_gateway, command_id)[0] == "done"
        assert ended(own_gateway, task_id, alone.outcomes["wait"])[-1].kind == "succeeded"

    def test_a_worker_begins_anew(self, alone: Harness, own_gateway: Gateway) -> None:
        self.need(alone, "restart_worker")
        worker = alone.start_worker()
        link = worker_link(own_gateway)
        command_id = own_gateway.ask(link, "restart_worker", alone.adapter.engine, {})
        wait_for(lambda: [each for each in own_gateway.open_links() if each is not link], "it connects again", seconds=30)
        wait_for(
            lambda: own_gateway.answers(command_id)[-1:] and own_gateway.answers(command_id)[-1][0] == "done", "the answer is not lost"
        )
        assert worker.poll() is None
        ended(own_gateway, alone.enqueue("succeed", 1), alone.outcomes["succeed"])
