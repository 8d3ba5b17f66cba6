# SPDX-License-Identifier: Apache-2.0
"""Commands for workers: pausing queues, and shutdown."""

from __future__ import annotations

import multiprocessing
import os
from functools import partial
from typing import Any

from z4j_agent.commands import worker_end
from z4j_agent.contract.adapter import Refused, Unsupported
from z4j_dramatiq.brokers.broker_identity import DramatiqPart, identity_of, watched
from z4j_dramatiq.messages import ENGINE
from z4j_dramatiq.queues import declared, kind_of
from z4j_dramatiq.state import BrokerState


def pause_consumer(broker: Any, thread: Any) -> None:
    """Applies stored pauses to a consumer that has just started, in its own thread, before it fetches messages."""
    if kind_of(broker) != "rabbitmq":
        worker_end.reapply_pause(ENGINE, thread.queue_name, partial(identity_of, broker), lambda _is_live: thread.pause())


def is_paused(broker: Any, queue: str) -> bool:
    """Whether workers must not take tasks from a queue of this broker."""
    return worker_end.is_paused(ENGINE, queue, partial(identity_of, broker))


def _switch(state: BrokerState, queue: str) -> worker_end.Switch:
    """Sets Dramatiq's own pause; on RabbitMQ the gate checks whether the queue is paused."""
    consumer = _consumer(state, queue)
    if kind_of(state.broker) == "rabbitmq":
        return bool
    return lambda is_live: consumer.resume() if is_live else consumer.pause()


def _consumer(state: BrokerState, queue: str) -> Any:
    if state.worker is None:
        raise Unsupported("this process is not a Dramatiq worker")
    consumer = state.worker.consumers.get(queue) if queue in declared(state.broker) else None
    if consumer is None:
        raise Refused(f"this worker does not take from {queue[:80]}. No changes were made.", check="queue.unknown")
    return consumer


class WorkerCommands(DramatiqPart):
    """Commands for the worker of this process."""

    def pause_queue(self, queue: str) -> dict[str, Any]:
        """Pauses a queue with the consumer's own pause (dramatiq/worker.py), on RabbitMQ with a gate; in one broker, or in every one if
        none is named. Raises Unsupported, Refused."""
        worker_end.pause(ENGINE, queue, self.only, _switch(self._working(), queue))
        return {"note": "tasks that this worker has prefetched still run"}

    def resume_queue(self, queue: str) -> dict[str, Any]:
        """Resumes a queue. Raises Unsupported, Refused."""
        state = self._working()
        worker_end.resume(ENGINE, queue, self.only, _switch(state, queue), identity_of(state.broker))
        return {}

    def shutdown_worker(self) -> dict[str, Any]:
        """Shuts down the `dramatiq` command with all its worker processes: it would treat the end of a single one as a crash. Raises
        Unsupported, Refused."""
        if self.state.worker is None:
            raise Unsupported("this process is not a Dramatiq worker")
        parent = multiprocessing.parent_process()
        if parent is None or parent.pid != os.getppid():
            raise Refused("this worker was not started by `dramatiq`, so it cannot be shut down gracefully")
        worker_end.signal_after_answer(pid=os.getppid())
        return {"note": "the command ends with all its worker processes, which finish their running tasks"}

    def _working(self) -> BrokerState:
        """The state of the worker's broker if the command names no broker, else that of this adapter."""
        others = [] if self.only else [adapter.state for adapter in watched if adapter.state.worker is not None]
        return next(iter(others), self.state)
