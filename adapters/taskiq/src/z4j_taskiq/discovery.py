# SPDX-License-Identifier: Apache-2.0
"""What this broker and this worker are: registered tasks, concurrency, queues, and what runs now."""

from __future__ import annotations

import os
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from typing import TYPE_CHECKING, Any

from z4j_agent.adapter import Finding, RunningTask, TaskInfo, WorkerInfo
from z4j_agent.hooks import signature_of
from z4j_taskiq.facts import queue_of
from z4j_taskiq.queues import names_of

if TYPE_CHECKING:
    from z4j_taskiq.capture import Capture


def list_tasks(broker: Any) -> list[TaskInfo]:
    """Every task this process knows, shared ones too, with the signature of its own function."""
    found = []
    for name, task in sorted(broker.get_all_tasks().items()):
        signature, doc = signature_of(task.original_func)
        found.append(TaskInfo(name, signature, doc, queue_of(broker, task.labels or {})))
    return found


def describe_worker(captures: Iterable[Capture], findings: Iterable[Finding]) -> WorkerInfo | None:
    """This process as a worker of those brokers it listens to, with the notes an operator should read."""
    listening = [capture for capture in captures if capture.receiver is not None]
    if not listening:
        return None
    executors = [getattr(capture.receiver, "executor", None) for capture in listening]
    pools = [executor for executor in executors if isinstance(executor, ProcessPoolExecutor)]
    return WorkerInfo(
        name=listening[0].worker_name,
        pool="async + processes" if pools else "async + threads",
        concurrency=sum(capture.concurrency for capture in listening),
        queues=tuple(name for capture in listening for name in names_of(capture.broker)),
        pids=tuple(pid for pool in pools for pid in getattr(pool, "_processes", None) or ()),
        notes=tuple(f"{found.what} {found.remedy}".strip() for found in findings if found.level != "ok"),
    )


def list_running(capture: Capture) -> list[RunningTask]:
    """What this process holds: running, and waiting for a thread with `started_at` 0."""
    pid = os.getpid()
    runs = list(capture.running.copy().values())
    return [RunningTask(run.task_id, run.attempt, run.name, run.queue, run.started_at or 0, pid) for run in runs]
