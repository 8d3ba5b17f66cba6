# SPDX-License-Identifier: Apache-2.0
"""Commands for workers: pausing queues, and shutdown. taskiq cannot pause a queue, so the messages from a broker to its receiver pass
through a gate.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Sequence
from functools import partial
from typing import Any

from z4j_agent.capture.guard import faults, let_through
from z4j_agent.commands import worker_end
from z4j_agent.contract.adapter import Refused, Unsupported
from z4j_agent.runtime.patching import Patches
from z4j_taskiq.broker_identity import TaskiqPart, identity_of
from z4j_taskiq.messages import ENGINE, queue_of
from z4j_taskiq.queues import redis_kind
from z4j_taskiq.state import BrokerState

LOOK_S = 0.2


class QueueGate:
    """Wraps `broker.listen`. While nothing is paused it costs one check of `PausedQueues`."""

    def __init__(self, broker: Any) -> None:
        self._broker = broker

    def _gated(self, messages: Any) -> Any:
        """The result of `listen` behind the gate, if taskiq iterates over it. A shared broker's `listen` is a coroutine, which raises
        when it is awaited; that and any other result is passed on unchanged."""
        if hasattr(messages, "__anext__"):
            return Gated(self, messages)
        return Gated(self, aiter(messages)) if hasattr(messages, "__aiter__") else messages

    def connect(self, patches: Patches) -> None:
        patches.around(self._broker, "listen", lambda listen, *args, **kwargs: self._gated(listen(*args, **kwargs)))

    def is_paused(self) -> bool:
        try:
            return worker_end.is_paused(ENGINE, queue_of(self._broker, {}), partial(identity_of, self._broker))
        except Exception as error:
            let_through(error)
            faults.report("checking whether a queue is paused", error)
            return False

    async def until_resumed(self) -> None:
        while self.is_paused():  # noqa: ASYNC110 -- a file contains it, not an event of this loop
            await asyncio.sleep(LOOK_S)

    async def has_put_back(self, message: Any) -> bool:
        """Returns a message to its queue as the next one. Returns whether that was possible: only a Redis list supports it."""
        if redis_kind(self._broker) != "list":
            return False
        from redis.asyncio import Redis

        async with Redis(connection_pool=self._broker.connection_pool) as client:
            await client.rpush(queue_of(self._broker, {}), message)
        return True


class Gated:
    """Iterates over the result of a broker's `listen`, with the gate before each message. Closing and exceptions are the broker's own."""

    def __init__(self, gate: QueueGate, messages: Any) -> None:
        self._gate, self._messages = gate, messages

    def __getattr__(self, name: str) -> Any:
        return getattr(self._messages, name)

    def __aiter__(self) -> Gated:
        return self

    async def __anext__(self) -> Any:
        """A message that arrives while its queue is paused is returned to a Redis list as the next one; in any other broker it stays
        delivered and not acknowledged until the queue is resumed."""
        while True:
            await self._gate.until_resumed()
            message = await anext(self._messages)
            if not self._gate.is_paused():
                return message
            if not await self._gate.has_put_back(message):
                await self._gate.until_resumed()
                return message
            if _is_being_cancelled():  # the broker responded anyway; no other message is awaited
                raise asyncio.CancelledError


def _is_being_cancelled() -> bool:
    cancelling = getattr(asyncio.current_task(), "cancelling", None)  # Python 3.11
    return cancelling is not None and cancelling() > 0


def _end(manager: int, states: Sequence[BrokerState]) -> None:
    """Repeats until this process has ended: the loop may wait again between the two signals, before it has seen the event."""
    time.sleep(worker_end.ANSWER_S)
    try:
        os.kill(manager, signal.SIGTERM)
        while True:
            time.sleep(LOOK_S)
            wake_stopping(states)
    except Exception as error:
        faults.report("ending a worker", error)


def wake_stopping(states: Sequence[BrokerState]) -> None:
    """Wakes a worker that was requested to stop while it waits for a message: taskiq's handler sets an asyncio event, which does not
    wake the loop (taskiq/cli/worker/run.py: `interrupt_handler`). Called with every heartbeat, because a manager stops all its workers."""
    if not _is_asked_to_stop():
        return
    for state in states:
        if state.receiver is not None and state.loop is not None and not state.loop.is_closed():
            state.loop.call_soon_threadsafe(_nothing)


def _is_asked_to_stop() -> bool:
    handler: Any = signal.getsignal(signal.SIGTERM)
    names = getattr(getattr(handler, "__code__", None), "co_freevars", ())
    return "shutdown_event" in names and bool(handler.__closure__[names.index("shutdown_event")].cell_contents.is_set())


def _nothing() -> None:
    """Wakes the loop, which is sufficient."""


class WorkerCommands(TaskiqPart):
    """Commands for the worker of this process."""

    def pause_queue(self, queue: str) -> dict[str, Any]:
        """Pauses a queue in one broker, or in every one if none is named. Raises Unsupported in a process that is not a worker, Refused."""
        self._need_queue(queue)
        worker_end.pause(ENGINE, queue, self.only)
        return {"note": "tasks that a worker has already taken continue; prefetched tasks still run"}

    def resume_queue(self, queue: str) -> dict[str, Any]:
        """Resumes a queue. Raises Unsupported in a process that is not a worker, Refused."""
        self._need_queue(queue)
        worker_end.resume(ENGINE, queue, self.only)
        return {}

    def shutdown_worker(self) -> dict[str, Any]:
        """Shuts down the manager with all its worker processes: it would restart a single one. Raises Unsupported, Refused."""
        if all(state.receiver is None for state in self.states):
            raise Unsupported("this process is not a taskiq worker")
        manager = multiprocessing.parent_process()
        if manager is None or manager.pid != os.getppid():
            raise Refused("this worker was not started by taskiq's process manager, so it cannot be shut down gracefully")
        threading.Thread(target=_end, args=(os.getppid(), self.states), name="z4j-taskiq-end", daemon=True).start()
        return {"note": "its manager ends with all its worker processes; each finishes its running tasks within its own time limit"}

    def _need_queue(self, queue: str) -> None:
        """Checks that this process's worker takes from a queue. Raises Unsupported in a process without a worker, Refused otherwise."""
        listening = self.listening()
        if not listening:
            raise Unsupported("this process is not a taskiq worker")
        if all(queue_of(state.broker, {}) != queue for state in listening):
            raise Refused(f"this worker does not take from {queue[:80]}. No changes were made.", check="queue.unknown")
