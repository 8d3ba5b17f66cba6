# SPDX-License-Identifier: Apache-2.0
"""Turns Huey's signals and calls of its methods into records. Which signal is sent where was found by experiment (`docs/engines.md` has
a row per outcome).

Signals alone are not sufficient: `enqueued` is sent before the broker has the task, and again whenever the scheduler enqueues a due one;
`complete` has no value; a task that a worker cannot read, or whose result cannot be stored, has no signal. So Huey's own methods are
wrapped on this object where outcomes are decided, and its hooks and signals are used in between.
"""

from __future__ import annotations

import datetime
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

from huey import exceptions, signals
from huey.api import Task
from huey.consumer import Consumer

import z4j_agent
from z4j_agent.agent import Agent
from z4j_agent.capture import current_run
from z4j_agent.capture.guard import guard, never_swallow
from z4j_agent.capture.hooks import error_of, now
from z4j_agent.capture.run_usage import used
from z4j_agent.runtime import gevent_bridge
from z4j_agent.runtime.patching import Patches
from z4j_agent.wire import records
from z4j_huey import broker_identity, originals
from z4j_huey.execution.attempts import REASONS, REFUSED, SIGNALS, InFlight, Run, Stopped, current, retry_of
from z4j_huey.execution.consumer_lifecycle import ConsumerLifecycle
from z4j_huey.messages import (
    ENGINE,
    attempt_of,
    has_room,
    hide_old_mark,
    is_old_mark,
    mark_reported,
    name_of,
    read_trailer,
    sent_meta,
    set_attempt,
    to_us,
    uncarry,
    with_trailer,
)
from z4j_huey.pausing import Pausing
from z4j_huey.schedulers.periodic import FIRE, Periodic
from z4j_huey.state import HueyState

HOOK = "z4j"


