# SPDX-License-Identifier: Apache-2.0
"""A server that was taken over gets nothing run through Huey that the application did not register."""

from __future__ import annotations

import base64
import pickle
from collections.abc import Iterator
from typing import Any, ClassVar

from huey.registry import Message
from test_conformance import HueyHarness

from z4j_agent.conformance import Gateway, Harness, HostileServerContract
from z4j_agent.conformance.assertions import ended
from z4j_agent.conformance.hostile_server import KEY, WITH_ORIGINAL, Attempt, sealed_before
from z4j_agent.conformance.operations import new_id


class TestHostile(HostileServerContract):
    harness_class = HueyHarness
    forged: ClassVar[tuple[dict[str, Any], ...]] = (
        {"args": ["{command}"], "kwargs": {}, "task": {"retries": 9, "priority": 9}},
        {"body64": base64.b64encode(b"cos\nsystem\n(S'{command}'\ntR.").decode()},
    )

    def more_attempts(self, running: Harness, gateway: Gateway, command: str) -> Iterator[Attempt]:
        task_id = new_id()
        left_out: Any = (None, 0, 0, 0, None, None, None, None, None, None)
        fields = dict(zip(Message._fields, left_out * 2, strict=False))
        message = Message(**fields | {"id": task_id, "name": running.name_of("secret"), "args": ("eve", command), "kwargs": {}})
        sealed = sealed_before("huey", task_id, {"body64": base64.b64encode(pickle.dumps(message)).decode()})
        params = {"task_id": task_id, "original": sealed, "key_id": KEY.key_id, "name": running.name_of("succeed"), "queue": running.queue}
        for action in WITH_ORIGINAL:
            yield Attempt(
                f"{action} of an old seal as another task", action, {**params, "new_id": new_id(), "edit": {}}, ("original.name",)
            )
        for queue in ("huey.results.work", "work2"):
            for action in ("pause_queue", "resume_queue"):
                yield Attempt(f"{action} {queue}", action, {"queue": queue}, ("queue.unknown",))

    def test_a_result_that_is_kept_is_not_overwritten(self, gateway: Gateway, running: Harness) -> None:
        params = {"name": running.name_of("succeed"), "args": ["first"], "kwargs": {}, "queue": "", "new_id": new_id()}
        self.done(gateway, running, "run_task", **params)
        ended(gateway, params["new_id"], running.outcomes["succeed"])
        status, facts = self.ask(gateway, running, "run_task", **params)
        assert (status, facts["check"]) == ("refused", "task_id.exists")
