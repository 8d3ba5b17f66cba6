# SPDX-License-Identifier: Apache-2.0
"""What the hooks of this process keep for everyone else."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from z4j_arq.attempts import Run
from z4j_arq.brokers.known_queues import Known
from z4j_arq.cron_jobs import CronTables
from z4j_arq.messages import functions_in


class ArqState:
    """Written by the hooks, read by commands, schedules, discovery and the doctor."""

    def __init__(self) -> None:
        self.workers: list[Any] = []
        """The workers whose `main` runs in this process; almost always one."""
        self.stopping: set[int] = set()
        """Those, by `id`, that are cancelling everything they run (arq, worker.py:handle_sig)."""
        self.ending: dict[int, asyncio.Task[None] | None] = {}
        """Those, by `id`, that end when they have finished what they run, and what waits for that in their loop."""
        self.running: dict[tuple[int, str], Run] = {}
        """By `id` of the worker and job id: what the workers of this process hold. Two brokers may have a job of one id."""
        self.enqueued: dict[str, str] = {}
        """Names that the application's own code has enqueued from this process → the queue it last used."""
        self.known = Known()
        self.crons = CronTables()
        self.worker_name = ""
        self._functions: dict[str, Callable[..., Any]] = {}
        self._settings: list[Any] = []

    def know(self, settings: Any) -> None:
        """A WorkerSettings whose functions a producer may name. They are looked up when they are first needed."""
        self._settings.append(settings)

    def coroutine_of(self, name: str) -> Callable[..., Any] | None:
        """The function behind a name, as far as this process has it."""
        while self._settings:
            self._functions.update(functions_in(self._settings.pop()))
        if name in self._functions:
            return self._functions[name]
        return next((worker.functions[name].coroutine for worker in self.workers if name in worker.functions), None)

    def functions(self) -> dict[str, tuple[Callable[..., Any], str]]:
        """Name → (function, queue): what the workers run, or else what a producer was told of."""
        self.coroutine_of("")
        functions = {name: (coroutine, "") for name, coroutine in list(self._functions.items())}
        for worker in list(self.workers):
            functions |= {name: (function.coroutine, str(worker.queue_name)) for name, function in list(worker.functions.items())}
        return functions
