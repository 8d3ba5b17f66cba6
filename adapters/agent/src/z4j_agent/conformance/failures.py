# SPDX-License-Identifier: Apache-2.0
"""The results of commands that cannot be executed: refused with a reason, or unknown, and never executed twice."""

from __future__ import annotations

import base64
import os
import signal
import time

from z4j_agent.conformance.assertions import final_answer, is_declared, payload_of, worker_link
from z4j_agent.conformance.gateway import Gateway
from z4j_agent.conformance.harness import PATIENCE_S, Harness, wait_for
from z4j_agent.conformance.operations import OperationsBase, end_of, new_id, started

REPEATED_S = 2.0


class FailuresContract(OperationsBase):
    """Subclass it with a `harness_class`; the name must begin with `Test`."""

    def test_a_task_that_runs_keeps_its_place(self, gateway: Gateway, running: Harness) -> None:
        task_id = running.enqueue("wait", 3)
        wait_for(lambda: started(gateway, task_id), "it runs")
        calls = {"release_task": {}, "move_task": {"queue": self.other_queue or "elsewhere"}, "prioritise_task": {"level": "next"}}
        for action, params in calls.items():
            if is_declared(running, action):
                status, facts = self.ask(gateway, running, action, task_id=task_id, **params)
                assert (status, bool(facts["error"])) == ("refused", True), action
        wait_for(lambda: end_of(gateway, task_id), "it ends")
        assert [record.kind for record in end_of(gateway, task_id)] == ["succeeded"]
        assert len(started(gateway, task_id)) == 1

    def test_what_has_ended_is_refused(self, gateway: Gateway, running: Harness) -> None:
        task_id = running.enqueue("succeed", 1)
        wait_for(lambda: end_of(gateway, task_id), "it ends")
        calls = {"release_task": {}, "move_task": {"queue": self.other_queue or "elsewhere"}, "prioritise_task": {"level": "next"}}
        for action, params in {**calls, "terminate_task": {}}.items():
            if is_declared(running, action):
                assert self.ask(gateway, running, action, task_id=task_id, **params)[0] == "refused", action
        assert len(started(gateway, task_id)) == 1

    def test_what_was_too_large_to_keep_is_refused(self, gateway: Gateway, running: Harness) -> None:
        task_id = running.enqueue("succeed", base64.b64encode(os.urandom(120_000)).decode())
        wait_for(lambda: end_of(gateway, task_id), "it ends")
        payload = payload_of(gateway, task_id)
        assert (payload.rest["original_state"], payload.rest["original"]) == ("too_large", None)
        for action, params in {"retry_task": {}, "edit_task": {"edit": {"args": {"0": "small"}}}}.items():
            if is_declared(running, action):
                id = new_id()
                status, facts = self.ask(
                    gateway, running, action, task_id=task_id, name=payload.name, queue=payload.queue, original="", new_id=id, **params
                )
                assert (status, bool(facts["error"])) == ("refused", True), action
                assert gateway.records(id) == []

    def test_the_owner_has_the_last_word(self, alone: Harness, own_gateway: Gateway) -> None:
        self.need(alone, "run_task")
        alone.variables |= {"Z4J_DENIED": "run_task", "Z4J_ALLOW": "operate"}
        alone.start_worker()
        id = new_id()
        status, facts = self.ask(own_gateway, alone, "run_task", name=alone.name_of("succeed"), args=[1], kwargs={}, new_id=id)
        assert (status, "Z4J_DENIED" in facts["error"]) == ("refused", True)
        if is_declared(alone, "purge_queue"):
            status, facts = self.ask(own_gateway, alone, "purge_queue", queue=alone.queue)
            assert (status, "Z4J_ALLOW" in facts["error"]) == ("refused", True)
        assert own_gateway.records(id) == []

    def test_what_was_cut_off_in_the_middle_is_unknown(self, alone: Harness, own_gateway: Gateway) -> None:
        """The broker is stopped while a task is sent, and the worker dies. Its successor receives the same command and does not repeat
        it: the data in the socket may have arrived."""
        self.need(alone, "run_task")
        worker = alone.start_worker()
        link, broker = worker_link(own_gateway), alone.broker_pid()
        wait_for(lambda: link.discoveries and link.heartbeats, "it sends no other request to its broker now")
        os.kill(broker, signal.SIGSTOP)
        try:
            id = new_id()
            params = {"name": alone.name_of("succeed"), "args": ["once"], "kwargs": {}, "new_id": id, "queue": ""}
            command_id = own_gateway.ask(link, "run_task", alone.adapter.engine, params)
            wait_for(lambda: f"{command_id} accepted" in _ledger(alone), "it is started")
            assert f"{command_id} done" not in _ledger(alone)
            os.killpg(worker.pid, signal.SIGKILL)
            worker.wait(PATIENCE_S)
        finally:
            os.kill(broker, signal.SIGCONT)
        alone.start_worker()
        others = wait_for(lambda: [each for each in own_gateway.open_links() if each is not link], "the next one connects")
        own_gateway.ask(others[0], "run_task", alone.adapter.engine, params, id=command_id)
        assert final_answer(own_gateway, command_id)[0] == "unknown"
        time.sleep(REPEATED_S)
        assert len(started(own_gateway, id)) <= 1

    def test_what_a_dead_worker_never_read_is_done_once_by_the_next(self, alone: Harness, own_gateway: Gateway) -> None:
        self.need(alone, "run_task")
        worker = alone.start_worker()
        link = worker_link(own_gateway)
        os.killpg(worker.pid, signal.SIGSTOP)
        id = new_id()
        params = {"name": alone.name_of("succeed"), "args": ["once"], "kwargs": {}, "new_id": id, "queue": ""}
        command_id = own_gateway.ask(link, "run_task", alone.adapter.engine, params)
        os.killpg(worker.pid, signal.SIGKILL)
        worker.wait(PATIENCE_S)
        alone.start_worker()
        others = wait_for(lambda: [each for each in own_gateway.open_links() if each is not link], "the next one connects")
        own_gateway.ask(others[0], "run_task", alone.adapter.engine, params, id=command_id)
        assert final_answer(own_gateway, command_id)[0] == "done"
        wait_for(lambda: end_of(own_gateway, id), "it runs")
        time.sleep(REPEATED_S)
        assert len(started(own_gateway, id)) == 1


def _ledger(running: Harness) -> str:
    return "".join(path.read_text() for path in running.spool.rglob("commands.ledger"))
