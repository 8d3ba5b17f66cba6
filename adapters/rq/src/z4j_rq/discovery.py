# SPDX-License-Identifier: Apache-2.0
"""What this process is: the tasks it has met, the worker, and what it runs now."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from rq.worker import SimpleWorker

from z4j_agent.adapter import Finding, RunningTask, TaskInfo, WorkerInfo
from z4j_agent.hooks import signature_of
from z4j_rq.facts import function_of, is_spawning

if TYPE_CHECKING:
    from z4j_rq.capture import Capture


def list_tasks(capture: Capture) -> list[TaskInfo]:
    """Every task that is known to be the application's; see `known`."""
    found = []
    for name, queue in sorted(capture.known.tasks().items()):
        function = function_of(name)
        signature, doc = signature_of(function) if function is not None else ("(…)", "")
        found.append(TaskInfo(name, signature, doc, queue))
    return found


def describe_worker(capture: Capture, findings: list[Finding]) -> WorkerInfo | None:
    """This process as a worker; None in a producer. An RQ worker runs one task at a time; several may stand in threads of a process."""
    workers = capture.workers()
    if not workers:
        return None
    pids = tuple(held.pid for held in capture.hands.all() if held.pid)
    return WorkerInfo(
        name=str(workers[0].name),
        pool=_pool_of(workers[0]),
        concurrency=len(workers),
        queues=tuple(dict.fromkeys(name for worker in workers for name in worker.queue_names())),
        pids=pids or (os.getpid(),),
        notes=(*_beside(workers), *(f"{found.what} {found.remedy}".strip() for found in findings if found.level != "ok")),
    )


def _pool_of(worker: Any) -> str:
    return "simple" if isinstance(worker, SimpleWorker) else "spawn" if is_spawning(worker) else "fork"


def _beside(workers: list[Any]) -> tuple[str, ...]:
    if len(workers) < 2:
        return ()
    names = ", ".join(str(worker.name) for worker in workers)
    return (f"{len(workers)} RQ workers stand in threads of this process and are shown as one: {names[:400]}.",)


def list_running(capture: Capture) -> list[RunningTask]:
    """What the workers have in hand, one each; `started_at` is 0 while a horse is being made."""
    return [RunningTask(of.task_id, of.attempt, of.name, of.queue, of.started_at, of.pid) for of in capture.hands.all()]
