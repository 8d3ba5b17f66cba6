# SPDX-License-Identifier: Apache-2.0
"""What may be asked of a worker itself: to pause a queue, and to end."""

from __future__ import annotations

import multiprocessing
import os
from functools import partial
from typing import TYPE_CHECKING, Any

from z4j_agent import worker_end
from z4j_agent.adapter import Refused, Unsupported
from z4j_dramatiq.brokers import identity_of
from z4j_dramatiq.facts import ENGINE
from z4j_dramatiq.queues import declared, kind_of

if TYPE_CHECKING:
    from z4j_dramatiq.capture import Capture


def hold_consumer(broker: Any, thread: Any) -> None:
    """A consumer has just begun, in its own thread, and has fetched nothing yet: what was paused stays so."""
    if kind_of(broker) != "rabbitmq":
        worker_end.pause_again(ENGINE, thread.queue_name, partial(identity_of, broker), lambda _is_live: thread.pause())


def is_held(broker: Any, queue: str) -> bool:
    """Whether workers must not take tasks from a queue of this broker."""
    return worker_end.is_paused(ENGINE, queue, partial(identity_of, broker))


def pause_queue(capture: Capture, queue: str, broker: str) -> dict[str, Any]:
    """By the consumer's own pause (dramatiq/worker.py), on RabbitMQ by a gate of ours; in one broker, in every one where none is named.
    Raises Unsupported, Refused."""
    worker_end.pause(ENGINE, queue, broker, _switch(capture, queue))
    return {"note": "what this worker has fetched in advance still runs"}


def resume_queue(capture: Capture, queue: str, broker: str) -> dict[str, Any]:
    """Raises Unsupported, Refused."""
    worker_end.resume(ENGINE, queue, broker, _switch(capture, queue), identity_of(capture.broker))
    return {}


def _switch(capture: Capture, queue: str) -> worker_end.Switch:
    """Dramatiq's own; on RabbitMQ our gate looks by itself whether the queue is paused."""
    consumer = _consumer(capture, queue)
    if kind_of(capture.broker) == "rabbitmq":
        return bool
    return lambda is_live: consumer.resume() if is_live else consumer.pause()


def _consumer(capture: Capture, queue: str) -> Any:
    if capture.worker is None:
        raise Unsupported("this process is no Dramatiq worker")
    consumer = capture.worker.consumers.get(queue) if queue in declared(capture.broker) else None
    if consumer is None:
        raise Refused(f"this worker does not take from {queue[:80]}", check="queue.unknown")
    return consumer


def shutdown_worker(capture: Capture) -> dict[str, Any]:
    """The `dramatiq` command ends all its worker processes: one alone it would take for a crash. Raises Unsupported, Refused."""
    if capture.worker is None:
        raise Unsupported("this process is no Dramatiq worker")
    parent = multiprocessing.parent_process()
    if parent is None or parent.pid != os.getppid():
        raise Refused("no `dramatiq` command stands above this worker, so nobody could end it in order")
    worker_end.signal_after_answer(pid=os.getppid())
    return {"note": "the command ends with all its worker processes, which finish what they run"}
