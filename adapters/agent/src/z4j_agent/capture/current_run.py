# SPDX-License-Identifier: Apache-2.0
"""The run of a task whose code is executing here: in this thread, greenlet or asyncio task.

An adapter calls `begin` right before the task's function and `end` right after it, both within its guarded hooks. In between `current`
returns the run to any code that the function calls, also in the asyncio tasks it creates and in a process it forks. Threads that the
function starts have it if they run in a copy of its context (`contextvars.copy_context().run`), as those of `asyncio.to_thread` do.
"""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable, Iterable
from contextvars import ContextVar
from threading import get_ident
from typing import Any

from z4j_agent.capture import tracing_ids
from z4j_agent.capture.attempt_annotations import Annotations, Process

_MODULES = sys.modules


class CurrentRun:
    """One run of a task in this process. `started_at` is in microseconds UTC and equal to the time of its `started` record, `run` is the
    process token of its records, `thread` the identifier of the thread that began it.

    What few runs need is an attribute of the class until it is set: every task has a run, and a child that was forked for one task copies
    each memory page that it writes.
    """

    has_ended = False
    outer: CurrentRun | None = None
    """The run that called this one: an eager task runs within another task."""
    notes: Annotations | None = None
    """What is reported about this run beside its course; None while there is nothing."""
    sentry_event_id = ""
    """Sentry's last event before this run."""
    sentry_scope: Any = None
    """The isolation scope of Sentry in which it began."""
    shares_sentry_scope = False
    """Whether another run has run at the same time in that scope: then it is unknown whose event the last one is."""
    lines: Any = None
    """What it has logged, see `log_lines`; None while that is nothing."""
    usage_began: Any = None
    usage = ""
    """What it used, see `run_usage`; known at its end."""
    is_own_process = False
    """Whether this process executes this run only."""
    asyncio_task: Any = None
    """A weak reference to the asyncio task that executes it, if one does."""

    def __init__(self, process: Process, engine: str, task_id: str, attempt: int, started_at: int, name: str, queue: str) -> None:
        self.process, self.run, self.engine, self.task_id, self.attempt = process, process.run, engine, task_id, attempt
        self.started_at, self.name, self.queue, self.thread = started_at, name, queue, get_ident()

    def own_annotations(self) -> Annotations:
        """Returns the annotations of this run; the first call creates them."""
        if self.notes is None:
            self.notes = Annotations(
                self.process, (self.engine, self.task_id, self.attempt, self.started_at, self.run, self.name, self.queue)
            )
        return self.notes


_current: ContextVar[CurrentRun | None] = ContextVar("z4j_current_run", default=None)
_running: dict[int, CurrentRun] = {}
_begun: list[Callable[[Any, CurrentRun], object]] = []
_ended: list[Callable[[CurrentRun], object]] = []


def begin(agent: Process, engine: str, task_id: str, attempt: int, started_at: int, name: str, queue: str) -> CurrentRun:
    """Makes a run the current one of this context, and returns it for `end`. Call it right before the task's function, in the context that
    calls the function. `started_at` is in microseconds UTC."""
    run = CurrentRun(agent, engine, task_id, attempt, started_at, name, queue)
    if _current.get() is not None:
        run.outer = current()
    _running[id(run)] = run
    _current.set(run)
    if (asyncio := _MODULES.get("asyncio")) is not None and asyncio._get_running_loop() is not None:
        task = asyncio.current_task()
        run.asyncio_task = None if task is None else weakref.ref(task)
    if "sentry_sdk" in _MODULES:
        _enter_sentry_scope(run)
    if "opentelemetry.trace" in _MODULES and (trace_id := tracing_ids.trace_id()):
        run.own_annotations().identify("trace_id", trace_id)
        run.own_annotations().send()
    for observe in _begun:
        observe(agent, run)
    return run


def _enter_sentry_scope(run: CurrentRun) -> None:
    """Sentry's integrations give each task a scope of its own. Without one, as for taskiq, all tasks of a process share its scope."""
    run.sentry_event_id, run.sentry_scope = tracing_ids.sentry_event_id(), tracing_ids.sentry_scope()
    if run.sentry_scope is None:
        return
    callers, caller = set(), run.outer
    while caller is not None:
        callers.add(id(caller))
        caller = caller.outer
    for other in running():
        if other is not run and other.sentry_scope is run.sentry_scope and id(other) not in callers:
            other.shares_sentry_scope = run.shares_sentry_scope = True


def observe(begun: Iterable[Callable[[Any, CurrentRun], object]], ended: Iterable[Callable[[CurrentRun], object]]) -> None:
    """Replaces the functions that are called at the begin of each run, with the agent and the run, and at its end, with the run; in the
    thread that calls `begin` and `end`. They must not raise."""
    _begun[:], _ended[:] = begun, ended


def end(run: CurrentRun | None) -> None:
    """Ends a run, in whichever context. Code that continues in the background is outside of it from now on. None is ignored."""
    if run is None or run.has_ended:
        return
    for observe in _ended:
        observe(run)
    if run.lines is not None:
        run.lines.end(run)
    run.has_ended = True
    if "opentelemetry.trace" in _MODULES or "sentry_sdk" in _MODULES:
        report_ids(run)
    elif run.notes is not None:
        run.notes.send()
    _running.pop(id(run), None)
    if _current.get() is run:
        _current.set(run.outer)


def report_ids(run: CurrentRun) -> None:
    """Reports the OpenTelemetry trace that is current here, and the Sentry event that was sent since the run began. An event that may be
    that of another run is not reported.

    An adapter calls it where Sentry sends its event after the hook that ends the run."""
    if trace_id := tracing_ids.trace_id():
        run.own_annotations().identify("trace_id", trace_id)
    event_id = "" if run.shares_sentry_scope else tracing_ids.sentry_event_id()
    if event_id and event_id != run.sentry_event_id:
        run.own_annotations().identify("sentry_event_id", event_id)
    if run.notes is not None:
        run.notes.send()


def current() -> CurrentRun | None:
    """The run whose code is executing in this context; None outside of a task, and after the end of the task."""
    run = _current.get()
    while run is not None and run.has_ended:
        run = run.outer
    return run


def running() -> list[CurrentRun]:
    """Returns all runs of this process, of any thread. The dictionary is copied in one step of the interpreter, so no lock is needed."""
    return list(_running.values())


def after_fork_in_child() -> None:
    """Forgets the runs of threads that the child does not have. A run whose code forked continues in the child."""
    _running.clear()
    run = current()
    while run is not None:
        _running[id(run)] = run
        run = run.outer
