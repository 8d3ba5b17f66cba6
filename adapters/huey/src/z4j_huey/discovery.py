# SPDX-License-Identifier: Apache-2.0
"""Discovery of this process: its tasks, the consumer, and running tasks."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

from z4j_agent.capture.hooks import signature_of
from z4j_agent.contract.adapter import RunningTask, TaskInfo, WorkerInfo, name_of
from z4j_huey.broker_identity import HueyPart
from z4j_huey.messages import function_of
from z4j_huey.state import HueyState


def _serializer_of(serializer: Any) -> str:
    """The class, and how it compresses: a consumer that compresses reads what was not, and one that does not reads neither kind."""
    if not getattr(serializer, "comp", False):
        return name_of(serializer)
    return f"{name_of(serializer)} with {'zlib' if getattr(serializer, 'use_zlib', False) else 'gzip'}"


class Discovery(HueyPart):
    """Lists tasks, the consumer and running tasks of this process."""

    def list_tasks(self) -> list[TaskInfo]:
        """Returns every task in Huey's registry."""
        tasks = []
        for state in self.serving():
            for name, task_class in sorted(dict(state.huey._registry._registry).items()):
                function = function_of(task_class)
                signature, doc = signature_of(function) if function is not None else ("(…)", "")
                tasks.append(TaskInfo(name, signature, doc, state.huey.name))
        return tasks

    def worker(self) -> WorkerInfo | None:
        """This process as a worker; None in a producer."""
        state = next((state for state in self.states if state.lifecycle.consumer is not None), None)
        if state is None:
            return None
        lifecycle, consumer = state.lifecycle, state.lifecycle.consumer
        children = [process.pid for process in lifecycle.children()] if lifecycle.slots is not None else []
        return WorkerInfo(
            name=lifecycle.name,
            pool=str(consumer.worker_type),
            concurrency=len(consumer.worker_threads),
            queues=(state.huey.name,),
            pids=tuple(pid for pid in children if pid) or (os.getpid(),),
            notes=tuple(f"{finding.what} {finding.remedy}".strip() for finding in self.findings() if finding.level != "ok"),
            options={"serializer": _serializer_of(state.huey.serializer)},
        )

    def list_running(self) -> list[RunningTask]:
        """Returns the running tasks of the consumers. Raises ValueError if a child could not be read: an incomplete list would look like
        lost tasks."""
        return [task for state in list(self.states) for task in _running_in(state)]


def _running_in(state: HueyState) -> Iterator[RunningTask]:
    lifecycle, queue, pid = state.lifecycle, state.huey.name, os.getpid()
    if lifecycle.slots is None:
        for run in state.running.all():
            yield RunningTask(run.task_id, run.attempt, run.name, queue, run.started_at or 0, pid)
        return
    lifecycle.reap()
    for number in range(lifecycle.slots.count):
        pid, entry = lifecycle.slots.read(number)
        if entry is not None:
            task_id, attempt, name, started_at = entry
            yield RunningTask(task_id, attempt, name, queue, started_at, pid)
