# SPDX-License-Identifier: Apache-2.0
"""Discovery of this broker and worker: declared actors, threads, queues, and running tasks."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

from dramatiq.message import get_encoder
from dramatiq.middleware.threading import is_gevent_active

import z4j_agent
from z4j_agent.capture.hooks import signature_of
from z4j_agent.contract.adapter import QueueInfo, RunningTask, TaskInfo, WorkerInfo, name_of
from z4j_dramatiq.broker_identity import DramatiqPart, identity_of
from z4j_dramatiq.messages import queue_of
from z4j_dramatiq.queues import declared, list_queues


def _prefetch_of(worker: Any) -> str:
    """Messages that each queue's consumer takes ahead: a number if `dramatiq_queue_prefetch` is set, else twice the threads
    (dramatiq/worker.py)."""
    threads, prefetch = int(worker.worker_threads), int(worker.queue_prefetch)
    return "2 per thread" if prefetch == min(threads * 2, 65_535) else str(prefetch)


class Discovery(DramatiqPart):
    """Lists actors, queues, the worker and running tasks of this process."""

    def list_tasks(self) -> list[TaskInfo]:
        """Returns every declared actor with the signature for callers. For an async one, `fn` is Dramatiq's wrapper with the same
        signature."""
        tasks = []
        for name, actor in sorted(self.broker.actors.items()):
            signature, doc = signature_of(actor.fn)
            tasks.append(TaskInfo(name, signature, doc, actor.queue_name))
        return tasks

    def worker(self) -> WorkerInfo | None:
        """This process as a worker, with the doctor's warnings as notes."""
        worker, agent = self.state.worker, z4j_agent.current()
        if worker is None or agent is None:
            return None
        return WorkerInfo(
            name=agent.worker,
            pool="gevent" if is_gevent_active() else "threads",
            concurrency=int(worker.worker_threads),
            queues=tuple(sorted({queue_of(name) for name in worker.consumer_whitelist or declared(self.state.broker)})),
            pids=(os.getpid(),),
            notes=tuple(f"{finding.what} {finding.remedy}".rstrip() for finding in self.findings() if finding.level != "ok"),
            options={"prefetch": _prefetch_of(worker), "encoder": name_of(get_encoder())},
        )

    def list_running(self) -> list[RunningTask]:
        """Returns the running tasks of this worker's threads. Prefetched tasks were not reported as received, so they are not listed."""
        return [
            RunningTask(run.task_id, run.attempt, run.name, run.queue, run.started_at or 0, os.getpid()) for run in self.state.running.all()
        ]

    def list_queues(self) -> list[QueueInfo]:
        state, identity = self.state, identity_of(self.broker)
        queues = list_queues(state.broker, state.poller, is_persistent=state.worker is not None)
        return [replace(queue, broker=identity) for queue in queues]
