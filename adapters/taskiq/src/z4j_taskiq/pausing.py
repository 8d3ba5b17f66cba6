# SPDX-License-Identifier: Apache-2.0
"""Pausing a queue. taskiq cannot do that, so the messages from a broker to its receiver pass through a gate."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

from z4j_agent.capture.guard import faults, let_through
from z4j_agent.commands import paused_queues
from z4j_agent.contract.adapter import Refused, Unsupported
from z4j_agent.runtime.patching import Patches
from z4j_taskiq.brokers.broker_identity import TaskiqPart, identity_of
from z4j_taskiq.brokers.connections import redis_kind
from z4j_taskiq.messages import ENGINE, queue_of

LOOK_S = 0.2


class QueueGate:
    """Wraps `broker.listen`."""

    def __init__(self, broker: Any) -> None:
        self._broker = broker
        self._check: paused_queues.PauseCheck | None = None
        """Created when the first message is awaited: until then an application may add queues to its broker."""

    def _gated(self, messages: Any) -> Any:
        """The result of `listen` behind the gate, if taskiq iterates over it. A shared broker's `listen` is a coroutine, which raises
        when it is awaited; that and any other result is passed on unchanged."""
        if hasattr(messages, "__anext__"):
            return Gated(self, messages)
        return Gated(self, aiter(messages)) if hasattr(messages, "__aiter__") else messages

    def connect(self, patches: Patches) -> None:
        """Wraps the broker's `listen`."""
        patches.around(self._broker, "listen", lambda listen, *args, **kwargs: self._gated(listen(*args, **kwargs)))

    def is_paused(self) -> bool:
        """Whether the broker's queue is paused. Costs a look at the clock in between; False if it cannot be determined. Never raises."""
        try:
            if self._check is None:
                self._check = paused_queues.PauseCheck(ENGINE, queue_of(self._broker, {}), partial(identity_of, self._broker))
            return self._check()
        except Exception as error:
            let_through(error)
            faults.report("checking whether a queue is paused", error)
            return False

    async def until_resumed(self) -> None:
        """Returns when the queue is not paused."""
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


class PauseCommands(TaskiqPart):
    """Pauses and resumes queues of this process's worker."""

    def pause_queue(self, queue: str) -> dict[str, Any]:
        """Pauses a queue in one broker, or in every one if none is named. Raises Unsupported in a process that is not a worker, Refused."""
        self._need_queue(queue)
        paused_queues.pause(ENGINE, queue, self.only)
        paused_queues.wait_for_checks()  # of the other workers of this host
        return {"note": "tasks that a worker has already taken continue; prefetched tasks still run"}

    def resume_queue(self, queue: str) -> dict[str, Any]:
        """Resumes a queue. Raises Unsupported in a process that is not a worker, Refused."""
        self._need_queue(queue)
        paused_queues.resume(ENGINE, queue, self.only)
        return {}

    def _need_queue(self, queue: str) -> None:
        """Checks that this process's worker takes from a queue. Raises Unsupported in a process without a worker, Refused otherwise."""
        listening = self.listening()
        if not listening:
            raise Unsupported("this process is not a taskiq worker")
        if all(queue_of(state.broker, {}) != queue for state in listening):
            raise Refused(f"this worker does not take from {queue[:80]}. No changes were made.", check="queue.unknown")
