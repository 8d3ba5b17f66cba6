# SPDX-License-Identifier: Apache-2.0
"""State of this process that the hooks record."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from z4j_arq.attempts import Run
from z4j_arq.brokers.known_queues import Known
from z4j_arq.messages import functions_in
from z4j_arq.schedulers.cron_jobs import CronTables


class ArqState:
    """Written by the hooks, read by commands, schedules, discovery and the doctor."""

    def __init__(self) -> None:
        self.workers: list[Any] = []
        """The workers whose `main` runs in this process; almost always one."""
        self.stopping: set[int] = set()
        """Workers, by `id`, that are cancelling all running jobs (arq, worker.py:handle_sig)."""
        self.ending: dict[int, asyncio.Task[None] | None] = {}
        """Workers, by `id`, that end when their running jobs have finished, and the task in their loop that waits for that."""
        self.running: dict[tuple[int, str], Run] = {}
        """The runs of this process by `id` of the worker and job ID. Two brokers may have jobs with the same ID."""
        self.enqueued: dict[str, str] = {}
        """Names that the application's own code has enqueued from this process → the queue it last used."""
        self.known = Known()
        self.crons = CronTables()
        self.worker_name = ""
        self._functions: dict[str, Callable[..., Any]] = {}
        self._settings: list[Any] = []

    def add(self, settings: Any) -> None:
        """Adds a WorkerSettings with the functions of a producer. They are read at the first use."""
        self._settings.append(settings)

    def coroutine_of(self, name: str) -> Callable[..., Any] | None:
        """Returns the function of a name, None if this process does not have it."""
        while self._settings:
            self._functions.update(functions_in(self._settings.pop()))
        if name in self._functions:
            return self._functions[name]
        return next((worker.functions[name].coroutine for worker in self.workers if name in worker.functions), None)

    def functions(self) -> dict[str, tuple[Callable[..., Any], str]]:
        """Name → (function, queue): those of the workers, or else those of a producer's settings."""
        self.coroutine_of("")
        functions = {name: (coroutine, "") for name, coroutine in list(self._functions.items())}
        for worker in list(self.workers):
            functions |= {name: (function.coroutine, str(worker.queue_name)) for name, function in list(worker.functions.items())}
        return functions
