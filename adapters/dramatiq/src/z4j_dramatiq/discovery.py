# SPDX-License-Identifier: Apache-2.0
"""What this broker and this worker are: declared actors, threads, queues, and what runs now."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from dramatiq.middleware.threading import is_gevent_active

import z4j_agent
from z4j_agent.adapter import Finding, RunningTask, TaskInfo, WorkerInfo
from z4j_agent.hooks import signature_of
from z4j_dramatiq.queues import declared

if TYPE_CHECKING:
    from z4j_dramatiq.capture import Capture


def list_tasks(broker: Any) -> list[TaskInfo]:
    """Every declared actor with the signature a caller sees. Of an async one, `fn` is Dramatiq's wrapper with the same signature."""
    found = []
    for name, actor in sorted(broker.actors.items()):
        signature, doc = signature_of(actor.fn)
        found.append(TaskInfo(name, signature, doc, actor.queue_name))
    return found


def describe_worker(capture: Capture, findings: list[Finding]) -> WorkerInfo | None:
    """This process as a worker, with the notes an operator should read."""
    worker, agent = capture.worker, z4j_agent.current()
    if worker is None or agent is None:
        return None
    return WorkerInfo(
        name=agent.worker,
        pool="gevent" if is_gevent_active() else "threads",
        concurrency=int(worker.worker_threads),
        queues=tuple(sorted(worker.consumer_whitelist or declared(capture.broker))),
        pids=(os.getpid(),),
        notes=tuple(f"{finding.what} {finding.remedy}".rstrip() for finding in findings if finding.level != "ok"),
    )


def list_running(capture: Capture) -> list[RunningTask]:
    """What this worker's threads are at. What it has prefetched was not reported as received, so it is not listed either."""
    return [RunningTask(run.task_id, run.attempt, run.name, run.queue, run.started_at or 0, os.getpid()) for run in capture.running.all()]
