# SPDX-License-Identifier: Apache-2.0
"""Commands for workers: pausing their queue, and shutdown."""

from __future__ import annotations

import asyncio
import signal
from functools import partial
from typing import Any

from z4j_agent.commands import worker_end
from z4j_agent.contract.adapter import Refused, Unsupported
from z4j_arq.messages import ENGINE
from z4j_arq.queues import ArqPart
from z4j_arq.state import ArqState

LOOK_S = 0.1


def reapply_pauses(state: ArqState, worker: Any) -> None:
    """Applies stored pauses to a worker that has just started."""
    identify = partial(state.known.identity_of_worker, worker)
    worker_end.reapply_pause(ENGINE, str(worker.queue_name), identify, partial(setattr, worker, "allow_pick_jobs"))


def _begin_to_end(state: ArqState, worker: Any) -> None:
    """Runs in the worker's loop, which keeps only weak references to its tasks."""
    worker.allow_pick_jobs = False
    state.ending[id(worker)] = worker.loop.create_task(_end(worker))


async def _end(worker: Any) -> None:
    await asyncio.sleep(worker_end.ANSWER_S)
    while any(not task.done() for task in worker.tasks.values()):  # noqa: ASYNC110 -- arq has no event for it
        await asyncio.sleep(LOOK_S)
    worker.handle_sig(signal.SIGTERM)


class WorkerCommands(ArqPart):
    """Commands for the workers of this process."""

    def pause_queue(self, queue: str) -> dict[str, Any]:
        """Pauses a queue with arq's own flag, which its worker checks before each read of the queue; in one Redis, or in every one if
        none is named. Raises Unsupported, Refused."""
        workers = self._workers_of(queue)
        worker_end.pause(ENGINE, queue, self.only)
        for worker in workers:
            worker.allow_pick_jobs = False
        return {"note": "running tasks continue; cron jobs are still enqueued, and wait"}

    def resume_queue(self, queue: str) -> dict[str, Any]:
        """Resumes a queue. Raises Unsupported, Refused."""
        workers = self._workers_of(queue)
        worker_end.resume(ENGINE, queue, self.only)
        for worker in workers:
            if id(worker) not in self.state.stopping and id(worker) not in self.state.ending:
                worker.allow_pick_jobs = not worker_end.is_paused(ENGINE, queue, partial(self.state.known.identity_of_worker, worker))
        return {}

    def shutdown_worker(self) -> dict[str, Any]:
        """Shuts the workers down. At a signal arq cancels its running jobs, unless `job_completion_wait` is set; so the signal is sent
        when no job runs. Raises Unsupported.
        """
        if not self.state.workers:
            raise Unsupported("this process is not an arq worker")
        for worker in list(self.state.workers):
            if id(worker) not in self.state.ending:
                self.state.ending[id(worker)] = None
                worker.loop.call_soon_threadsafe(_begin_to_end, self.state, worker)
        return {"note": "the worker takes no more jobs and ends when its running jobs have finished"}

    def _workers_of(self, queue: str) -> list[Any]:
        """The workers of this process that take from the queue. Raises Unsupported, Refused."""
        if not self.state.workers:
            raise Unsupported("this process is not an arq worker")
        workers = [worker for worker in self.state.workers if worker.queue_name == queue]
        if self.only:
            workers = [worker for worker in workers if self.state.known.identity_of_worker(worker) == self.only]
        if not workers:
            where = f" in {self.only[:120]}" if self.only else ""
            raise Refused(f"this worker does not take from {queue[:80]}{where}", check="queue.unknown")
        return workers
