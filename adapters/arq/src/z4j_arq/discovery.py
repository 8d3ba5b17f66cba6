# SPDX-License-Identifier: Apache-2.0
"""What this process is: registered functions, the worker, and what it runs now."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from z4j_agent.adapter import Finding, RunningTask, TaskInfo, WorkerInfo
from z4j_agent.hooks import signature_of

if TYPE_CHECKING:
    from z4j_arq.capture import Capture


def list_tasks(capture: Capture) -> list[TaskInfo]:
    """The functions of this process's workers, or those a producer was told of, with the signature arq calls them by."""
    found: dict[str, TaskInfo] = {}
    for name, (coroutine, queue) in capture.functions().items():
        # arq itself passes the first argument (arq/worker.py: `self.functions[…].coroutine(ctx, *args)`)
        found[name] = TaskInfo(name, *signature_of(coroutine, passed=1), queue)
    return [found[name] for name in sorted(found)]


def describe_worker(capture: Capture, findings: list[Finding]) -> WorkerInfo | None:
    """This process as a worker; None in a producer. One process may hold several Workers, for several queues."""
    workers = sorted(capture.workers, key=lambda worker: str(worker.queue_name))
    if not workers:
        return None
    return WorkerInfo(
        name=capture.worker_name,
        pool="asyncio",
        concurrency=sum(worker.max_jobs for worker in workers),
        queues=tuple(dict.fromkeys(str(worker.queue_name) for worker in workers)),
        pids=(os.getpid(),),
        notes=tuple(f"{found.what} {found.remedy}".strip() for found in findings if found.level != "ok"),
    )


def list_running(capture: Capture) -> list[RunningTask]:
    """What the workers of this process hold; not started yet is what waits for a hook of the application."""
    return [
        RunningTask(run.task_id, max(run.attempt, 0), run.name, run.queue, run.started_at or 0, os.getpid())
        for run in list(capture.running.values())
        if not run.has_ended
    ]
