# SPDX-License-Identifier: Apache-2.0
"""What this process is: the tasks it has met, the worker, and what it runs now."""

from __future__ import annotations

import os
import sys
from types import FunctionType
from typing import TYPE_CHECKING

from rq.worker import SimpleWorker

from z4j_agent.adapter import Finding, RunningTask, TaskInfo, WorkerInfo
from z4j_agent.hooks import signature_of
from z4j_rq.facts import function_of, is_spawning

if TYPE_CHECKING:
    from z4j_rq.capture import Capture


def list_tasks(capture: Capture) -> list[TaskInfo]:
    """RQ registers nothing. Listed are functions with `@job` in the modules that are loaded, and every name that was met here."""
    names = dict(_decorated()) | {name: queue for name, queue in list(capture.names.items()) if name}
    found = []
    for name, queue in sorted(names.items()):
        function = function_of(name)
        signature, doc = signature_of(function) if function is not None else ("(…)", "")
        found.append(TaskInfo(name, signature, doc, queue))
    return found


def _decorated() -> list[tuple[str, str]]:
    """(name, "") of every function that RQ's `@job` has given a `delay` of its own."""
    found = []
    for module_name, module in list(sys.modules.items()):
        for value in list(getattr(module, "__dict__", {}).values()):
            if not isinstance(value, FunctionType) or value.__module__ != module_name:
                continue
            delay = value.__dict__.get("delay")
            if isinstance(delay, FunctionType) and delay.__code__.co_filename.endswith("rq/decorators.py"):
                found.append((f"{module_name}.{value.__qualname__}", ""))
    return found


def describe_worker(capture: Capture, findings: list[Finding]) -> WorkerInfo | None:
    """This process as a worker; None in a producer. RQ runs one task at a time."""
    worker = capture.worker
    if worker is None:
        return None
    held = capture.held
    return WorkerInfo(
        name=str(worker.name),
        pool="simple" if isinstance(worker, SimpleWorker) else "spawn" if is_spawning(worker) else "fork",
        concurrency=1,
        queues=tuple(worker.queue_names()),
        pids=(held.pid,) if held is not None and held.pid else (os.getpid(),),
        notes=tuple(f"{found.what} {found.remedy}".strip() for found in findings if found.level != "ok"),
    )


def list_running(capture: Capture) -> list[RunningTask]:
    """The one task this worker has in hand; `started_at` is 0 while its horse is being made."""
    held = capture.held
    if held is None:
        return []
    return [RunningTask(held.task_id, held.attempt, held.name, held.queue, held.started_at, held.pid)]
