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


def describe_worker(capture: Capture, findings: Iterable[Finding]) -> WorkerInfo | None:
    """This process as a worker, with the notes an operator should read."""
    receiver = capture.receiver
    if receiver is None:
        return None
    executor = getattr(receiver, "executor", None)
    return WorkerInfo(
        name=capture.worker_name,
        pool="async + processes" if isinstance(executor, ProcessPoolExecutor) else "async + threads",
        concurrency=capture.concurrency,
        queues=tuple(names_of(capture.broker)),
        pids=tuple(getattr(executor, "_processes", None) or ()),
        notes=tuple(f"{found.what} {found.remedy}".strip() for found in findings if found.level != "ok"),
    )


def list_running(capture: Capture) -> list[RunningTask]:
    """What this process holds: running, and waiting for a thread with `started_at` 0."""
    pid = os.getpid()
    runs = list(capture.running.copy().values())
    return [RunningTask(run.task_id, run.attempt, run.name, run.queue, run.started_at or 0, pid) for run in runs]
