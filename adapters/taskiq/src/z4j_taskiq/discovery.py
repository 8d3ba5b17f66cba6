# SPDX-License-Identifier: Apache-2.0
"""Discovery of this process: registered tasks, concurrency, queues, and running tasks."""

from __future__ import annotations

import os
from concurrent.futures import ProcessPoolExecutor

from z4j_agent.capture.hooks import signature_of
from z4j_agent.contract.adapter import RunningTask, TaskInfo, WorkerInfo, name_of
from z4j_taskiq.brokers.broker_identity import TaskiqPart
from z4j_taskiq.messages import queue_of
from z4j_taskiq.queues import names_of
from z4j_taskiq.state import BrokerState
from z4j_taskiq.worker_commands import wake_stopping


def _options(state: BrokerState) -> dict[str, str]:
    """What a worker reads messages with, and when it confirms them. Its receiver does not keep how many it takes ahead."""
    options = {"serializer": name_of(state.broker.serializer), "formatter": name_of(state.broker.formatter)}
    acks = getattr(getattr(state.receiver, "ack_time", None), "value", "")
    return options | ({"ack-type": str(acks)} if acks else {})


class Discovery(TaskiqPart):
    """Lists tasks, the worker and running tasks of this process."""

    def list_tasks(self) -> list[TaskInfo]:
        """Returns every task of this process, also shared ones, with the signature of its function."""
        tasks: dict[str, TaskInfo] = {}
        for state in self.states:
            for name, task in state.broker.get_all_tasks().items():
                signature, doc = signature_of(task.original_func)
                tasks[name] = TaskInfo(name, signature, doc, queue_of(state.broker, task.labels or {}))
        return [tasks[name] for name in sorted(tasks)]

    def worker(self) -> WorkerInfo | None:
        """This process as a worker of its brokers, with the doctor's warnings as notes."""
        listening = [state for state in self.states if state.receiver is not None]
        if not listening:
            return None
        executors = [getattr(state.receiver, "executor", None) for state in listening]
        pools = [executor for executor in executors if isinstance(executor, ProcessPoolExecutor)]
        return WorkerInfo(
            name=listening[0].worker_name,
            pool="async + processes" if pools else "async + threads",
            concurrency=sum(state.concurrency for state in listening),
            queues=tuple(name for state in listening for name in names_of(state.broker)),
            pids=tuple(pid for pool in pools for pid in getattr(pool, "_processes", None) or ()),
            notes=tuple(f"{finding.what} {finding.remedy}".strip() for finding in self.findings() if finding.level != "ok"),
            options=_options(listening[0]),
        )

    def list_running(self) -> list[RunningTask]:
        """Returns the tasks of this process: running, and those that wait for a thread with `started_at` 0."""
        wake_stopping(self.states)
        runs = [run for state in self.states for run in state.running.copy().values()]
        return [RunningTask(run.task_id, run.attempt, run.name, run.queue, run.started_at or 0, os.getpid()) for run in runs]
