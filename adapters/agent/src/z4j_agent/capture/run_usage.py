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

from z4j_agent.capture.guard import guard
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


@guard("run usage")
def begin(agent: Any, run: CurrentRun) -> None:
    """Call it in the thread of the run, right before the task's function."""
    if resource is not None:
        is_shared = run.asyncio_task is not None or has_green_threads()
        scope = SHARED if is_shared else PROCESS if agent.is_worker_child else THREAD
        run.usage_began = scope, _usage(scope)


@guard("run usage")
def end(run: CurrentRun) -> None:
    """Sets `run.usage`, what `used` returns. Call it in the thread of the run, right after the task's function."""
    if run.usage_began is None:
        return
    scope, (cpu_before, peak_before) = run.usage_began
    cpu, peak = _usage(scope)
    is_other = scope == THREAD and run.thread != threading.get_ident()
    if is_other and run.usage:
        return
    cpu_us = -1 if scope == SHARED or is_other else max(round((cpu - cpu_before) * 1e6), 0)
    run.usage = f",[{cpu_us},{THREAD if scope == THREAD else PROCESS},{_kib(peak)},{_kib(peak - peak_before)},{int(run.is_own_process)}]"


def measure(run: CurrentRun | None) -> None:
    """Like `end`, where the end of the run is reported in another thread later. None is ignored."""
    if run is not None:
        end(run)


def used(run: CurrentRun | None) -> str:
    """The last field of the record of a run's end, so far if it has not ended: as text with a comma before it, "" for none."""
    if run is None:
        return ""
    if not run.has_ended:
        end(run)
    return run.usage


def _usage(scope: int) -> tuple[float, int]:
    """Seconds of CPU, and `ru_maxrss`. One system call gives both."""
    who = getattr(resource, "RUSAGE_THREAD", resource.RUSAGE_SELF) if scope == THREAD else resource.RUSAGE_SELF
    used: Any = resource.getrusage(who)
    return used.ru_utime + used.ru_stime, used.ru_maxrss


def _kib(peak: int) -> int:
    return max(peak, 0) * BYTES_OF_UNIT // 1024
