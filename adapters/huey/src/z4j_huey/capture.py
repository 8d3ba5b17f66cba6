# SPDX-License-Identifier: Apache-2.0
"""Huey's signals and hooks as records. What fires where was found by experiment (`docs/engines.md` has a row per outcome).

One receiver hears every signal; the value of a success and the exception of a failure come by a post-execute hook, which some outcomes
do not reach. Three methods of the one Huey object are wrapped, because no signal says that a message was really stored, that one could
not be read, or that one comes from the schedule and not from a producer.
"""

from __future__ import annotations

import atexit
import hashlib
import os
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from huey import signals
from huey.api import Task
from huey.exceptions import CancelExecution, RetryTask, TaskLockedException, TaskTimeout

import z4j_agent
from z4j_agent import hooks, records
from z4j_agent.agent import Agent
from z4j_agent.guard import guard, never_swallow
from z4j_agent.hooks import now
from z4j_huey import originals, stops
from z4j_huey.facts import ENGINE, attempt_of, name_of, sent_meta, to_us
from z4j_huey.slots import Slots

try:
    from huey.exceptions import RateLimitExceeded
except ImportError:  # before Huey 2.6 nothing is rate-limited
    RateLimitExceeded = None

EXIT_WAIT_S = 1.0
HOOK = "z4j"


class Run:
    """One run: when it began by both clocks, and in which thread."""

    __slots__ = ("attempt", "began_ns", "meta", "name", "started_at", "thread")

    def __init__(self, task: Any, *, is_eager: bool) -> None:
        self.began_ns, self.started_at = time.perf_counter_ns(), now()
        self.attempt, self.name = attempt_of(task), name_of(task)
        self.meta = '{"eager":true}' if is_eager else records.NO_META
        self.thread = threading.get_ident()

    def runtime(self) -> int:
        """Microseconds since the start, by this process's monotonic clock."""
        return (time.perf_counter_ns() - self.began_ns) // 1000


