# SPDX-License-Identifier: Apache-2.0
"""A server that was taken over gets nothing run through taskiq that the application did not register, and nothing sent elsewhere."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any, ClassVar

import pytest
import redis
from test_conformance import ListHarness, StreamHarness

from z4j_agent.conformance import Gateway, Harness, HostileServerContract, wait_for
from z4j_agent.conformance.assertions import ended
from z4j_agent.conformance.hostile_server import KEY, WITH_ORIGINAL, Attempt, sealed_before
from z4j_agent.conformance.operations import new_id


class TestHostile(HostileServerContract):
    harness_class = ListHarness
    forged: ClassVar[tuple[dict[str, Any], ...]] = (
        {"args": ["{command}"], "kwargs": {}, "labels": {"queue_name": "elsewhere"}},
        {"body64": base64.b64encode(b'{"task_id": "x", "task_name": "os:system", "labels": {}, "args": [], "kwargs": {}}').decode()},
    )

    def more_attempts(self, running: Harness, gateway: Gateway, command: str) -> Iterator[Attempt]:
        task_id, name = new_id(), running.name_of("succeed")
        elsewhere = {"args": ["x"], "kwargs": {}, "labels": {"queue_name": "elsewhere"}}
        raw = {"task_id": task_id, "task_name": running.name_of("secret"), "labels": {}, "args": ["eve", command], "kwargs": {}}
        other_name = {"body64": base64.b64encode(json.dumps(raw).encode()).decode()}
        for action in WITH_ORIGINAL:
            for what, message, check in (
                ("with a label of another queue", elsewhere, "original.queue"),
                ("of another task", other_name, "original.name"),
            ):
                sealed = sealed_before("taskiq", task_id, message)
                params = {"task_id": task_id, "original": sealed, "key_id": KEY.key_id, "name": name, "queue": running.queue, "edit": {}}
                yield Attempt(f"{action} of an old seal {what}", action, {**params, "new_id": new_id()}, (check,))

    def test_a_result_that_is_kept_is_not_overwritten(self, gateway: Gateway, running: Harness) -> None:
        params = {"name": running.name_of("succeed"), "args": ["first"], "kwargs": {}, "queue": "", "new_id": new_id()}
        self.done(gateway, running, "run_task", **params)
        ended(gateway, params["new_id"], running.outcomes["succeed"])
        answer = wait_for(lambda: self.ask(gateway, running, "run_task", **params), "it is answered")
        assert (answer[0], answer[1]["check"]) == ("refused", "task_id.exists")

    def test_nothing_is_left_where_no_worker_looks(self, gateway: Gateway, running: Harness) -> None:
        assert isinstance(running, ListHarness)
        with redis.Redis.from_url(running.broker_url) as client:
            assert client.exists("elsewhere", "nobody-uses-this") == 0


@pytest.mark.long
class TestHostileStream(TestHostile):
    harness_class = StreamHarness
