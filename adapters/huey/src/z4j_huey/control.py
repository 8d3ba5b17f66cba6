# SPDX-License-Identifier: Apache-2.0
"""What may be asked of a consumer itself: to pause, and to end. Huey has no pause of its own; a consumer that is held takes nothing."""

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
"""How often a worker that is held looks whether it still is."""


class Pausing:
    """Asked before every task is taken; while nothing is paused it costs what `Holds` costs. Children of a consumer read the same file."""

    def __init__(self, huey: Any) -> None:
        self._huey = huey

    def is_paused(self) -> bool:
        """Waits a moment where it is, so that a worker does not spin."""
        if not worker_end.is_paused(ENGINE, self._huey.name, partial(identity_of, self._huey)):
            return False
        time.sleep(PAUSED_POLL_S)
        return True


def _listening(state: HueyState) -> Any:
    """Until 3.1 the consumer takes SIGINT as KeyboardInterrupt; the handler of SIGTERM says whether it listens at all."""
    _need_consumer(state)
    is_deaf = getattr(signal.getsignal(signal.SIGTERM), "__self__", None) is not state.lifecycle.consumer
    if is_deaf or signal.getsignal(signal.SIGINT) in (signal.SIG_DFL, signal.SIG_IGN):
        raise Refused("this consumer does not listen to signals")
    return state.lifecycle.consumer


def _need_consumer(state: HueyState) -> None:
    if state.lifecycle.consumer is None:
        raise Unsupported("this process runs no consumer")


class WorkerCommands(HueyPart):
    """What may be asked of the consumer that this process runs."""

    def pause_queue(self, queue: str) -> dict[str, Any]:
        """In one storage, in every one with a queue of that name where none is named. Raises Unsupported where this process runs no
        consumer."""
        state = self._consumed(queue)
        _need_consumer(state)
        worker_end.pause(ENGINE, state.huey.name, self.only)
        return {"note": "a worker that was waiting for a task at this moment may still take one"}

    def resume_queue(self, queue: str) -> dict[str, Any]:
        """Raises Unsupported in a process that runs no consumer."""
        state = self._consumed(queue)
        _need_consumer(state)
        worker_end.resume(ENGINE, state.huey.name, self.only)
        return {}

    def shutdown_worker(self) -> dict[str, Any]:
        """By the signal that Huey takes for a graceful end (huey/consumer.py). Raises Unsupported, Refused."""
        worker_end.signal_after_answer(getattr(_listening(self.serving()[0]), "_graceful_sig", signal.SIGINT))
        return {"note": "it finishes what it runs and ends; what supervises it may start it again"}

    def restart_worker(self) -> dict[str, Any]:
        """By SIGHUP: the consumer ends gracefully and runs its own command again (huey/consumer.py). Raises Unsupported, Refused."""
        _listening(self.serving()[0])
        worker_end.signal_after_answer(signal.SIGHUP)
        return {"note": "it finishes its running tasks and restarts with the current code"}

    def _consumed(self, queue: str) -> HueyState:
        """The object that this process's consumer serves, where it has that queue. Raises Refused like `named`."""
        states = [state for state in self.asked() if state.huey.name == queue and state.lifecycle.consumer is not None]
        return states[0] if states else self.named(queue)
