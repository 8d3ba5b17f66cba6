# SPDX-License-Identifier: AGPL-3.0-or-later
"""Tasks that send to receivers, at most one for each receiver at a time, so that a slow receiver delays no other one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar, TypeVarTuple

Args = TypeVarTuple("Args")
T = TypeVar("T")
THREADS: Final = 8


class DeliveryTasks:
    """Of one kind of receivers, which are identified by number. `name` is that of the threads."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._threads: ThreadPoolExecutor | None = None
        self._running: dict[int, asyncio.Task[None]] = {}

    def finish(self) -> None:
        """Forgets the tasks that have ended. Raises what one of them raised."""
        for receiver in [receiver for receiver, task in self._running.items() if task.done()]:
            self._running.pop(receiver).result()

    def is_busy(self, receiver: int) -> bool:
        """Whether its task has not been seen to end."""
        return receiver in self._running

    def start(self, receiver: int, work: Coroutine[object, object, None]) -> None:
        """Starts the task of a receiver that is not busy."""
        self._running[receiver] = asyncio.create_task(work)

    async def in_thread(self, function: Callable[[*Args], T], *args: *Args) -> T:
        """Calls a function that blocks. The threads are created with the first call."""
        if self._threads is None:
            self._threads = ThreadPoolExecutor(THREADS, self._name)
        return await asyncio.get_running_loop().run_in_executor(self._threads, function, *args)

    async def settle(self) -> None:
        """Waits until all running tasks have ended. Raises what one of them raised."""
        await asyncio.gather(*self._running.values())

    async def close(self) -> None:
        """Cancels all running tasks, and waits for none of the threads."""
        for task in self._running.values():
            task.cancel()
        await asyncio.gather(*self._running.values(), return_exceptions=True)
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)