class Capture:
    """The hooks of one Huey object, and what they must remember between two of them."""

    def __init__(self, huey: Any, on_ready: Callable[[], None]) -> None:
        self.huey = huey
        self._on_ready = on_ready
        self.consumer: Any = None
        """Huey's consumer once this process is one; also in its children, which are forked from it."""
        self.slots: Slots | None = None
        """What the children of a consumer of processes run."""
        self.runs: dict[str, Run] = {}
        """What runs in this process, by task id."""
        self.retry_of: dict[str, str] = {}
        """New id → the task it repeats, between making and enqueueing it."""
        self._due: set[str] = set()
        """Ids that were read from the schedule and are about to be enqueued once more."""
        self._retrying: set[str] = set()
        self._local = threading.local()
        self._agent: Agent

    def connect(self) -> None:
        agent = z4j_agent.current()
        if agent is None:
            return
        self._agent = agent
        never_swallow(TaskTimeout, stops.Stopped)
        huey = self.huey
        huey.signal()(self.on_signal)
        huey.post_execute(HOOK)(self.on_executed)
        for name, wrapped in {
            "enqueue": self._wrap_enqueue(huey.enqueue),
            "read_schedule": self._wrap_read_schedule(huey.read_schedule),
            "deserialize_task": self._wrap_deserialize(huey.deserialize_task),
            "create_consumer": self._wrap_create_consumer(huey.create_consumer),
        }.items():
            setattr(huey, name, wrapped)  # on this object alone; `uninstall` gives the class's own back
        atexit.register(self._at_exit)

    def disconnect(self) -> None:
        self.huey.disconnect_signal(self.on_signal)
        self.huey.unregister_post_execute(HOOK)
        for name in ("enqueue", "read_schedule", "deserialize_task", "create_consumer"):
            self.huey.__dict__.pop(name, None)
        atexit.unregister(self._at_exit)

    # -- enqueueing: in producers, in workers (retries, pipelines) and in the scheduler --------------------------------
    def _wrap_enqueue(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def enqueue(task: Any) -> Any:
            at = now()
            result = original(task)
            self.on_enqueued(task, at)
            return result

        return enqueue

    @guard("enqueueing")
    def on_enqueued(self, task: Any, at: int) -> None:
        """After the storage has the message. Groups and chords come here again, task by task."""
        if not isinstance(task, Task):
            return
        if task.id in self._due:
            self._due.discard(task.id)  # the schedule moved it; it was told when it was put there
            return
        self._retrying.discard(task.id)
        self._sent(task, at, None if not task.eta else to_us(task.eta, is_utc=self.huey.utc))

    def _sent(self, task: Any, at: int, eta: int | None) -> None:
        agent, huey = self._agent, self.huey
        eta = eta if eta is not None and eta > at else None  # a retry keeps the eta of the attempt before
        parent = getattr(self._local, "running", "")
        meta = sent_meta(task, is_utc=huey.utc, parent_id=parent, retry_of=self.retry_of.pop(task.id, ""))
        attempt = attempt_of(task)
        agent.append(records.enqueued(ENGINE, task.id, attempt, at, agent.run, name_of(task), huey.name, eta=eta, meta=meta))
        if attempt == 0:
            agent.append(originals.payload_of(agent, huey, task, originals.BY_PRODUCER))
        agent.connect()

    def _wrap_read_schedule(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def read_schedule(*args: Any, **kwargs: Any) -> Any:
            found = original(*args, **kwargs)
            self.on_due(found)
            return found

        return read_schedule

    @guard("reading the schedule")
    def on_due(self, found: Any) -> None:
        self._due = {task.id for task in found}

    # -- a message nobody can read -------------------------------------------------------------------------------------
    def _wrap_deserialize(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def deserialize_task(data: Any) -> Any:
            try:
                return original(data)
            except Exception as error:
                self.on_unreadable(data, error, sys._getframe(1).f_code.co_name)
                raise

        return deserialize_task

    @guard("an unreadable message")
    def on_unreadable(self, data: Any, error: Exception, caller: str) -> None:
        """Taken from the queue it is lost: Huey logs it. Looking through the queue meets it too, and takes nothing."""
        if caller != "dequeue":
            return
        agent, huey = self._agent, self.huey
        try:
            message = huey.serializer.deserialize(data)
            task_id, name, reason = str(message.id), str(message.name), "unknown_task"
        except Exception:  # the same that Huey has just met, told below
            digest = hashlib.sha256(bytes(data)).hexdigest()[:24]
            task_id, name, reason = f"malformed-{digest}", "", "malformed"
        kind, text, _ = hooks.error_of(error)
        agent.append(
            records.rejected(ENGINE, task_id, 0, now(), agent.run, name, huey.name, reason=reason, error=f"{kind}: {text}", meta="null")
        )

    # -- where the task runs -------------------------------------------------------------------------------------------
    @guard("a signal")
    def on_signal(self, signal: str, task: Any, *_args: Any, **_kwargs: Any) -> None:
        if signal == signals.SIGNAL_EXECUTING:
            self._started(task)
        elif signal == signals.SIGNAL_RETRYING:
            self._retrying.add(task.id)
        elif signal == signals.SIGNAL_SCHEDULED and task.id in self._retrying:
            self._retrying.discard(task.id)
            self._sent(task, now(), to_us(task.eta, is_utc=self.huey.utc))
        elif signal in (signals.SIGNAL_REVOKED, signals.SIGNAL_EXPIRED):
            self._refused(signal, task)
        elif signal == signals.SIGNAL_CANCELED:
            self._cancelled_before(task)
        elif signal == signals.SIGNAL_INTERRUPTED:
            self._interrupted(task)

    def _started(self, task: Any) -> None:
        agent, huey = self._agent, self.huey
        is_eager = bool(huey.immediate)
        run = self.runs[task.id] = Run(task, is_eager=is_eager)
        self._local.running = task.id
        head = (ENGINE, task.id, run.attempt, run.started_at, agent.run, run.name, huey.name)
        if not is_eager:
            agent.append(records.received(*head, meta=records.NO_META))
        agent.append(records.started(*head, meta=run.meta))
        if run.attempt == 0:
            self._tell_arguments(task)
        if self.slots is not None:
            self.slots.write([task.id, run.attempt, run.name, run.started_at])

    def _tell_arguments(self, task: Any) -> None:
        """A message does not say whether its producer is watched. Read at once, for the task may change what it was given."""
        self._agent.append(originals.payload_of(self._agent, self.huey, task, originals.BY_WORKER))

    def _ended(self, task: Any) -> Run | None:
        self._local.running = ""
        if self.slots is not None:
            self.slots.write(None)
        return self.runs.pop(task.id, None)

    @guard("an end")
    def on_executed(self, task: Any, value: Any, error: BaseException | None) -> None:
        run = self._ended(task)
        if run is None:
            return
        agent, runtime = self._agent, run.runtime()
        head = (ENGINE, task.id, run.attempt, now(), agent.run, run.name, self.huey.name)
        times: dict[str, Any] = {"started_at": run.started_at, "runtime": runtime}
        if error is None:
            result = "null" if value is None else agent.show(value)
            agent.append(records.succeeded(*head, received_at=run.started_at, **times, result=result, meta=run.meta))
            return
        kind, text, trace = hooks.error_of(error)
        if task.retries:  # Huey decides by this number alone (huey/api.py, _execute)
            eta = _retry_eta(task, error, is_utc=self.huey.utc)
            reason = _reason(error) or ("requeued" if isinstance(error, RetryTask) else "")
            agent.append(
                records.retried(*head, **times, eta=eta, reason=reason, error_type=kind, error=text, traceback=trace, meta=run.meta)
            )
        elif isinstance(error, CancelExecution):
            reason = "stopped" if isinstance(error, stops.Stopped) else "by_itself"
            agent.append(records.cancelled(*head, **times, reason=reason, error=text, meta=run.meta))
        elif isinstance(error, TaskLockedException) or _is_rate_limit(error):
            agent.append(records.rejected(*head, **times, reason=_reason(error), error=text, traceback=trace, meta=run.meta))
        else:
            agent.append(
                records.failed(
                    *head, received_at=run.started_at, **times, reason=_reason(error), error_type=kind, error=text, traceback=trace,
                    meta=run.meta,
                )
            )  # fmt: skip

    # -- ends without a run, or without a hook -------------------------------------------------------------------------
    def _refused(self, signal: str, task: Any) -> None:
        agent = self._agent
        head = (ENGINE, task.id, attempt_of(task), now(), agent.run, name_of(task), self.huey.name)
        if attempt_of(task) == 0:
            self._tell_arguments(task)
        if signal == signals.SIGNAL_EXPIRED:
            agent.append(records.expired(*head))
        else:
            agent.append(records.cancelled(*head, reason="revoked"))

    def _cancelled_before(self, task: Any) -> None:
        """A pre-execute hook of the application said no. A task that cancels itself comes to `on_executed` as well."""
        trace = getattr(sys.exc_info()[1], "__traceback__", None)
        while trace is not None:
            if trace.tb_frame.f_code.co_name == "_run_pre_execute":
                run = self._ended(task)
                if run is not None:
                    head = (ENGINE, task.id, run.attempt, now(), self._agent.run, run.name, self.huey.name)
                    self._agent.append(records.cancelled(*head, started_at=None, runtime=None, reason="vetoed", meta=run.meta))
                return
            trace = trace.tb_next

    def _interrupted(self, task: Any) -> None:
        """The worker is ending, or an operator has stopped it. Huey does not enqueue it again: nobody will finish it."""
        run = self._ended(task)
        if run is None:
            return
        agent = self._agent
        head = (ENGINE, task.id, run.attempt, now(), agent.run, run.name, self.huey.name)
        if stops.was_asked(agent, task.id):
            agent.append(
                records.cancelled(*head, started_at=run.started_at, runtime=run.runtime(), reason="stopped", meta=run.meta)
            )  # fmt: skip
        else:
            agent.append(records.lost(*head, reason="shutdown", error="the worker was shut down while it ran"))

    # -- the life of a consumer ----------------------------------------------------------------------------------------
    def _wrap_create_consumer(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def create_consumer(*args: Any, **kwargs: Any) -> Any:
            consumer = original(*args, **kwargs)
            self.on_consumer(consumer)
            return consumer

        return create_consumer

    @guard("a consumer's start")
    def on_consumer(self, consumer: Any) -> None:
        """Its workers exist, its children do not yet: they are forked when it starts."""
        agent = self._agent
        self.consumer = consumer
        if consumer.environment.__class__.__name__.startswith("Process"):
            self.slots = Slots(consumer.workers)
        self._on_ready()
        agent.become_worker(f"{self.huey.name}@{agent.host}:{os.getpid()}")
        start = consumer.start

        def started(*args: Any, **kwargs: Any) -> Any:
            result = start(*args, **kwargs)
            self.on_consumer_started()
            return result

        consumer.start = started

    @guard("a consumer's start")
    def on_consumer_started(self) -> None:
        self._agent.connect()

    def worker_name(self) -> str:
        return self._agent.worker

    def _at_exit(self) -> None:
        """The process ends within seconds also when nobody listens; what was not sent is in the spool and goes with the next."""
        agent = self._agent
        if agent.is_connected_process:
            agent.flush(EXIT_WAIT_S)
            agent.stop(EXIT_WAIT_S)


def _is_rate_limit(error: BaseException) -> bool:
    return RateLimitExceeded is not None and isinstance(error, RateLimitExceeded)


def _reason(error: BaseException) -> str:
    """Why an end is unusual."""
    if isinstance(error, TaskTimeout):
        return "time_limit"
    if isinstance(error, TaskLockedException):
        return "locked"
    return "rate_limited" if _is_rate_limit(error) else ""


def _retry_eta(task: Any, error: BaseException, *, is_utc: bool) -> int | None:
    """When Huey will try again, in microseconds UTC; None for at once."""
    if isinstance(error, RetryTask):
        if error.eta is not None:
            return to_us(error.eta, is_utc=False)  # the task gave it, in its own local time
        return now() + int(error.delay * 1_000_000) if error.delay is not None else None
    delay_s = task.retry_delay or getattr(error, "delay", 0) or 0
    return now() + int(delay_s * 1_000_000) if delay_s else None
