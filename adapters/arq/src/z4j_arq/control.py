# SPDX-License-Identifier: Apache-2.0
"""What may be asked of a worker itself: to pause its queue, and to end when it has finished."""

from __future__ import annotations

import asyncio
import signal
from functools import partial
from typing import TYPE_CHECKING, Any

from z4j_agent import worker_end
from z4j_agent.adapter import Refused, Unsupported
from z4j_arq.facts import ENGINE

if TYPE_CHECKING:
    from z4j_arq.capture import Capture

LOOK_S = 0.1


def hold_again(capture: Capture, worker: Any) -> None:
    """A worker has just begun: what was paused stays so."""
    identify = partial(capture.known.identity_of_worker, worker)
    worker_end.pause_again(ENGINE, str(worker.queue_name), identify, partial(setattr, worker, "allow_pick_jobs"))


def pause_queue(capture: Capture, queue: str, broker: str) -> dict[str, Any]:
    """By arq's own switch, which its worker reads before each look into the queue; in one Redis, in every one where none is named.
    Raises Unsupported, Refused."""
    workers = _of(capture, queue, broker)
    worker_end.pause(ENGINE, queue, broker)
    for worker in workers:
        worker.allow_pick_jobs = False
    return {"note": "what runs goes on; cron jobs are still enqueued, and wait"}


def resume_queue(capture: Capture, queue: str, broker: str) -> dict[str, Any]:
    """Raises Unsupported, Refused."""
    workers = _of(capture, queue, broker)
    worker_end.resume(ENGINE, queue, broker)
    for worker in workers:
        if id(worker) not in capture.stopping and id(worker) not in capture.ending:
            worker.allow_pick_jobs = not worker_end.is_paused(ENGINE, queue, partial(capture.known.identity_of_worker, worker))
    return {}


def _of(capture: Capture, queue: str, broker: str) -> list[Any]:
    if not capture.workers:
        raise Unsupported("this process is no arq worker")
    found = [worker for worker in capture.workers if worker.queue_name == queue]
    if broker:
        found = [worker for worker in found if capture.known.identity_of_worker(worker) == broker]
    if not found:
        where = f" in {broker[:120]}" if broker else ""
        raise Refused(f"this worker does not take from {queue[:80]}{where}", check="queue.unknown")
    return found


def shutdown_worker(capture: Capture) -> dict[str, Any]:
    """arq's own answer to a signal is to cancel what runs, unless `job_completion_wait` says otherwise; so the signal is given when
    nothing runs any more. Raises Unsupported.
    """
    if not capture.workers:
        raise Unsupported("this process is no arq worker")
    for worker in list(capture.workers):
        if id(worker) not in capture.ending:
            capture.ending[id(worker)] = None
            worker.loop.call_soon_threadsafe(_begin_to_end, capture, worker)
    return {"note": "the worker takes no more jobs and ends when those it runs are over"}


def _begin_to_end(capture: Capture, worker: Any) -> None:
    """In the worker's loop, which keeps only weak references to its tasks."""
    worker.allow_pick_jobs = False
    capture.ending[id(worker)] = worker.loop.create_task(_end(worker))


async def _end(worker: Any) -> None:
    await asyncio.sleep(worker_end.ANSWER_S)
    while any(not task.done() for task in worker.tasks.values()):  # noqa: ASYNC110 -- arq has no event for it
        await asyncio.sleep(LOOK_S)
    worker.handle_sig(signal.SIGTERM)
