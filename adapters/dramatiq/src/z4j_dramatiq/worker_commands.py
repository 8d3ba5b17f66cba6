# SPDX-License-Identifier: Apache-2.0
"""Commands for workers: shutdown."""

from __future__ import annotations

import multiprocessing
import os
from typing import Any

from z4j_agent.commands import worker_end
from z4j_agent.contract.adapter import Refused, Unsupported
from z4j_dramatiq.broker_identity import DramatiqPart


class WorkerCommands(DramatiqPart):
    """Commands for the worker of this process."""

    def shutdown_worker(self) -> dict[str, Any]:
        """Shuts down the `dramatiq` command with all its worker processes: it would treat the end of a single one as a crash. Raises
        Unsupported, Refused."""
        if self.state.worker is None:
            raise Unsupported("this process is not a Dramatiq worker")
        parent = multiprocessing.parent_process()
        if parent is None or parent.pid != os.getppid():
            raise Refused("this worker was not started by `dramatiq`, so it cannot be shut down gracefully")
        worker_end.signal_after_answer(pid=os.getppid())
        return {"note": "the command ends with all its worker processes, which finish their running tasks"}
