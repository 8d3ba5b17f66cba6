# SPDX-License-Identifier: Apache-2.0
"""Pausing a queue. Huey cannot do that; the workers of a paused consumer take no tasks."""

from __future__ import annotations

import time
from functools import partial
from typing import Any

from z4j_agent.commands import paused_queues
from z4j_huey.broker_identity import HueyPart, identity_of
from z4j_huey.messages import ENGINE
from z4j_huey.state import HueyState
from z4j_huey.worker_commands import need_consumer

PAUSED_POLL_S = 0.2
"""Seconds between two checks by a paused worker."""


class Pausing:
    """Checked before every task is taken. Children of a consumer read the same file."""

    def __init__(self, huey: Any) -> None:
        self._check = paused_queues.PauseCheck(ENGINE, huey.name, partial(identity_of, huey))

    def is_paused(self) -> bool:
        """Waits for a moment while the queue is paused, so that a worker does not use the processor."""
        if not self._check():
            return False
        time.sleep(PAUSED_POLL_S)
        return True


class PauseCommands(HueyPart):
    """Pauses and resumes queues of this process's consumer."""

    def pause_queue(self, queue: str) -> dict[str, Any]:
        """Pauses a queue in one storage, or in every storage with a queue of that name if none is named. Raises Unsupported if this
        process does not run a consumer."""
        state = self._consumed(queue)
        need_consumer(state)
        paused_queues.pause(ENGINE, state.huey.name, self.only)
        paused_queues.wait_for_checks()  # of children, and of other consumers of this host
        return {"note": "a worker that was waiting for a task at this moment may still take one"}

    def resume_queue(self, queue: str) -> dict[str, Any]:
        """Resumes a queue. Raises Unsupported if this process does not run a consumer."""
        state = self._consumed(queue)
        need_consumer(state)
        paused_queues.resume(ENGINE, state.huey.name, self.only)
        return {}

    def _consumed(self, queue: str) -> HueyState:
        """The object of this process's consumer, if it has that queue. Raises Refused like `named`."""
        states = [state for state in self.states_in_scope() if state.huey.name == queue and state.lifecycle.consumer is not None]
        return states[0] if states else self.named(queue)
