# SPDX-License-Identifier: Apache-2.0
"""Pausing a queue: arq's own flag of each worker of this process."""

from __future__ import annotations

from functools import partial
from typing import Any

from z4j_agent.commands import paused_queues
from z4j_agent.contract.adapter import Refused, Unsupported
from z4j_arq.messages import ENGINE
from z4j_arq.queues import ArqPart
from z4j_arq.state import ArqState


def reapply_pauses(state: ArqState, worker: Any) -> None:
    """Applies stored pauses to a worker that has just started."""
    identify = partial(state.known.identity_of_worker, worker)
    paused_queues.reapply_pause(ENGINE, str(worker.queue_name), identify, partial(setattr, worker, "allow_pick_jobs"))


class PauseCommands(ArqPart):
    """Pauses and resumes queues of this process's workers."""

    def pause_queue(self, queue: str) -> dict[str, Any]:
        """Pauses a queue with arq's own flag, which its worker checks before each read of the queue; in one Redis, or in every one if
        none is named. Raises Unsupported, Refused."""
        workers = self._workers_of(queue)
        paused_queues.pause(ENGINE, queue, self.only)
        for worker in workers:
            worker.allow_pick_jobs = False
        return {"note": "running tasks continue; cron jobs are still enqueued, and wait"}

    def resume_queue(self, queue: str) -> dict[str, Any]:
        """Resumes a queue. Raises Unsupported, Refused."""
        workers = self._workers_of(queue)
        paused_queues.resume(ENGINE, queue, self.only)
        for worker in workers:
            if id(worker) not in self.state.stopping and id(worker) not in self.state.ending:
                worker.allow_pick_jobs = not paused_queues.is_paused(ENGINE, queue, partial(self.state.known.identity_of_worker, worker))
        return {}

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
