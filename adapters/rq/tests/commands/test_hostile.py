# SPDX-License-Identifier: Apache-2.0
"""A server that was taken over gets nothing run through RQ that the application has not enqueued, decorated or offered."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

from redis import Redis
from rq import Queue
from test_conformance import RqHarness

from z4j_agent.capture.originals import prove_name
from z4j_agent.conformance import Harness, HostileServerContract, wait_for
from z4j_agent.conformance.assertions import ended, final_answer, worker_link
from z4j_agent.conformance.gateway import Gateway
from z4j_agent.conformance.hostile_server import KEY, Attempt
from z4j_agent.conformance.operations import new_id


class TestHostile(HostileServerContract):
    harness_class = RqHarness
    forged: ClassVar[tuple[dict[str, Any], ...]] = (
        {"args": ["{command}"], "kwargs": {}, "job": {"timeout": 5}},
        {"args": ["{command}"], "kwargs": {}, "meta": {"interval": 1}},
        {"body64": base64.b64encode(b"cos\nsystem\n(S'{command}'\ntR.").decode()},
    )

    def more_attempts(self, running: Harness, gateway: Gateway, command: str) -> Iterator[Attempt]:
        """Jobs that are there already, of this application and of another one on the same Redis."""
        assert isinstance(running, RqHarness)
        foreign = Queue("somebody-elses", connection=Redis(port=running.broker_port)).enqueue("os.getpid")
        mine = running.enqueue("succeed", "ran before")
        for action in ("cancel_task", "release_task", "prioritise_task", "lookup_task"):
            yield Attempt(f"{action} of a stranger's job", action, {"task_id": foreign.id, "level": "next"}, ("queue.unknown",))
        yield Attempt("move a stranger's job", "move_task", {"task_id": foreign.id, "queue": running.queue}, ("queue.unknown",))
        ended(gateway, mine, running.outcomes["succeed"])
        params = {"name": running.name_of("succeed"), "args": [1], "kwargs": {}, "queue": "", "new_id": foreign.id}
        yield Attempt("run under the id of a job that is there", "run_task", params, ("task_id.exists",))
        yield Attempt("retry under it", "retry_task", {**self.original(gateway, mine), "new_id": foreign.id}, ("task_id.exists",))
        for name in ("engine_app.os.system", "engine_app.succeed.__init__", "test_conformance.wait_for", "engine_app.options_of"):
            params = {"name": name, "args": [command], "kwargs": {}, "queue": "", "new_id": new_id()}
            yield Attempt(f"run {name}", "run_task", params, ("task.unknown",))


def test_a_name_of_a_command_does_not_become_known(tmp_path: Path) -> None:
    """A proof lets a process that was just started run a task it has not met; no proof for others follows from that."""
    gateway = Gateway()
    gateway.start()
    harness = RqHarness(tmp_path, gateway.url)
    try:
        harness.set_up()
        harness.start_worker()
        link = wait_for(lambda: worker_link(gateway), "the worker connects")
        name, id = "engine_app.options_of", new_id()
        params = {"name": name, "args": ["limit"], "kwargs": {}, "queue": "work", "new_id": id}
        proofs = {"rq": prove_name(KEY, "rq", name)}
        assert final_answer(gateway, gateway.ask(link, "run_task", "rq", {**params, "proofs": proofs}))[0] == "done"
        wait_for(lambda: [record for record in gateway.records(id) if record.kind == "succeeded"], "it runs")
        again = {**params, "new_id": new_id()}
        status, facts = final_answer(gateway, gateway.ask(link, "run_task", "rq", again))
        assert (status, facts.get("check")) == ("refused", "task.unknown")
        assert gateway.records(again["new_id"]) == []
    finally:
        harness.tear_down()
        gateway.stop()
