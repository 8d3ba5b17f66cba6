# SPDX-License-Identifier: Apache-2.0
"""Pauses a queue of RabbitMQ without closing its connection.

Dramatiq's own pause ends the consumer's loop at the first second without a message and closes the connection (`ConsumerThread.run`), and
RabbitMQ then redelivers the messages of tasks that are still running: they would run twice, and a busy queue would never be paused. Here
only the consumer is cancelled: running tasks are acknowledged as usual.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from z4j_agent.runtime.patching import Patches

NOTHING = (None, None, None)
"""The item of pika's generator if no message came in time."""


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
