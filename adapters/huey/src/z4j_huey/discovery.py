# SPDX-License-Identifier: Apache-2.0
"""What this process is: the tasks it knows, the consumer, and what it runs now."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from z4j_agent.adapter import Finding, RunningTask, TaskInfo, WorkerInfo
from z4j_agent.hooks import signature_of
from z4j_huey.facts import function_of

if TYPE_CHECKING:
    from z4j_huey.capture import Capture


def list_tasks(capture: Capture) -> list[TaskInfo]:
    """Every task in Huey's registry."""
    huey, found = capture.huey, []
    for name, task_class in sorted(dict(huey._registry._registry).items()):
        function = function_of(task_class)
        signature, doc = signature_of(function) if function is not None else ("(…)", "")
        found.append(TaskInfo(name, signature, doc, huey.name))
    return found


def describe_worker(capture: Capture, findings: list[Finding]) -> WorkerInfo | None:
    """This process as a worker; None in a producer."""
    life = capture.life
    consumer = life.consumer
    if consumer is None:
        return None
    children = [process.pid for process in life.children()] if life.slots is not None else []
    return WorkerInfo(
        name=life.name,
        pool=str(consumer.worker_type),
        concurrency=len(consumer.worker_threads),
        queues=(capture.huey.name,),
        pids=tuple(pid for pid in children if pid) or (os.getpid(),),
        notes=tuple(f"{found.what} {found.remedy}".strip() for found in findings if found.level != "ok"),
    )


def list_running(capture: Capture) -> list[RunningTask]:
    """What this consumer runs now. Raises ValueError when a child could not be read: half a list would look like lost tasks."""
    life, queue = capture.life, capture.huey.name
    if life.slots is None:
        pid = os.getpid()
        return [RunningTask(run.task_id, run.attempt, run.name, queue, run.started_at or 0, pid) for run in capture.running.all()]
    life.reap()
    found = []
    for number in range(life.slots.count):
        pid, entry = life.slots.read(number)
        if entry is not None:
            task_id, attempt, name, started_at = entry
            found.append(RunningTask(task_id, attempt, name, queue, started_at, pid))
    return found
