# SPDX-License-Identifier: Apache-2.0
"""Commands for consumers: pausing queues, and shutdown. Huey cannot pause a queue; the workers of a paused consumer take no tasks."""

from __future__ import annotations

import signal
import time
from functools import partial
from typing import Any

from z4j_agent.commands import worker_end
from z4j_agent.contract.adapter import Refused, Unsupported
from z4j_huey.broker_identity import HueyPart, identity_of
from z4j_huey.messages import ENGINE
from z4j_huey.state import HueyState

PAUSED_POLL_S = 0.2
"""Seconds between two checks by a paused worker."""


class Pausing:
    """Checked before every task is taken; while nothing is paused it costs one check of `PausedQueues`. Children of a consumer read the
    same file."""

    def __init__(self, huey: Any) -> None:
        self._huey = huey

    def is_paused(self) -> bool:
        """Waits for a moment while the queue is paused, so that a worker does not use the processor."""
        if not worker_end.is_paused(ENGINE, self._huey.name, partial(identity_of, self._huey)):
            return False
        time.sleep(PAUSED_POLL_S)
        return True


def _listening(state: HueyState) -> Any:
    """Raises Refused if the consumer handles no signals. Until 3.1 the consumer receives SIGINT as KeyboardInterrupt, so the handler of
    SIGTERM is checked."""
    _need_consumer(state)
    is_deaf = getattr(signal.getsignal(signal.SIGTERM), "__self__", None) is not state.lifecycle.consumer
    if is_deaf or signal.getsignal(signal.SIGINT) in (signal.SIG_DFL, signal.SIG_IGN):
        raise Refused("this consumer handles no signals. No changes were made.")
    return state.lifecycle.consumer


def _need_consumer(state: HueyState) -> None:
    if state.lifecycle.consumer is None:
        raise Unsupported("this process does not run a consumer")


class WorkerCommands(HueyPart):
    """Commands for the consumer of this process."""

    def pause_queue(self, queue: str) -> dict[str, Any]:
        """Pauses a queue in one storage, or in every storage with a queue of that name if none is named. Raises Unsupported if this
        process does not run a consumer."""
        state = self._consumed(queue)
        _need_consumer(state)
        worker_end.pause(ENGINE, state.huey.name, self.only)
        return {"note": "a worker that was waiting for a task at this moment may still take one"}

    def resume_queue(self, queue: str) -> dict[str, Any]:
        """Resumes a queue. Raises Unsupported if this process does not run a consumer."""
        state = self._consumed(queue)
        _need_consumer(state)
        worker_end.resume(ENGINE, state.huey.name, self.only)
        return {}

    def shutdown_worker(self) -> dict[str, Any]:
        """Shuts the consumer down, with Huey's signal for a graceful shutdown (huey/consumer.py). Raises Unsupported, Refused."""
        worker_end.signal_after_answer(getattr(_listening(self.serving()[0]), "_graceful_sig", signal.SIGINT))
        return {"note": "it finishes its running tasks and ends; a supervisor may start it again"}

    def restart_worker(self) -> dict[str, Any]:
        """Restarts the consumer with SIGHUP: it shuts down gracefully and runs its own command again (huey/consumer.py). Raises
        Unsupported, Refused."""
        _listening(self.serving()[0])
        worker_end.signal_after_answer(signal.SIGHUP)
        return {"note": "it finishes its running tasks and restarts with the current code"}

    def _consumed(self, queue: str) -> HueyState:
        """The object of this process's consumer, if it has that queue. Raises Refused like `named`."""
        states = [state for state in self.states_in_scope() if state.huey.name == queue and state.lifecycle.consumer is not None]
        return states[0] if states else self.named(queue)
