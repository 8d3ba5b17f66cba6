# SPDX-License-Identifier: Apache-2.0
"""What may be asked of a worker itself: to pause a queue, and to end. taskiq has no pause of its own; so the messages a broker hands to
its receiver pass through a gate.
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
    """Stands in front of `broker.listen`. While nothing is paused it costs what `Holds` costs."""

    def __init__(self, broker: Any) -> None:
        self._broker = broker

    def _gated(self, messages: Any) -> Any:
        """Behind the gate, where it is what taskiq iterates over. A shared broker's `listen` is a coroutine, which raises when it is
        awaited; that and anything else is passed on as it is."""
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
            faults.report("asking whether a queue is paused", error)
            return False

    async def until_resumed(self) -> None:
        while self.is_paused():  # noqa: ASYNC110 -- a file says it, and no event of this loop's
            await asyncio.sleep(LOOK_S)

    async def has_put_back(self, message: Any) -> bool:
        """Whether it is in its queue again, as the next: only a Redis list can have it so."""
        if redis_kind(self._broker) != "list":
            return False
        from redis.asyncio import Redis

        async with Redis(connection_pool=self._broker.connection_pool) as client:
            await client.rpush(queue_of(self._broker, {}), message)
        return True


class Gated:
    """What a broker's `listen` has returned, with the gate before each message. Everything else is the broker's own: how it is closed,
    and what it raises."""

    def __init__(self, gate: QueueGate, messages: Any) -> None:
        self._gate, self._messages = gate, messages

    def __getattr__(self, name: str) -> Any:
        return getattr(self._messages, name)

    def __aiter__(self) -> Gated:
        return self

    async def __anext__(self) -> Any:
        """A message that arrives while its queue is paused goes back to where a Redis list has it next; any other broker keeps it as
        handed out and not acknowledged, until the queue goes on."""
        while True:
            await self._gate.until_resumed()
            message = await anext(self._messages)
            if not self._gate.is_paused():
                return message
            if not await self._gate.has_put_back(message):
                await self._gate.until_resumed()
                return message
            if _is_being_cancelled():  # the broker answered all the same; nobody waits for another message
                raise asyncio.CancelledError


def _is_being_cancelled() -> bool:
    cancelling = getattr(asyncio.current_task(), "cancelling", None)  # Python 3.11
    return cancelling is not None and cancelling() > 0


def _end(manager: int, states: Sequence[BrokerState]) -> None:
    """Until this process is gone: between the two signals there is time, and the loop may wait anew before it has seen the event."""
    time.sleep(worker_end.ANSWER_S)
    try:
        os.kill(manager, signal.SIGTERM)
        while True:
            time.sleep(LOOK_S)
            wake_stopping(states)
    except Exception as error:
        faults.report("ending a worker", error)


def wake_stopping(states: Sequence[BrokerState]) -> None:
    """A worker that was told to stop and waits for a message does not know it yet: taskiq's handler sets an event of asyncio's, which
    wakes nobody (taskiq/cli/worker/run.py: `interrupt_handler`). Called with every heartbeat, for a manager tells all its workers."""
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
    """All that is needed is that the loop goes round."""


class WorkerCommands(TaskiqPart):
    """What may be asked of the worker that this process is."""

    def pause_queue(self, queue: str) -> dict[str, Any]:
        """In one broker, in every one where none is named. Raises Unsupported in a process that is no worker, Refused."""
        self._need_queue(queue)
        worker_end.pause(ENGINE, queue, self.only)
        return {"note": "what a worker had taken before goes on; tasks that were fetched in advance still run"}

    def resume_queue(self, queue: str) -> dict[str, Any]:
        """Raises Unsupported in a process that is no worker, Refused."""
        self._need_queue(queue)
        worker_end.resume(ENGINE, queue, self.only)
        return {}

    def shutdown_worker(self) -> dict[str, Any]:
        """The manager ends all its worker processes: one alone it would start again. Raises Unsupported, Refused."""
        if all(state.receiver is None for state in self.states):
            raise Unsupported("this process is no taskiq worker")
        manager = multiprocessing.parent_process()
        if manager is None or manager.pid != os.getppid():
            raise Refused("this worker was not started by taskiq's process manager, so it cannot be shut down gracefully")
        threading.Thread(target=_end, args=(os.getppid(), self.states), name="z4j-taskiq-end", daemon=True).start()
        return {"note": "its manager ends with all its worker processes; each finishes what it runs within its own time limit"}

    def _need_queue(self, queue: str) -> None:
        """Raises Unsupported in a process that is no worker, Refused where it does not take from that queue."""
        listening = self.listening()
        if not listening:
            raise Unsupported("this process is no taskiq worker")
        if all(queue_of(state.broker, {}) != queue for state in listening):
            raise Refused(f"this worker does not take from {queue[:80]}", check="queue.unknown")