class Capture:
    """The hooks of one Huey object."""

    def __init__(self, state: HueyState) -> None:
        self.state = state
        self.target = self.huey = state.huey
        self.pausing = Pausing(state.huey)
        self.periodic = Periodic(state)
        self._agent: Agent
        self._patches = Patches()
        self._local = threading.local()

    def connect(self) -> None:
        """Wraps methods of the Huey object and of its consumer, and adds a signal and a hook. Does nothing without an agent."""
        agent = z4j_agent.current()
        if agent is None:
            return
        self._agent, huey, patches = agent, self.huey, self._patches
        broker_identity.watched.append(huey)
        self.state.lifecycle = ConsumerLifecycle(huey, agent, self.state.running, self.on_child_killed)
        never_swallow(Stopped, *(each for each in (getattr(exceptions, "TaskTimeout", None),) if each is not None))
        replaced: dict[str, Callable[..., Any]] = {
            "enqueue": self.around_enqueue,
            "execute": self.around_execute,
            "_requeue_task": self.around_requeue,
            "add_schedule": self.around_add_schedule,
            "read_schedule": self.around_read_schedule,
            "read_periodic": self.periodic.around_read_periodic,
            "dequeue": self.around_dequeue,
            "serialize_task": self.around_serialize,
            "deserialize_task": self.around_deserialize,
            "notify_interrupted_tasks": self.state.lifecycle.around_end,
        }
        for name, around in replaced.items():
            patches.around(huey, name, around)
        patches.around(Consumer, "start", self.around_start)
        patches.around(Consumer, "check_worker_health", self.state.lifecycle.around_health_check)
        huey._tasks_in_flight = InFlight(huey._tasks_in_flight, self.on_begin, self.on_end)
        huey.signal(*SIGNALS)(self.on_signal)  # no others, because every task sends three more
        huey.post_execute(HOOK)(self.on_executed)

    def disconnect(self) -> None:
        broker_identity.watched[:] = [each for each in broker_identity.watched if each is not self.huey]
        self._patches.restore()
        if isinstance(self.huey._tasks_in_flight, InFlight):  # else another library has wrapped it since
            self.huey._tasks_in_flight = set(self.huey._tasks_in_flight)
        self.huey.disconnect_signal(self.on_signal)
        self.huey.unregister_post_execute(HOOK)
        self.state.lifecycle.forget()

    # -- enqueueing ----------------------------------------------------------------------------------------------------
    def around_enqueue(self, enqueue: Callable[[Any], Any], task: Any) -> Any:
        """Reports a task after the broker has accepted it; a task that Huey runs immediately is reported before."""
        if hasattr(task, FIRE):
            return self.periodic.around_enqueue(partial(self._enqueue, enqueue), task)
        return self._enqueue(enqueue, task)

    def _enqueue(self, enqueue: Callable[[Any], Any], task: Any) -> Any:
        records_to_append = self._before_enqueue(task)
        try:
            if records_to_append is None:
                return enqueue(task)
            if self.huey._immediate:
                self._append_all(records_to_append)
                return enqueue(task)
            result = enqueue(task)
            self._append_all(records_to_append)
            return result
        finally:
            if isinstance(task, Task):
                uncarry(task)

    @guard("before enqueueing")
    def _before_enqueue(self, task: Any) -> tuple[bytes, bytes] | None:
        """The two records of a task, or one and b""; None for a group, and for a task that was enqueued before and only becomes due."""
        if not isinstance(task, Task) or task.__dict__.pop("z4j_is_due", False):
            return None
        agent, huey, run = self._agent, self.huey, current.get()
        is_eager = bool(huey._immediate)
        if run is not None and run.task is task:
            self._count_attempt(task, run.attempt + 1)
            if run.error is not None or self.huey._immediate:
                return None  # the next attempt of a task that runs here, which `around_requeue` reports
            run.is_sent_again = True  # by the application itself
            head = (ENGINE, task.id, run.attempt + 1, now(), self._agent.run, run.name, run.queue)
            return records.enqueued(*head, eta=to_us(task.eta, is_utc=self.huey.utc)), b""
        parent_id = run.task_id if run is not None else ""
        meta = sent_meta(task, is_utc=huey.utc, parent_id=parent_id, retry_of=retry_of.get(), is_eager=is_eager)
        has_trailer = has_room(huey)
        if has_trailer and not is_eager:
            set_attempt(task, 0)
        name, attempt = name_of(task), attempt_of(task)
        eta = None if task.eta is None else to_us(task.eta, is_utc=huey.utc)
        record = records.enqueued(ENGINE, task.id, attempt, now(), agent.run, name, huey.name, eta=eta, meta=meta)
        if is_eager:
            return record, b""
        payload = originals.payload_of(agent, huey, task, originals.BY_PRODUCER, attempt, name)
        if has_trailer:
            mark_reported(task)
        return record, payload

    @guard("enqueueing")
    def _append_all(self, records_to_append: tuple[bytes, bytes]) -> None:
        agent = self._agent
        agent.append_together(*records_to_append)
        if not agent.is_connected_process:
            self.state.hub = self.state.hub or gevent_bridge.current_hub()
            agent.connect()

    def around_read_schedule(self, read: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Marks due tasks that the scheduler enqueues next, and adds those of operators' overrides."""
        self._local.is_taking = True
        try:
            due = read(*args, **kwargs)
        finally:
            self._local.is_taking = False
        for task in due:
            task.z4j_is_due = True
        return [*due, *(self.periodic.due() or ())]

    # -- a worker ------------------------------------------------------------------------------------------------------
    def around_dequeue(self, dequeue: Callable[[], Any]) -> Any:
        if self.pausing.is_paused():
            return None
        self._local.is_taking = True
        try:
            return dequeue()
        finally:
            self._local.is_taking = False

    def around_deserialize(self, deserialize: Callable[[bytes], Any], data: bytes) -> Any:
        """Reports a message that cannot be read after it was taken from the queue or the schedule. It is lost: Huey logs it, and sends
        no signal."""
        try:
            task = deserialize(data)
            if has_room(self.huey):
                read_trailer(data, task, is_taken=getattr(self._local, "is_taking", False))
            return task
        except Exception as error:
            if getattr(self._local, "is_taking", False):
                self._unreadable(data, error)
            raise

    @guard("an unreadable task")
    def _unreadable(self, data: bytes, error: Exception) -> None:
        agent, (payload, task_id, attempt, name) = self._agent, originals.of_unknown(self._agent, self.huey, data)
        reason = "unknown_task" if name else "malformed"
        if payload is not None:
            agent.append(payload)
        _, text, _ = error_of(error)
        agent.append(records.rejected(ENGINE, task_id, attempt, now(), agent.run, name, self.huey.name, reason=reason, error=text))

    def around_execute(self, execute: Callable[..., Any], task: Any, *args: Any, **kwargs: Any) -> Any:
        """Wraps the processing of a task that a worker has taken."""
        run = Run(task, self.huey.name)
        uncarry(task)
        if is_old_mark(task.eta):
            hide_old_mark(task, self.huey._get_timestamp())
        token = current.set(run)
        try:
            result = execute(task, *args, **kwargs)
        except BaseException as error:
            self._left(run, error)
            raise
        else:
            self._left(run, None)
        finally:
            current.reset(token)
        return result

    @guard("the end of a task")
    def _left(self, run: Run, error: BaseException | None) -> None:
        """Reports the end of a task if no hook or signal has done so."""
        if run.started_at is not None:
            self.state.lifecycle.left()
        if run.is_reported:
            return
        if error is None:
            if run.outcome == signals.SIGNAL_CANCELED:  # no `post_execute` follows then
                self._report_cancelled(run, reason="vetoed", error="a pre_execute hook of the application cancelled it")
        elif run.ended_at is not None:
            # Huey catches every Exception of a function, so other exceptions (SystemExit, CancelledError) are the function's own
            reason = "not_requeued" if run.error is not None else "not_stored" if isinstance(error, Exception) else ""
            self._report_failed(run, reason, run.error or error)

    @guard("signal")
    def on_signal(self, signal: str, task: Any, *args: Any) -> None:
        """Reports the outcomes without a hook: revoked, expired, interrupted. Stores other signals, which are the reason."""
        run = current.get()
        if run is None or run.task is not task:
            if signal == signals.SIGNAL_INTERRUPTED:  # by main, for tasks that its threads still run
                interrupted = self.state.running.get(task.id)
                if interrupted is not None:
                    self._report_interrupted(interrupted)
            return
        if run.is_reported:
            return
        if signal == signals.SIGNAL_EXECUTING:
            if not run.has_arguments:
                self._payload(run)
            if self.huey._pre_execute:  # else the start follows at once, and its record is sufficient
                head = (ENGINE, run.task_id, run.attempt, run.received_at, self._agent.run, run.name, run.queue)
                self._agent.append(records.received(*head))
        elif signal == signals.SIGNAL_REVOKED:
            self._payload(run)
            self._report_cancelled(run, reason="revoked")
        elif signal == signals.SIGNAL_EXPIRED:
            self._payload(run)
            run.is_reported = True
            self._agent.append(records.expired(*self._head(run)))
        elif signal == signals.SIGNAL_INTERRUPTED:
            self._report_interrupted(run)
        elif signal in REASONS:
            run.outcome = signal

    def _payload(self, run: Run) -> None:
        """Reports the arguments, unless the message is marked: then its producer does so. The producer's record has precedence."""
        if run.has_arguments:
            return
        self._agent.append(originals.payload_of(self._agent, self.huey, run.task, originals.BY_WORKER, run.attempt, run.name))

    @guard("the start of a task")
    def on_begin(self, task: Any) -> None:
        """Reports the start, right before the task's function is called: Huey adds the task to those in flight then."""
        run, agent = current.get(), self._agent
        if run is None or run.task is not task:
            return
        run.begins()
        agent.append(records.started(ENGINE, run.task_id, run.attempt, run.started_at or 0, agent.run, run.name, run.queue))
        run.current_run = current_run.begin(agent, ENGINE, run.task_id, run.attempt, run.started_at or 0, run.name, run.queue)
        self.state.lifecycle.begins(run)

    @guard("the end of a task's function")
    def on_end(self, task: Any) -> None:
        """Ends the run, right after the task's function: Huey removes the task from those in flight then."""
        run = current.get()
        if run is not None and run.task is task:
            run.ends()
            current_run.end(run.current_run)
            self.state.lifecycle.ends(run)

    @guard("post_execute")
    def on_executed(self, task: Any, value: Any, exception: BaseException | None) -> None:
        """Reports the outcome of a run that is not retried. Huey's hook `post_execute` has the value, None after an exception."""
        run = current.get()
        if run is None or run.task is not task:
            return
        if exception is None:
            run.is_reported = True
            if run.is_sent_again:
                self._report_sent_again(run, "requeued")
                return
            shown = "null" if value is None else self._agent.show(value)
            self._agent.append(
                records.succeeded(
                    *self._head(run),
                    received_at=run.received_at,
                    started_at=run.started_at,
                    runtime=run.runtime,
                    result=shown,
                    usage=used(run.current_run),
                )
            )
            return
        run.error = exception
        if task.retries:
            return  # Huey is about to requeue it
        reason = REASONS.get(run.outcome, "")
        if isinstance(exception, Stopped):
            self._report_cancelled(run, reason="stopped", error="it was stopped from z4j")
        elif run.outcome == signals.SIGNAL_CANCELED:
            self._report_cancelled(run, reason="by_itself", error=error_of(exception)[1])
        elif run.outcome in REFUSED:
            run.is_reported = True
            _, error, traceback = error_of(exception)
            self._agent.append(
                records.rejected(
                    *self._head(run), started_at=run.started_at, runtime=run.runtime, reason=reason, error=error, traceback=traceback
                )
            )
        else:
            self._report_failed(run, reason, exception)

    def around_requeue(self, requeue: Callable[..., Any], task: Any, timestamp: Any, retry_eta: Any = None) -> Any:
        """Reports an attempt that Huey will retry; Huey counts the retries down in the task itself."""
        if self.huey._immediate:  # the next attempt runs in here
            self._report_retried(task, timestamp, retry_eta)
            return requeue(task, timestamp, retry_eta)
        delay, at = task.retry_delay, now()  # another worker may end the next attempt before this one continues
        result = requeue(task, timestamp, retry_eta)
        self._report_retried(task, timestamp, retry_eta, delay, at)
        return result

    def around_add_schedule(self, add: Callable[[Any], Any], task: Any) -> Any:
        run = current.get()
        if run is not None and run.task is task:
            if run.error is not None:
                self._count_attempt(task, run.attempt + 1)
            elif run.has_arguments:
                mark_reported(task)
        try:
            return add(task)
        finally:
            uncarry(task)

    @guard("counting attempts")
    def _count_attempt(self, task: Any, attempt: int) -> None:
        if has_room(self.huey):
            set_attempt(task, attempt)

    def around_serialize(self, serialize: Callable[[Any], bytes], task: Any) -> bytes:
        """The message, followed by what z4j adds behind it."""
        data = serialize(task)
        return with_trailer(data, task) if isinstance(task, Task) and has_room(self.huey) else data

    @guard("a retry")
    def _report_retried(self, task: Any, timestamp: Any, retry_eta: Any, delay: Any = None, at: int | None = None) -> None:
        run, agent = current.get(), self._agent
        if run is None or run.task is not task or run.error is None:
            return
        run.is_reported = True
        if retry_eta is None and delay:
            retry_eta = timestamp + datetime.timedelta(seconds=delay)
        eta = to_us(retry_eta, is_utc=self.huey.utc)
        kind, error, traceback = error_of(run.error)
        reason = REASONS.get(run.outcome, "")
        agent.append(
            records.retried(
                *self._head(run), started_at=run.started_at, runtime=run.runtime, eta=eta, reason=reason,
                error_type=kind, error=error, traceback=traceback,
                usage=used(run.current_run),
            )
        )  # fmt: skip
        agent.append(records.enqueued(ENGINE, run.task_id, run.attempt + 1, at or now(), agent.run, run.name, run.queue, eta=eta))

    # -- ends ----------------------------------------------------------------------------------------------------------
    def _head(self, run: Run) -> tuple[str, str, int, int, str, str, str]:
        return ENGINE, run.task_id, run.attempt, run.ended_at or now(), self._agent.run, run.name, run.queue

    def _report_failed(self, run: Run, reason: str, error: BaseException) -> None:
        run.is_reported = True
        kind, text, traceback = error_of(error)
        self._agent.append(
            records.failed(
                *self._head(run), received_at=run.received_at, started_at=run.started_at, runtime=run.runtime, reason=reason,
                error_type=kind, error=text, traceback=traceback,
                usage=used(run.current_run),
            )
        )  # fmt: skip

    def _report_cancelled(self, run: Run, reason: str, error: str = "") -> None:
        run.is_reported = True
        self._agent.append(records.cancelled(*self._head(run), started_at=run.started_at, runtime=run.runtime, reason=reason, error=error))

    def _report_interrupted(self, run: Run) -> None:
        """Reports an interrupted task. Huey neither requeues it nor stores a result: it is lost, unless an operator stopped it."""
        run.ends()
        if self.state.lifecycle.is_stop_asked():
            self._report_cancelled(run, reason="stopped", error="it was stopped from z4j")
            return
        run.is_reported = True
        if run.is_sent_again:
            self._report_sent_again(run, "shutdown")
            return
        error = "the consumer was terminated while the task ran; Huey does not run it again"
        self._agent.append(records.lost(*self._head(run), reason="shutdown", error=error))

    def _report_sent_again(self, run: Run, reason: str) -> None:
        """Reports a task that the application has enqueued again: that is its next attempt."""
        self._agent.append(
            records.retried(
                *self._head(run), started_at=run.started_at, runtime=run.runtime, eta=None, reason=reason, error_type="", error="",
                traceback="",
                usage=used(run.current_run),
            )
        )  # fmt: skip

    @guard("a killed child")
    def on_child_killed(self, pid: int, task_id: str, attempt: int, name: str) -> None:
        """Reports a task whose child process died. `pid` is that of the child. Called in the consumer's process."""
        agent = self._agent
        error = "the worker's child process died while the task ran; Huey does not run it again"
        agent.append(
            records.lost(ENGINE, task_id, attempt, now(), f"{agent.boot}.{pid}", name, self.huey.name, reason="child_killed", error=error)
        )

    # -- the consumer --------------------------------------------------------------------------------------------------
    def around_start(self, start: Callable[[Any], Any], consumer: Any) -> Any:
        if consumer.huey is not self.huey:
            return start(consumer)
        self.state.hub = self.state.hub or gevent_bridge.current_hub()
        self.state.lifecycle.before_start(consumer)
        result = start(consumer)
        self.state.lifecycle.after_start()
        return result
