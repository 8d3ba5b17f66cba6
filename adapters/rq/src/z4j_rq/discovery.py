# SPDX-License-Identifier: Apache-2.0
"""Discovery of this process: the tasks that it has seen, the worker, and running tasks."""

from __future__ import annotations

import os
from typing import Any

from rq.worker import SimpleWorker

from z4j_agent.capture.hooks import signature_of
from z4j_agent.contract.adapter import RunningTask, TaskInfo, WorkerInfo, name_of
from z4j_rq.messages import function_of, is_spawning
from z4j_rq.queues import RqPart


def _pool_of(worker: Any) -> str:
    return "simple" if isinstance(worker, SimpleWorker) else "spawn" if is_spawning(worker) else "fork"


def _class_of(worker: Any) -> str:
    """RQ's own classes without their module, which is another one in each of its versions."""
    name = name_of(type(worker))
    return type(worker).__name__ if name.startswith("rq.") else name


def _note_about_several(workers: list[Any]) -> tuple[str, ...]:
    if len(workers) < 2:
        return ()
    names = ", ".join(str(worker.name) for worker in workers)
    return (f"{len(workers)} RQ workers run in threads of this process and are shown as one: {names[:400]}.",)


class Discovery(RqPart):
    """Lists tasks, the worker and running tasks of this process."""

    def list_tasks(self) -> list[TaskInfo]:
        """Returns every task that belongs to the application; see `known_queues`."""
        tasks = []
        for name, queue in sorted(self.state.known.tasks().items()):
            function = function_of(name)
            signature, doc = signature_of(function) if function is not None else ("(…)", "")
            tasks.append(TaskInfo(name, signature, doc, queue))
        return tasks

    def worker(self) -> WorkerInfo | None:
        """This process as a worker; None in a producer. An RQ worker runs one task at a time; several may run in threads of a process."""
        workers = self.state.workers()
        if not workers:
            return None
        pids = tuple(running.pid for running in self.state.hands.all() if running.pid)
        return WorkerInfo(
            name=str(workers[0].name),
            pool=_pool_of(workers[0]),
            concurrency=len(workers),
            queues=tuple(dict.fromkeys(name for worker in workers for name in worker.queue_names())),
            pids=pids or (os.getpid(),),
            notes=(
                *_note_about_several(workers),
                *(f"{finding.what} {finding.remedy}".strip() for finding in self.findings() if finding.level != "ok"),
            ),
            options={"worker class": _class_of(workers[0]), "serializer": name_of(workers[0].serializer)},
        )

    def list_running(self) -> list[RunningTask]:
        """Returns the running task of each worker; `started_at` is 0 while its horse is being started."""
        return [
            RunningTask(running.task_id, running.attempt, running.name, running.queue, running.started_at, running.pid)
            for running in self.state.hands.all()
        ]
