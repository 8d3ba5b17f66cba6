# SPDX-License-Identifier: Apache-2.0
"""Pausing a queue: with the consumer's own pause (dramatiq/worker.py), on RabbitMQ with a gate that does not close its connection.

Dramatiq's own pause ends the consumer's loop at the first second without a message and closes the connection (`ConsumerThread.run`), and
RabbitMQ then redelivers the messages of tasks that are still running: they would run twice, and a busy queue would never be paused. Here
only the consumer is cancelled: running tasks are acknowledged as usual.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from z4j_agent.commands import paused_queues
from z4j_agent.contract.adapter import Refused, Unsupported
from z4j_agent.runtime.patching import Patches
from z4j_dramatiq.broker_identity import DramatiqPart, identity_of, watched
from z4j_dramatiq.messages import ENGINE
from z4j_dramatiq.queues import declared, kind_of
from z4j_dramatiq.state import BrokerState

NOTHING = (None, None, None)
"""The item of pika's generator if no message came in time."""


def pause_consumer(broker: Any, thread: Any) -> None:
    """Applies stored pauses to a consumer that has just started, in its own thread, before it fetches messages."""
    if kind_of(broker) != "rabbitmq":
        paused_queues.reapply_pause(ENGINE, thread.queue_name, partial(identity_of, broker), lambda _is_live: thread.pause())


def is_paused(broker: Any, queue: str) -> bool:
    """Whether workers must not take tasks from a queue of this broker."""
    return paused_queues.is_paused(ENGINE, queue, partial(identity_of, broker))


def _switch(state: BrokerState, queue: str) -> paused_queues.Switch:
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


class QueueGate:
    """Replaces pika's generator in `_RabbitmqConsumer`; used by the same thread."""

    def __init__(self, consumer: Any, queue: str, timeout_ms: int, is_paused: Callable[[str], bool]) -> None:
        self._connection, self._channel, self._messages = consumer.connection, consumer.channel, consumer.iterator
        self._queue, self._timeout_s, self._is_paused, self._is_closed = queue, timeout_ms / 1000, is_paused, False

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        """The next message, or `NOTHING` after the consumer's timeout. Raises the exceptions of pika."""
        if not self._is_paused(self._queue):
            if self._is_closed:
                self._messages = self._channel.consume(self._queue, inactivity_timeout=self._timeout_s)
                self._is_closed = False
            return next(self._messages)
        if not self._is_closed:
            self._channel.cancel()  # prefetched messages are returned to RabbitMQ
            self._is_closed = True
        self._connection.process_data_events(time_limit=self._timeout_s)  # acknowledgements of running tasks, and heartbeats
        return NOTHING


def gate_consumers(patches: Patches, broker: Any, is_paused: Callable[[str], bool]) -> None:
    """Gives every new consumer of this broker a gate. Brokers without pika's generator are not changed."""

    def consume_behind_gate(consume: Callable[..., Any], queue_name: str, prefetch: int = 1, timeout: int = 5000) -> Any:
        consumer = consume(queue_name, prefetch, timeout)
        if hasattr(consumer, "iterator") and hasattr(consumer, "channel") and hasattr(consumer, "connection"):
            consumer.iterator = QueueGate(consumer, queue_name, timeout, is_paused)
        return consumer

    patches.around(broker, "consume", consume_behind_gate)


class PauseCommands(DramatiqPart):
    """Pauses and resumes queues of this process's worker."""

    def pause_queue(self, queue: str) -> dict[str, Any]:
        """Pauses a queue with the consumer's own pause (dramatiq/worker.py), on RabbitMQ with a gate; in one broker, or in every one if
        none is named. Raises Unsupported, Refused."""
        paused_queues.pause(ENGINE, queue, self.only, _switch(self._working(), queue))
        return {"note": "tasks that this worker has prefetched still run"}

    def resume_queue(self, queue: str) -> dict[str, Any]:
        """Resumes a queue. Raises Unsupported, Refused."""
        state = self._working()
        paused_queues.resume(ENGINE, queue, self.only, _switch(state, queue), identity_of(state.broker))
        return {}

    def _working(self) -> BrokerState:
        """The state of the worker's broker if the command names no broker, else that of this adapter."""
        others = [] if self.only else [adapter.state for adapter in watched if adapter.state.worker is not None]
        return next(iter(others), self.state)
