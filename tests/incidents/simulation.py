# SPDX-License-Identifier: AGPL-3.0-or-later
"""The company at work, one event after the other: tasks are enqueued, wait, are run by workers, and end. A copy of it (`copy.deepcopy`)
goes on from the same moment in the same way, until a test changes something."""

from __future__ import annotations

import heapq
import random
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from tests.incidents.agents import Process, Run, Sink, enqueued, failure, new_id, record
from tests.incidents.traffic import APPS, KINDS, MINUTE, SECOND, App, Kind, is_due, rhythm

RESEND = 60 * SECOND
"""How often a scheduler lists its entries."""


@dataclass(slots=True)
class Queue:
    """A queue of a broker."""

    waiting: dict[str, Run] = field(default_factory=dict)
    """In their order, by task id."""
    gap: int = 0
    """Microseconds that lie between two starts at least."""
    last_start: int = 0
    is_emptied: bool = False
    """Whether the broker has lost its queued tasks."""


class Simulation:
    """`start` is the moment of the tests, microseconds UTC; it begins at `begins`. With `is_brief` a task has its enqueue and its end as
    records only."""

    def __init__(self, start: int, begins: int, *, seed: int = 7) -> None:
        self.start, self.now = start, begins
        self.random = random.Random(seed)
        self.is_brief = False
        self.kinds = {kind.name: kind for kind in KINDS}
        self.boots = 0
        self.processes: list[Process] = []
        self.queues: dict[tuple[str, str], Queue] = {}
        self.heap: list[tuple[int, int, str, tuple[Any, ...]]] = []
        self.events = 0
        self.has_connected = False
        self.listed_at = 0
        for app in APPS:
            self.add_process(app, "producer", f"{app.name}-web", f"{app.name}-web")
            for worker, host, concurrency, queues in app.workers:
                self.add_process(app, "worker", worker, host, concurrency, queues)
            if app.scheduler:
                self.add_process(app, "scheduler", f"{app.scheduler}@{app.name}", f"{app.name}-1")
        self.at(begins // MINUTE * MINUTE + MINUTE, "minute")

    # -- processes -----------------------------------------------------------------------------------------------------
    def add_process(
        self, app: App, role: str, worker: str, host: str, concurrency: int = 0, queues: tuple[str, ...] = (), release: str = ""
    ) -> Process:
        self.boots += 1
        made = Process(app, role, worker, host, f"b{self.boots:05}", release or app.release, concurrency, queues)
        self.processes.append(made)
        return made

    def alive(self, app: str, role: str) -> list[Process]:
        return [process for process in self.processes if process.app.name == app and process.role == role and process.is_alive]

    def kill(self, process: Process) -> list[Run]:
        """It is gone, with what it ran."""
        process.is_alive = False
        runs, process.running = list(process.running.values()), {}
        return runs

    def restart(self, process: Process, release: str = "") -> Process:
        """A new process of the same worker."""
        return self.add_process(
            process.app, process.role, process.worker, process.host, process.concurrency, process.queues, release or process.release
        )

    # -- time ----------------------------------------------------------------------------------------------------------
    def at(self, at: int, what: str, *args: Any) -> None:
        self.events += 1
        heapq.heappush(self.heap, (at, self.events, what, args))

    def advance(self, until: int, sink: Sink) -> None:
        """Everything that happens up to a moment."""
        while self.heap and self.heap[0][0] <= until:
            self.now, _, what, args = heapq.heappop(self.heap)
            getattr(self, f"_{what}")(sink, *args)
        self.now = until

    def change(self, name: str, **fields: Any) -> None:
        """Changes the behavior of a task name from now on, also of its queued tasks."""
        self.kinds[name] = replace(self.kinds[name], **fields)

    def queue(self, kind: Kind) -> Queue:
        return self.queues.setdefault((kind.app, kind.queue), Queue())

    def _minute(self, sink: Sink) -> None:
        """What comes in the minute that begins."""
        share = rhythm(self.now, self.start)
        for kind in self.kinds.values():
            for _ in range(self._poisson(kind.per_minute * (share if kind.is_rhythmic else 1))):
                self.at(self.now + self.random.randrange(MINUTE), "enqueue", kind.name)
        for app in APPS:
            for schedule in app.schedules:
                if is_due(schedule, self.now, self.start):
                    self.at(self.now + self.random.randrange(50_000, 900_000), "fire", app, schedule, self.now)
        self.at(self.now + MINUTE, "minute")

    def _poisson(self, mean: float) -> int:
        """How many of events that come by chance."""
        count, time = 0, self.random.expovariate(1)
        while time < mean:
            count, time = count + 1, time + self.random.expovariate(1)
        return count

    # -- tasks ---------------------------------------------------------------------------------------------------------
    def _fire(self, sink: Sink, app: App, schedule: Any, due: int) -> None:
        for process in self.alive(app.name, "scheduler"):
            for number in range(schedule.tasks):
                run = self._new(self.kinds[schedule.name], process, sink)
                if not number:
                    sink.record(process, process.fired(schedule, due, self.now, run.task_id))

    def _enqueue(self, sink: Sink, name: str) -> None:
        kind = self.kinds[name]
        self._new(kind, self.alive(kind.app, "producer")[0], sink)

    def _new(self, kind: Kind, process: Process, sink: Sink) -> Run:
        run = Run(kind, new_id(self.random.getrandbits(128)), self.now)
        for each in enqueued(run, process)[: 1 if self.is_brief else 2]:
            sink.record(process, each)
        self.wait(run)
        return run

    def _wait(self, sink: Sink, run: Run) -> None:
        self.wait(run)

    def wait(self, run: Run) -> None:
        """It is in its queue."""
        queue = self.queue(run.kind)
        queue.waiting[run.task_id] = run
        ready = self.now + int(self.random.lognormvariate(12.4, 0.7))  # about 0.25 s
        queue.last_start = max(ready, queue.last_start + queue.gap)
        self.at(queue.last_start if queue.gap else ready, "start", run)

    def redeliver(self, run: Run) -> None:
        """The broker hands it out again."""
        run.is_redelivered, run.received_at = True, 0
        self.wait(run)

    def release(self, queue: Queue) -> None:
        """Starts the queued tasks, as fast as workers take them."""
        queue.last_start = self.now
        for number, run in enumerate(queue.waiting.values()):
            self.at(self.now + (number + 1) * 300_000, "start", run)

    def _start(self, sink: Sink, run: Run) -> None:
        kind, queue = self.kinds[run.kind.name], self.queue(run.kind)
        if queue.waiting.get(run.task_id) is not run or queue.is_emptied:
            return
        able = [process for process in self.alive(kind.app, "worker") if kind.queue in process.queues]
        free = [process for process in able if len(process.running) < process.concurrency]
        if not free:
            self.at(self.now + SECOND, "start", run)
            return
        process = min(free, key=lambda each: (len(each.running), self.random.random()))
        del queue.waiting[run.task_id]
        run.kind = kind
        run.received_at, run.started_at = run.received_at or self.now - 900, self.now
        if not self.is_brief:
            facts = {"redelivered": True} if run.is_redelivered else None
            sink.record(process, record("received", run, run.received_at, process, None, facts))
            if not kind.is_unknown:
                sink.record(process, record("started", run, self.now, process, None))
        process.running[run.task_id] = run
        ran = 1_000 if kind.is_unknown else max(int(kind.ran_s * SECOND * self.random.lognormvariate(0, 0.35)), 1_000)
        self.at(self.now + ran, "end", run, process, ran)

    def _end(self, sink: Sink, run: Run, process: Process, ran: int) -> None:
        if process.running.pop(run.task_id, None) is None:
            return  # its worker was killed
        kind, chance = self.kinds[run.kind.name], self.random.random()
        if kind.is_unknown:
            text = f"Received unregistered task of type '{kind.name}'."
            sink.record(process, record("rejected", run, self.now, process, None, None, "unknown_task", text, None, None))
        elif chance < kind.failing:
            times = [run.received_at, run.started_at, ran]
            sink.record(process, record("failed", run, self.now, process, *times, "exception", *failure(run), None))
        elif chance < kind.failing + kind.retrying:
            eta = self.now + int(kind.pause_s * SECOND)
            sink.record(process, record("retried", run, self.now, process, run.started_at, ran, eta, "exception", *failure(run), None))
            run.attempt += 1
            run.received_at = 0
            self.at(eta, "wait", run)
        else:
            times = [run.received_at, run.started_at, ran]
            sink.record(process, record("succeeded", run, self.now, process, *times, '{"ok": true}', None))

    # -- what agents report --------------------------------------------------------------------------------------------
    def connect(self, sink: Sink, process: Process) -> None:
        """The first frames and the first record of a process."""
        sink.frame(process, process.hello(self.now))
        if process.role == "worker":
            sink.frame(process, process.discovery(list(self.kinds.values())))
        if process.role == "scheduler":
            sink.frame(process, process.listing(self.now, self.start))
        sink.record(process, process.origin(self.now))

    def beat(self, sink: Sink) -> None:
        """A heartbeat of each process that lives; the first worker of each app reports the queues."""
        reporting: set[str] = set()
        if is_listed := self.now - self.listed_at >= RESEND:
            self.listed_at = self.now
        for process in self.processes:
            if process.is_alive:
                is_first = process.role == "worker" and process.app.name not in reporting
                if is_first:
                    reporting.add(process.app.name)
                sink.frame(process, process.heartbeat(self.now, list(self._reported(process.app)) if is_first else []))
                if process.role == "scheduler" and is_listed:
                    sink.frame(process, process.listing(self.now, self.start))

    def _reported(self, app: App) -> Iterator[list[Any]]:
        for (name, queue), of_queue in self.queues.items():
            if name == app.name:
                consumers = sum(queue in process.queues for process in self.alive(name, "worker"))
                waiting = {} if of_queue.is_emptied else of_queue.waiting
                oldest = next((run.enqueued_at for run in waiting.values()), None)
                yield [app.engine, queue, len(waiting), consumers, oldest, 0, 0, f"broker-of-{name}"]
