# SPDX-License-Identifier: Apache-2.0
"""What this process is: registered tasks, the consumer, and what it runs now."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import z4j_agent
from z4j_agent import records
from z4j_agent.adapter import Finding, RunningTask, TaskInfo, WorkerInfo
from z4j_agent.hooks import now, signature_of
from z4j_huey.facts import ENGINE, function_of
from z4j_huey.slots import is_alive

if TYPE_CHECKING:
    from z4j_huey.capture import Capture


def list_tasks(huey: Any) -> list[TaskInfo]:
    """Every registered task with the signature a caller sees."""
    found = []
    for name, task_class in sorted(huey._registry._registry.items()):
        function = function_of(task_class)
        signature, doc = signature_of(function) if function is not None else ("(…)", "")
        found.append(TaskInfo(name, signature, doc, huey.name))
    return found


def describe_worker(capture: Capture, findings: list[Finding]) -> WorkerInfo | None:
    """This process as a worker; None in a producer."""
    consumer = capture.consumer
    if consumer is None:
        return None
    children = [getattr(process, "pid", None) for _, process in consumer.worker_threads] if capture.slots is not None else []
    return WorkerInfo(
        name=capture.worker_name(),
        pool=str(consumer.worker_type),
        concurrency=int(consumer.workers),
        queues=(capture.huey.name,),
        pids=tuple(pid for pid in children if pid) or (os.getpid(),),
        notes=tuple(f"{found.what} {found.remedy}".strip() for found in findings if found.level != "ok"),
    )


def list_running(capture: Capture) -> list[RunningTask]:
    """What runs in the threads of this process or in its children. Of a child that died in the middle, its task is told lost."""
    queue = capture.huey.name
    found = [RunningTask(task_id, run.attempt, run.name, queue, run.started_at, os.getpid()) for task_id, run in list(capture.runs.items())]
    for pid, (task_id, attempt, name, started_at) in capture.slots.read() if capture.slots is not None else []:
        if is_alive(pid):
            found.append(RunningTask(task_id, attempt, name, queue, started_at, pid))
        else:
            _tell_lost(capture, pid, task_id, attempt, name)
    return found


def _tell_lost(capture: Capture, pid: int, task_id: str, attempt: int, name: str) -> None:
    """Huey starts another child within ten seconds and says nothing of the task."""
    agent = z4j_agent.current()
    if agent is not None and capture.slots is not None:
        run, error = f"{agent.boot}.{pid}", f"its process {pid} died while it ran"
        agent.append(records.lost(ENGINE, task_id, attempt, now(), run, name, capture.huey.name, reason="child_killed", error=error))
        capture.slots.clear(pid)
