# SPDX-License-Identifier: Apache-2.0
"""Measures what a run of a task uses: CPU time and the highest memory, as far as the operating system reports them for one call.

CPU time is that of the process for a child that executes one task at a time, else that of the thread. Tasks that share a thread with
others (asyncio, greenlets) have no CPU time of their own, and none is reported for them. The highest memory (`ru_maxrss`) is always that of
the process since it started; its increase during the run shows whether the run caused it, if nothing else ran at the same time.
"""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING, Any, Final

from z4j_agent.capture.guard import faults, let_through
from z4j_agent.runtime.native_threads import has_green_threads

if TYPE_CHECKING:
    from z4j_agent.capture.current_run import CurrentRun

try:
    import resource
except ImportError:  # not a Unix
    resource = None  # type: ignore[assignment]

PROCESS, THREAD, SHARED = 0, 1, 2
BYTES_OF_UNIT: Final = 1 if sys.platform == "darwin" else 1024
"""Of `ru_maxrss`."""
_OF_PROCESS: Final = 0 if resource is None else resource.RUSAGE_SELF
_WHO: Final = (_OF_PROCESS, getattr(resource, "RUSAGE_THREAD", _OF_PROCESS), _OF_PROCESS)
"""Of each scope, whose usage is measured."""


def begin(agent: Any, run: CurrentRun) -> None:
    """Call it in the thread of the run, right before the task's function. Never raises."""
    if resource is None:
        return
    try:
        is_shared = run.asyncio_task is not None or has_green_threads()
        scope = SHARED if is_shared else PROCESS if agent.is_worker_child else THREAD
        run.usage_began = scope, resource.getrusage(_WHO[scope])
    except Exception as error:
        let_through(error)
        faults.report("run usage", error)


def end(run: CurrentRun) -> None:
    """Sets `run.usage`, what `used` returns. Call it in the thread of the run, right after the task's function. Never raises."""
    if run.usage_began is None:
        return
    try:
        scope, before = run.usage_began
        after = resource.getrusage(_WHO[scope])  # one system call gives the CPU time and the memory
        is_other = scope == THREAD and run.thread != threading.get_ident()
        if is_other and run.usage:
            return
        cpu_us = -1
        if scope != SHARED and not is_other:
            cpu_us = max(round((after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) * 1e6), 0)
        peak = max(after.ru_maxrss, 0)
        rise = max(peak - before.ru_maxrss, 0)
        run.usage = (
            f",[{cpu_us},{THREAD if scope == THREAD else PROCESS},{peak * BYTES_OF_UNIT // 1024},{rise * BYTES_OF_UNIT // 1024},"
            f"{1 if run.is_own_process else 0}]"
        )
    except Exception as error:
        let_through(error)
        faults.report("run usage", error)


def measure(run: CurrentRun | None) -> None:
    """Like `end`, where the end of the run is reported in another thread later. None is ignored."""
    if run is not None:
        end(run)


def used(run: CurrentRun | None) -> str:
    """Returns the last field of the record of a run's end as JSON text with a comma before it, "" for none: microseconds of CPU (-1 if not
    measured), whose (0 the process, 1 the thread), highest memory and its rise in KiB, 1 for a process of this run only. If the run has not
    ended, measures it up to now, as `end` does."""
    if run is None:
        return ""
    if not run.has_ended:
        end(run)
    return run.usage
