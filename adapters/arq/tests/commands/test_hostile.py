# SPDX-License-Identifier: Apache-2.0
"""A server that was taken over gets nothing run through arq that the application did not register, and nothing put into other keys."""

from __future__ import annotations

import base64
import pickle
from collections.abc import Iterator
from typing import ClassVar

import redis
from arq.jobs import serialize_job
from test_conformance import ArqHarness

from z4j_agent.conformance import Gateway, Harness, HostileServerContract
from z4j_agent.conformance.hostile_server import KEY, WITH_ORIGINAL, Attempt, sealed_before
from z4j_agent.conformance.operations import new_id

KEYS = ("arq:abort", "arq:job:x", "arq:result:x", "arq:in-progress:x", "arq:queue", "elsewhere")


class TestHostile(HostileServerContract):
    harness_class = ArqHarness
    forged: ClassVar[tuple[dict[str, object], ...]] = (
        {"body64": base64.b64encode(pickle.dumps({"t": None, "f": "os.system", "a": ("{command}",), "k": {}, "et": 1})).decode()},
    )

    def more_attempts(self, running: Harness, gateway: Gateway, command: str) -> Iterator[Attempt]:
        known = {"name": running.name_of("succeed"), "args": [1], "kwargs": {}}
        for key in KEYS:
            for params in ({**known, "queue": key, "new_id": new_id()},):
                yield Attempt(f"run on {key}", "run_task", params, ("queue.unknown",))
            yield Attempt(f"purge {key}", "purge_queue", {"queue": key, "place": "waiting"}, ("queue.unknown",))
        yield from self._ids_in_use(running)
        task_id = new_id()
        body = serialize_job(running.name_of("secret"), ("eve", command), {}, None, 1)
        old = {"task_id": task_id, "original": sealed_before("arq", task_id, {"body64": base64.b64encode(body).decode()})}
        for action in WITH_ORIGINAL:
            params = {**old, "key_id": KEY.key_id, "name": running.name_of("succeed"), "queue": running.queue}
            yield Attempt(
                f"{action} of an old seal as another task", action, {**params, "new_id": new_id(), "edit": {}}, ("original.name",)
            )

    def _ids_in_use(self, running: Harness) -> Iterator[Attempt]:
        assert isinstance(running, ArqHarness)
        with redis.Redis(port=running.broker_port) as client:
            for kind in ("job", "result", "in-progress"):
                id = new_id()
                client.set(f"arq:{kind}:{id}", b"the application's", px=60_000)
                params = {"name": running.name_of("succeed"), "args": [1], "kwargs": {}, "queue": "", "new_id": id}
                yield Attempt(f"run under an id that has a {kind}", "run_task", params, ("task_id.exists",))
                assert client.get(f"arq:{kind}:{id}") == b"the application's"

    def test_a_job_in_a_queue_of_another_application_stays(self, gateway: Gateway, running: Harness) -> None:
        assert isinstance(running, ArqHarness)
        id = new_id()
        with redis.Redis(port=running.broker_port) as client:
            client.zadd("theirs", {id: 1})
            client.set(f"arq:job:{id}", serialize_job("theirs", (), {}, None, 1))
            for action in ("cancel_task", "move_task", "prioritise_task", "release_task"):
                status, facts = self.ask(gateway, running, action, task_id=id, queue=running.queue, level="next")
                assert status == "refused", (action, facts)
            assert (client.zscore("theirs", id), client.exists(f"arq:job:{id}")) == (1, 1)
