# SPDX-License-Identifier: Apache-2.0
"""Commands for workers: shutdown."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Sequence
from typing import Any

from z4j_agent.capture.guard import faults
from z4j_agent.commands import worker_end
from z4j_agent.contract.adapter import Refused, Unsupported
from z4j_taskiq.brokers.broker_identity import TaskiqPart
from z4j_taskiq.state import BrokerState

LOOK_S = 0.2


def _end(manager: int, states: Sequence[BrokerState]) -> None:
    """Repeats until this process has ended: the loop may wait again between the two signals, before it has seen the event."""
    time.sleep(worker_end.ANSWER_S)
    try:
        os.kill(manager, signal.SIGTERM)
        while True:
            time.sleep(LOOK_S)
            wake_stopping(states)
    except Exception as error:
        faults.report("ending a worker", error)


def wake_stopping(states: Sequence[BrokerState]) -> None:
    """Wakes a worker that was requested to stop while it waits for a message: taskiq's handler sets an asyncio event, which does not
    wake the loop (taskiq/cli/worker/run.py: `interrupt_handler`). Called with every heartbeat, because a manager stops all its workers."""
    if not _is_asked_to_stop():
        return
    for state in states:
        if state.receiver is not None and state.loop is not None and not state.loop.is_closed():
            state.loop.call_soon_threadsafe(_nothing)


def _is_asked_to_stop() -> bool:
    handler: Any = signal.getsignal(signal.SIGTERM)
    names = getattr(getattr(handler, "__code__", None), "co_freevars", ())
    return "shutdown_event" in names and bool(handler.__closure__[names.index("shutdown_event")].cell_contents.is_set())


def _nothing() -> None:
    """Wakes the loop, which is sufficient."""


class WorkerCommands(TaskiqPart):
    """Commands for the worker of this process."""

    def shutdown_worker(self) -> dict[str, Any]:
        """Shuts down the manager with all its worker processes: it would restart a single one. Raises Unsupported, Refused."""
        if all(state.receiver is None for state in self.states):
            raise Unsupported("this process is not a taskiq worker")
        manager = multiprocessing.parent_process()
        if manager is None or manager.pid != os.getppid():
            raise Refused("this worker was not started by taskiq's process manager, so it cannot be shut down gracefully")
        threading.Thread(target=_end, args=(os.getppid(), self.states), name="z4j-taskiq-end", daemon=True).start()
        return {"note": "its manager ends with all its worker processes; each finishes its running tasks within its own time limit"}
