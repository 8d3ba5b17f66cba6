# SPDX-License-Identifier: Apache-2.0
"""Discovery of this process: registered functions, the worker, and running tasks."""

from __future__ import annotations

import os
from typing import Any

from z4j_agent.capture.hooks import signature_of
from z4j_agent.contract.adapter import RunningTask, TaskInfo, WorkerInfo, name_of
from z4j_arq.queues import ArqPart


def _options(worker: Any) -> dict[str, str]:
    """What it reads and writes messages with; arq uses pickle where nothing is set."""
    return {
        "job_serializer": name_of(worker.job_serializer) if worker.job_serializer else "pickle",
        "job_deserializer": name_of(worker.job_deserializer) if worker.job_deserializer else "pickle",
    }


class Discovery(ArqPart):
    """Lists functions, the worker and running tasks of this process."""

    def list_tasks(self) -> list[TaskInfo]:
        """Returns the functions of this process's workers, or those passed to a producer, with the signature for callers."""
        tasks: dict[str, TaskInfo] = {}
        for name, (coroutine, queue) in self.state.functions().items():
            # arq itself passes the first argument (arq/worker.py: `self.functions[…].coroutine(ctx, *args)`)
            tasks[name] = TaskInfo(name, *signature_of(coroutine, passed=1), queue)
        return [tasks[name] for name in sorted(tasks)]

    def worker(self) -> WorkerInfo | None:
        """This process as a worker; None in a producer. One process may hold several Workers, for several queues."""
        workers = sorted(self.state.workers, key=lambda worker: str(worker.queue_name))
        if not workers:
            return None
        return WorkerInfo(
            name=self.state.worker_name,
            pool="asyncio",
            concurrency=sum(worker.max_jobs for worker in workers),
            queues=tuple(dict.fromkeys(str(worker.queue_name) for worker in workers)),
            pids=(os.getpid(),),
            notes=tuple(f"{finding.what} {finding.remedy}".strip() for finding in self.findings() if finding.level != "ok"),
            options=_options(workers[0]),
        )

    def list_running(self) -> list[RunningTask]:
        """Returns the jobs of this process's workers; those that have not started wait for a hook of the application."""
        return [
            RunningTask(run.task_id, max(run.attempt, 0), run.name, run.queue, run.started_at or 0, os.getpid())
            for run in list(self.state.running.values())
            if not run.has_ended
        ]
