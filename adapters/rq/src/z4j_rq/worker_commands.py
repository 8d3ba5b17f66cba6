# SPDX-License-Identifier: Apache-2.0
"""Commands for workers: shutdown."""

from __future__ import annotations

from typing import Any

from z4j_agent.commands import worker_end
from z4j_agent.contract.adapter import Unsupported
from z4j_rq.queues import RqPart
from z4j_rq.state import RqState


def need_worker(state: RqState) -> None:
    """Raises Unsupported in a process that is not a worker."""
    if not state.workers():
        raise Unsupported("this process is not an RQ worker")


class WorkerCommands(RqPart):
    """Commands for the worker of this process."""

    def shutdown_worker(self) -> dict[str, Any]:
        """Starts RQ's warm shutdown with its own signal. Raises Unsupported in a process that is not a worker."""
        need_worker(self.state)
        worker_end.signal_after_answer()
        return {"note": "the worker finishes its running task and ends. A supervisor may restart it."}
