# SPDX-License-Identifier: Apache-2.0
"""What may be asked of a worker itself: to pause a queue, and to end. RQ's own suspension stops every worker of a Redis, and lets one more
job of each through; so the taking of jobs is looked at instead.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from typing import TYPE_CHECKING, Any

from rq.exceptions import DequeueTimeout
from rq.queue import Queue

from z4j_agent.adapter import Unsupported
from z4j_agent.holds import Holds, own_holds
from z4j_rq.facts import ENGINE

if TYPE_CHECKING:
    from z4j_rq.capture import Capture

LOOK_S = 0.5
"""How often a worker whose queues are all paused looks whether they still are."""
ANSWER_S = 0.3
"""So long the answer to a command has before the process it came from begins to end."""


class Pausing:
    """Stands around `Queue.dequeue_any`, by which every worker takes its jobs. Costs one `stat` for each job while nothing is paused."""

    def __init__(self) -> None:
        self._original: Any = None

    @property
    def holds(self) -> Holds:
        """Those of this process's spool folder."""
        return own_holds(ENGINE)

    def connect(self) -> None:
        self._original = Queue.__dict__["dequeue_any"]
        Queue.dequeue_any = classmethod(self._dequeue_any)

    def disconnect(self) -> None:
        if self._original is not None:
            Queue.dequeue_any = self._original
            self._original = None

    def _dequeue_any(self, cls: Any, queues: list[Queue], timeout: int | None, *args: Any, **kwargs: Any) -> Any:
        """As RQ's own, without the paused queues. A job that arrives while this waits, of a queue that was paused meanwhile, goes back
        to where it was taken from."""
        held = self.holds.queues()
        if held:
            queues = [queue for queue in queues if queue.name not in held]
            if not queues:
                if timeout is None:
                    return None  # a worker that ends when nothing is left
                time.sleep(min(LOOK_S, timeout))
                raise DequeueTimeout(timeout, "every queue is paused")
            # Not longer than a moment: the paused ones may go on.
            timeout = timeout if timeout is None else min(timeout, 1)
        found = self._original.__func__(cls, queues, timeout, *args, **kwargs)
        if found is not None and self.holds.is_held(found[1].name):
            job, queue = found
            queue.push_job_id(job.id, at_front=True)
            raise DequeueTimeout(timeout or 0, "the queue was paused")
        return found


def pause_queue(capture: Capture, queue: str) -> dict[str, Any]:
    """Raises Unsupported in a process that is no worker."""
    _need_worker(capture)
    capture.pausing.holds.hold(queue)
    return {"note": "no worker of this host and user takes from it until it is resumed"}


def resume_queue(capture: Capture, queue: str) -> dict[str, Any]:
    """Raises Unsupported in a process that is no worker."""
    _need_worker(capture)
    capture.pausing.holds.release(queue)
    return {}


def shutdown_worker(capture: Capture) -> dict[str, Any]:
    """RQ's warm shutdown, by its own signal. Raises Unsupported in a process that is no worker."""
    _need_worker(capture)
    threading.Timer(ANSWER_S, os.kill, (os.getpid(), signal.SIGTERM)).start()
    return {"note": "it finishes what it runs and ends; what supervises it may start it again"}


def _need_worker(capture: Capture) -> None:
    if not capture.workers():
        raise Unsupported("this process is no RQ worker")
