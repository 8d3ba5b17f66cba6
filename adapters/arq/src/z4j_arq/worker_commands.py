# SPDX-License-Identifier: Apache-2.0
"""Commands for workers: shutdown."""

from __future__ import annotations

import asyncio
import signal
from typing import Any

from z4j_agent.commands import worker_end
from z4j_agent.contract.adapter import Unsupported
from z4j_arq.queues import ArqPart
from z4j_arq.state import ArqState

LOOK_S = 0.1


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
