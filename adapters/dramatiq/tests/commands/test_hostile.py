# SPDX-License-Identifier: Apache-2.0
"""A server that was taken over gets nothing run through Dramatiq that the application does not declare."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterator
from typing import Any, ClassVar

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from test_conformance import DramatiqHarness

from z4j_agent.conformance import Harness, HostileServerContract
from z4j_agent.conformance.gateway import Gateway
from z4j_agent.conformance.hostile_server import KEY, Attempt
from z4j_agent.conformance.operations import new_id

EVIL: dict[str, Any] = {"queue_name": "work", "actor_name": "os.system", "args": ["{command}"], "kwargs": {}, "options": {}}


class TestHostile(HostileServerContract):
    harness_class = DramatiqHarness
    forged: ClassVar[tuple[dict[str, Any], ...]] = (
        {"args": ["{command}"], "kwargs": {}, "options": {"on_success": "os.system"}},
        {"args": [1], "kwargs": {}, "options": {"pipe_target": EVIL}},
        {"body64": base64.b64encode(json.dumps(EVIL).encode()).decode(), "encoder": "dramatiq.encoder.JSONEncoder"},
    )

    def more_attempts(self, running: Harness, gateway: Gateway, command: str) -> Iterator[Attempt]:
        """Dramatiq's own queues beside a queue, and what an original of an older agent would have run afterwards."""
        known = running.name_of("succeed")
        for queue in ("work.DQ", "work.XQ", "other.DQ"):
            params = {"name": known, "args": [1], "kwargs": {}, "queue": queue, "new_id": new_id()}
            yield Attempt(f"run on {queue}", "run_task", params, ("queue.unknown",))
            yield Attempt(f"move to {queue}", "move_task", {"task_id": new_id(), "queue": queue}, ("queue.unknown",))
            yield Attempt(f"pause {queue}", "pause_queue", {"queue": queue}, ("queue.unknown",))
            yield Attempt(f"purge {queue}", "purge_queue", {"queue": queue, "place": "waiting"}, ("queue.unknown",))
        for options, check in (
            ({"on_success": "os.system"}, "task.unknown"),
            ({"pipe_target": EVIL}, "task.unknown"),
            ({"pipe_target": {**EVIL, "actor_name": known, "queue_name": "work.XQ"}}, "queue.unknown"),
            ({"pipe_target": {**EVIL, "actor_name": known, "options": {"pipe_target": EVIL}}}, "task.unknown"),
        ):
            id = new_id()
            blob = old_seal({"args": [1], "kwargs": {}, "options": options}, id)
            params = {"task_id": id, "name": known, "queue": "work", "original": blob, "key_id": KEY.key_id, "new_id": new_id(), "edit": {}}
            yield Attempt(f"an old original with {options}", "retry_task", params, (check,))


def old_seal(message: dict[str, Any], task_id: str) -> str:
    """As an agent of this application made them before names were bound."""
    nonce = os.urandom(12)
    sealed = AESGCM(KEY.secret).encrypt(nonce, b"\x00" + json.dumps(message).encode(), f"dramatiq\0{task_id}".encode())
    return base64.b64encode(b"\x02" + nonce + sealed).decode()
