# SPDX-License-Identifier: Apache-2.0
"""Even what this application sealed is not sent to a place of Celery's own, and no id is used again."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from test_operate import OneHarness

from z4j_agent.capture.originals import Binding, close_original
from z4j_agent.conformance import Harness, wait_for
from z4j_agent.conformance.assertions import ended, worker_link
from z4j_agent.conformance.gateway import Gateway
from z4j_agent.conformance.hostile_server import KEY, WITH_ORIGINAL, Attempt
from z4j_agent.conformance.operations import OperationsBase, new_id

CONTROLS = (
    ("celery.pidbox", ""), ("reply.celery.pidbox", "x"), ("", "w1@test.celery.pidbox"), ("celeryev", "task.x"), ("", "celeryev.0"),
    ("", "_kombu.binding.work"), ("", "unacked"), ("", "work\x06\x163"), ("celery_delayed_0", "0.work"), ("celeryresults", "x"),
)  # fmt: skip
SHUTDOWN = json.dumps({"method": "shutdown", "arguments": {}, "destination": None, "pattern": None, "matcher": None})


def old_seal(data: dict[str, Any], task_id: str) -> str:
    """A blob of format 2, as an older agent of this application sealed it."""
    nonce = b"0123456789ab"
    packed = b"\x00" + json.dumps(data).encode()
    return base64.b64encode(b"\x02" + nonce + AESGCM(KEY.secret).encrypt(nonce, packed, f"celery\0{task_id}".encode())).decode()


class TestSeals(OperationsBase):
    harness_class = OneHarness

    def attempts(self, running: Harness, gateway: Gateway, command: str) -> Iterator[Attempt]:
        """Genuine seals of this application's own key whose addresses are Celery's: the last wall must hold without the first."""
        name = running.name_of("succeed")
        for exchange, key in CONTROLS:
            data = {"body": SHUTDOWN, **({"exchange": exchange, "key": key} if exchange else {})}
            task_id, queue = new_id(), "work" if exchange else key
            binding = Binding("celery", task_id, "test", name, queue)
            closed, _ = close_original(data | ({"queue": queue} if exchange else {}), binding, is_masked=False, key=KEY)
            assert closed is not None
            params = {"task_id": task_id, "name": name, "queue": queue, "original": base64.b64encode(closed[1]).decode()}
            for action in WITH_ORIGINAL:
                what = f"{action} to {exchange!r} {key!r}"
                body = {"edit": {}, "new_id": new_id()}
                yield Attempt(what, action, {**params, **body}, ("queue.control", "original.format"))
            params = {"task_id": task_id, "name": name, "queue": "work", "original": old_seal(data, task_id), "key_id": KEY.key_id}
            if exchange:
                yield Attempt(f"an older seal to {exchange!r}", "retry_task", {**params, "new_id": new_id()}, ("queue.control",))
        data = {"body": SHUTDOWN, "exchange": "somewhere", "key": "else"}
        params = {"task_id": "old", "name": name, "queue": "work", "original": old_seal(data, "old"), "key_id": KEY.key_id}
        yield Attempt("an older seal to an unknown exchange", "retry_task", {**params, "new_id": new_id()}, ("exchange.unknown",))
        for chosen in ("celery.map", "celery.starmap", "celery.chain", "celery.backend_cleanup", "celery.accumulate"):
            params = {"name": chosen, "args": [{"task": name}, [[command]]], "kwargs": {}, "queue": "", "new_id": new_id()}
            yield Attempt(f"run {chosen}", "run_task", params, ("task.unknown",))

    def test_an_id_with_a_stored_result_is_not_used_again(self, gateway: Gateway, running: Harness) -> None:
        used = new_id()
        params = {"name": running.name_of("succeed"), "args": ["first"], "kwargs": {}, "queue": "", "new_id": used}
        self.done(gateway, running, "run_task", **params)
        ended(gateway, used, running.outcomes["succeed"])
        for action, more in (
            ("run_task", params),
            ("retry_task", self.original(gateway, used)),
            ("restore_task", self.original(gateway, used)),
        ):
            status, facts = self.ask(gateway, running, action, **{**more, "new_id": used})
            assert (status, facts.get("check")) == ("refused", "task_id.exists"), action

    def test_the_worker_lives_after_all_of_it(self, alone: Harness, own_gateway: Gateway) -> None:
        """The message that shut a worker down: by exchange, and by the queue the worker listens to."""
        worker = alone.start_worker()
        wait_for(lambda: worker_link(own_gateway), "the worker connects")
        for attempt in self.attempts(alone, own_gateway, "true"):
            status, facts = self.ask(own_gateway, alone, attempt.action, **attempt.params)
            assert status == "refused", (attempt.what, facts)
            assert facts.get("check") in attempt.checks, (attempt.what, facts)
        task_id = alone.enqueue("succeed", "still here")
        ended(own_gateway, task_id, alone.outcomes["succeed"])
        assert worker.poll() is None
