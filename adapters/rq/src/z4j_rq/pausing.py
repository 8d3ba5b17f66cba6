# SPDX-License-Identifier: Apache-2.0
"""Pausing a queue. RQ's own suspension stops every worker of a Redis, and only after one more job each; so the method that takes jobs
is wrapped instead.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from rq.exceptions import DequeueTimeout
from rq.queue import Queue

from z4j_agent.commands import paused_queues
from z4j_rq.job_hooks.patches import Patches
from z4j_rq.messages import ENGINE
from z4j_rq.queues import RqPart
from z4j_rq.worker_commands import need_worker

LOOK_S = 0.5
"""Seconds between two checks by a worker whose queues are all paused."""


class Pausing:
    """Wraps `Queue.dequeue_any`, with which every worker takes its jobs. While nothing is paused it costs a look at the clock.
    `identify` takes a connection of a queue and returns the identity of its Redis."""

    def __init__(self, identify: Callable[[Any], str]) -> None:
        self._identify = identify
        self._is_nothing_paused = paused_queues.EmptyCheck(ENGINE)

    def connect(self, patches: Patches) -> None:
        """Wraps `Queue.dequeue_any`."""
        patches.around(Queue, "dequeue_any", self._dequeue_any)

    def _is_paused(self, queue: Queue) -> bool:
        if self._is_nothing_paused():
            return False
        return paused_queues.is_paused(ENGINE, queue.name, lambda: self._identify(queue.connection))

    def _dequeue_any(self, dequeue: Any, cls: Any, queues: list[Queue], timeout: int | None, *args: Any, **kwargs: Any) -> Any:
        """Like RQ's own, without the paused queues. A job from a queue that was paused during the wait is returned to its position."""
        queues = list(queues)
        going = [queue for queue in queues if not self._is_paused(queue)]
        if len(going) < len(queues):
            if not going:
                if timeout is None:
                    return None  # a worker that ends when no job is left
                time.sleep(min(LOOK_S, timeout))
                raise DequeueTimeout(timeout, "every queue is paused")
            # Only for a short time: the paused queues may be resumed.
            queues, timeout = going, timeout if timeout is None else min(timeout, 1)
        dequeued = dequeue(cls, queues, timeout, *args, **kwargs)
        if dequeued is not None and self._is_paused(dequeued[1]):
            job, queue = dequeued
            queue.push_job_id(job.id, at_front=True)
            raise DequeueTimeout(timeout or 0, "the queue was paused")
        return dequeued


class PauseCommands(RqPart):
    """Pauses and resumes queues of this process's worker."""

    def pause_queue(self, queue: str) -> dict[str, Any]:
        """Pauses a queue in one Redis, or in every one if none is named. Raises Unsupported in a process that is not a worker."""
        need_worker(self.state)
        paused_queues.pause(ENGINE, queue, self.only)
        paused_queues.wait_for_checks()  # of the other workers of this host
        return {"note": "no worker of this host and user takes from it until it is resumed"}

    def resume_queue(self, queue: str) -> dict[str, Any]:
        """Resumes a queue. Raises Unsupported in a process that is not a worker."""
        need_worker(self.state)
        paused_queues.resume(ENGINE, queue, self.only)
        return {}
