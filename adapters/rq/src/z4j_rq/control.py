# SPDX-License-Identifier: Apache-2.0
"""What may be asked of a worker itself: to pause a queue, and to end. RQ's own suspension stops every worker of a Redis, and lets one more
job of each through; so the taking of jobs is looked at instead.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from rq.exceptions import DequeueTimeout
from rq.queue import Queue

from z4j_agent.commands import worker_end
from z4j_agent.contract.adapter import Unsupported
from z4j_rq.job_hooks.patches import Patches
from z4j_rq.messages import ENGINE
from z4j_rq.queues import RqPart

LOOK_S = 0.5
"""How often a worker whose queues are all paused looks whether they still are."""


class Pausing:
    """Stands around `Queue.dequeue_any`, by which every worker takes its jobs. While nothing is paused it costs what `Holds` costs.
    `identify` takes a connection of a queue and gives the identity of its Redis."""

    def __init__(self, identify: Callable[[Any], str]) -> None:
        self._identify = identify

    def connect(self, patches: Patches) -> None:
        patches.around(Queue, "dequeue_any", self._dequeue_any)

    def _is_paused(self, queue: Queue) -> bool:
        return worker_end.is_paused(ENGINE, queue.name, lambda: self._identify(queue.connection))

    def _dequeue_any(self, dequeue: Any, cls: Any, queues: list[Queue], timeout: int | None, *args: Any, **kwargs: Any) -> Any:
        """As RQ's own, without the paused queues. A job that arrives while this waits, of a queue that was paused meanwhile, goes back
        to where it was taken from."""
        queues = list(queues)
        going = [queue for queue in queues if not self._is_paused(queue)]
        if len(going) < len(queues):
            if not going:
                if timeout is None:
                    return None  # a worker that ends when nothing is left
                time.sleep(min(LOOK_S, timeout))
                raise DequeueTimeout(timeout, "every queue is paused")
            # Not longer than a moment: the paused ones may go on.
            queues, timeout = going, timeout if timeout is None else min(timeout, 1)
        dequeued = dequeue(cls, queues, timeout, *args, **kwargs)
        if dequeued is not None and self._is_paused(dequeued[1]):
            job, queue = dequeued
            queue.push_job_id(job.id, at_front=True)
            raise DequeueTimeout(timeout or 0, "the queue was paused")
        return dequeued


class WorkerCommands(RqPart):
    """What may be asked of the worker that this process is."""

    def pause_queue(self, queue: str) -> dict[str, Any]:
        """In one Redis, in every one where none is named. Raises Unsupported in a process that is no worker."""
        self._need_worker()
        worker_end.pause(ENGINE, queue, self.only)
        return {"note": "no worker of this host and user takes from it until it is resumed"}

    def resume_queue(self, queue: str) -> dict[str, Any]:
        """Raises Unsupported in a process that is no worker."""
        self._need_worker()
        worker_end.resume(ENGINE, queue, self.only)
        return {}

    def shutdown_worker(self) -> dict[str, Any]:
        """RQ's warm shutdown, by its own signal. Raises Unsupported in a process that is no worker."""
        self._need_worker()
        worker_end.signal_after_answer()
        return {"note": "it finishes what it runs and ends; what supervises it may start it again"}

    def _need_worker(self) -> None:
        if not self.state.workers():
            raise Unsupported("this process is no RQ worker")
