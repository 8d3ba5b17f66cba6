# SPDX-License-Identifier: Apache-2.0
"""Turns Celery's signals into records. Which signal is sent where was found by experiment (`docs/engines.md` has a row per outcome).

Celery's main process is its bottleneck, so nothing is decoded there; a receiver that raises would cost a logged traceback each time. Every
receiver is guarded; soft time limits pass through. Signals are wrong in three ways, all handled here: a hard time limit fails a task twice,
`task_postrun` without a state is not an end, and a cold shutdown reports "retry" for a task that is lost.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from typing import Any

from billiard.exceptions import Terminated
from celery import signals
from celery._state import get_current_task
from celery.exceptions import Reject, SoftTimeLimitExceeded, TimeLimitExceeded, WorkerLostError

import z4j_agent
from z4j_agent.agent import Agent
from z4j_agent.capture import current_run, display
from z4j_agent.capture.guard import guard, never_swallow
from z4j_agent.capture.hooks import route, text_of
from z4j_agent.capture.run_usage import used
from z4j_agent.runtime import gevent_bridge
from z4j_agent.wire import records
from z4j_celery import apps, originals
from z4j_celery.attempts import REDELIVERED, Run, delivery_mode_of_publish, traceback_of
from z4j_celery.execution import outcomes, stored_outcomes
from z4j_celery.execution.direct_calls import DirectCalls
from z4j_celery.execution.unstarted import Unstarted
from z4j_celery.messages import ENGINE, MARK, OLD_MARKS, RETRY_OF, calling_code, due, now, repeated, sent_meta, take_old_marks, to_us
from z4j_celery.state import AppState

MAX_SENT = 1_000
OFTEN = 5
"""How many of the receivers, the first ones, are called for every task."""


class Capture:
    """The receivers of one app, and the data that they keep between two signals of one task."""

    def __init__(self, state: AppState, on_ready: Callable[[AppState], None]) -> None:
        self.state = state
        self.target = self.app = state.app
        self.agent: Agent
        self._on_ready = on_ready
        self._sending = threading.local()
        self._stored_ends = stored_outcomes.StoredEnds(state, self.failed_elsewhere, self.on_revoked, self.on_stored)
        self._direct_calls = DirectCalls()
        self._unstarted = Unstarted(self.app)
        self._receivers: list[tuple[Any, Callable[..., Any]]] = [
            (signals.before_task_publish, self.on_before_publish),
            (signals.after_task_publish, self.on_after_publish),
            (signals.task_received, self.on_received),
            (signals.task_prerun, self.on_prerun),
            (signals.task_postrun, self.on_postrun),
            (signals.task_failure, self.on_failure),
            (signals.task_retry, self.on_retry),
            (signals.task_revoked, self.on_revoked),
            (signals.task_unknown, self.on_unknown),
            (signals.task_rejected, self.on_rejected),
            (signals.worker_init, self.on_worker_init),
            (signals.worker_ready, self.on_worker_ready),
            (signals.worker_shutdown, self.on_worker_shutdown),
        ]

    def connect(self) -> None:
        """Connects every receiver. The tracer reads the live list of receivers, so that a late connection suffices."""
        apps.watch(self.app)
        agent = z4j_agent.current()
        if agent is None:
            return
        self.agent = self.state.agent = agent
        never_swallow(SoftTimeLimitExceeded, TimeLimitExceeded, Terminated)
        for signal, receiver in self._receivers:
            signal.connect(receiver, weak=False, dispatch_uid=self._uid(receiver))
        for signal, receiver in self._receivers[:OFTEN]:
            self._direct_calls.install(signal, receiver)
        self._stored_ends.install()
        agent.close_at_exit()

    def disconnect(self) -> None:
        """Disconnects every receiver, and removes the wrappers."""
        self._direct_calls.uninstall()
        for signal, receiver in self._receivers:
            signal.disconnect(receiver, dispatch_uid=self._uid(receiver))
        self._stored_ends.uninstall()
        apps.forget(self.app)

    def _uid(self, receiver: Callable[..., Any]) -> str:
        """Until 5.6 Celery takes one method of two captures for the same receiver (utils/dispatch/signal.py: `_make_id`)."""
        return f"z4j-{id(self)}-{receiver.__name__}"

    def _is_ours(self, sender: Any) -> bool:
        """Signals are global; a process may hold several apps. `sender` is a task, a consumer or a worker."""
        app = self.app
        return getattr(sender, "_app", None) is app or getattr(sender, "app", app) is app  # a task's `app` is a property in Python

    # -- the producer --------------------------------------------------------------------------------------------------
    @guard("before_task_publish")
    def on_before_publish(self, body: Any = None, headers: Any = None, properties: Any = None, **_: Any) -> None:
        """Stores the message as Celery has made it, until the broker has accepted it. A retry repeats the headers with which its task
        was received."""
        sending = self._sending
        sending.is_ours = apps.is_sending(self.app)
        if not sending.is_ours:
            return
        sending.at, sending.priority, sending.message = now(), (properties or {}).get("priority"), None
        if not isinstance(headers, dict) or "id" not in headers:
            return  # protocol 1: the ID is in the body, and the worker reports the arguments
        for mark in OLD_MARKS:  # a retry repeats every header with which its task was received
            headers.pop(mark, None)
        given = {**(properties or {}), "delivery_mode": delivery_mode_of_publish()}
        sending.message = originals.message_of_publish(self.app, headers, body, given)
        if sending.message is not None:
            originals.mark_reported(body)

    @guard("after_task_publish")
    def on_after_publish(
        self, sender: Any = None, body: Any = None, exchange: Any = None, routing_key: Any = None, headers: Any = None, **_: Any
    ) -> None:
        """Reports a task that the broker has accepted, with its arguments and original. In protocol 1 the ID is in the body."""
        agent, sending = self.agent, self._sending
        if not getattr(sending, "is_ours", True):
            return
        sent = headers if isinstance(headers, dict) and "id" in headers else body
        if not isinstance(sent, dict) or not sent.get("id"):
            return
        task_id, name, attempt = sent["id"], str(sent.get("task", sender)), int(sent.get("retries") or 0)
        queue = self.state.routes.queue(exchange, routing_key)
        if not str(getattr(exchange, "name", exchange) or "") and len(self.state.sent) < MAX_SENT:
            self.state.sent.add(queue)  # with another exchange than the default one it is a routing key, not a queue
        meta = sent_meta(sent, task_id, getattr(sending, "priority", None), repeated(), code=calling_code())
        at = getattr(sending, "at", 0) or now()
        eta = to_us(sent.get("eta"))
        record, payload = records.enqueued(ENGINE, task_id, attempt, at, agent.run, name, queue, eta=eta, meta=meta), b""
        message, sending.message = getattr(sending, "message", None), None
        try:
            if message is not None:
                payload = originals.payload_of_publish(agent, self.app, message, task_id, attempt, name, queue, exchange, routing_key)
        finally:  # whatever was raised, the task has been sent
            agent.append_together(record, payload)
        task = get_current_task() if self.state.runs else None
        if task is not None and task.request.id == task_id and (run := self.state.run_of(task.request)) is not None:
            run.sent_again = eta or at
        if not agent.is_connected_process:
            self.state.hub = self.state.hub or gevent_bridge.current_hub()
            agent.connect()

    # -- the worker's main process -------------------------------------------------------------------------------------
    @guard("task_received")
    def on_received(self, request: Any = None, **_: Any) -> None:
        """Reports the receipt, in the worker's main process. Arguments that no producer has reported follow with the start
        (`docs/engines.md`)."""
        if not self._is_ours(request.task):
            return
        agent, headers, info = self.agent, request.request_dict, request.delivery_info
        at, task_id = now(), request.id
        marks = take_old_marks(headers)  # the child and its task get the rest
        self.state.remember_request(request)
        attempt, queue, name = int(headers.get("retries") or 0), self.state.queue_in(info), request.type
        if MARK in marks or (request.content_type == originals.JSON and originals.is_reported(request.body)):
            meta = REDELIVERED if info.get("redelivered") else records.NO_META
        else:
            old = marks.get(RETRY_OF)
            meta = sent_meta(headers, task_id, info.get("priority"), old, redelivered=bool(info.get("redelivered")))
            self._unstarted.add(agent, request, attempt, queue)
        eta = to_us(request.eta) if request.eta else None
        agent.append(records.received(ENGINE, task_id, attempt, at, agent.run, name, queue, eta=eta, meta=meta))

    @guard("task_revoked")
    def on_revoked(self, sender: Any = None, request: Any = None, terminated: Any = None, expired: Any = None, **_: Any) -> None:
        """Reports a task that expired, was revoked before it started, or was stopped with its child. Called in the main process."""
        if not self._is_ours(sender):
            return
        agent, at = self.agent, now()
        task_id, attempt, queue = request.id, int(request.retries or 0), self.state.queue_in(request.delivery_info)
        if expired:
            agent.append(records.expired(ENGINE, task_id, attempt, at, agent.run, sender.name, queue))
            return
        run, started_at, runtime = self._ran_elsewhere(task_id) if terminated else (agent.run, None, None)
        reason = "stopped" if terminated else "revoked"
        agent.append(
            records.cancelled(
                ENGINE, task_id, attempt, at, run, sender.name, queue, started_at=started_at, runtime=runtime, reason=reason,
            )
        )  # fmt: skip

    def _ran_elsewhere(self, task_id: str) -> tuple[str, int | None, int | None]:
        """Process token, start and runtime of a task that a child of this process ran, as far as the main process has them."""
        request = self.state.request_of(task_id)
        if request is None or request.time_start is None or request.worker_pid is None:
            return self.agent.run, None, None
        started_at = to_us(request.time_start) or 0
        if self.state.consumer is not None and self.state.consumer.pool.is_green:  # its "process ids" are addresses of greenlets
            return self.agent.run, started_at, max(0, now() - started_at)
        return f"{self.agent.boot}.{request.worker_pid}", started_at, max(0, now() - started_at)

    @guard("task_unknown")
    def on_unknown(self, sender: Any = None, message: Any = None, name: Any = None, id: Any = None, **_: Any) -> None:
        """Reports a task that is not registered in this worker. Celery has dropped its message."""
        if not id or not self._is_ours(sender):
            return
        agent, headers, queue = self.agent, message.headers or {}, self.state.queue_in(message.delivery_info)
        error = f"no task {name} is registered in this worker; the message was dropped"
        meta = records.NO_META if MARK in headers else sent_meta(headers, str(id))
        attempt = int(headers.get("retries") or 0)
        agent.append(
            records.rejected(ENGINE, str(id), attempt, now(), agent.run, str(name), queue, reason="unknown_task", error=error, meta=meta)
        )

    @guard("task_rejected")
    def on_rejected(self, sender: Any = None, message: Any = None, exc: Any = None, **_: Any) -> None:
        """Reports a message that Celery cannot read. Without an ID of its own it gets one from its bytes: the same message, the same
        task."""
        if not self._is_ours(sender):
            return
        agent, headers = self.agent, getattr(message, "headers", None) or {}
        task_id, name = headers.get("id"), headers.get("task")
        if not isinstance(task_id, str) or not task_id:
            body = message.body
            data = bytes(body) if isinstance(body, bytes | bytearray | memoryview) else str(body).encode("utf-8", "replace")
            task_id = f"malformed-{hashlib.sha256(data).hexdigest()[:24]}"
        error = display.show_error(text_of(exc)) if exc is not None else "not a message of Celery"
        agent.append(
            records.rejected(
                ENGINE, task_id, 0, now(), agent.run, name if isinstance(name, str) else "", self.state.queue_in(message.delivery_info),
                reason="malformed", error=error,
            )
        )  # fmt: skip

    # -- where the task runs -------------------------------------------------------------------------------------------
    @guard("task_prerun")
    def on_prerun(self, task: Any = None, args: Any = None, kwargs: Any = None, **_: Any) -> None:
        """Reports the start, in the process that runs the task. celery-batches calls it without an ID."""
        if not self._is_ours(task):
            return
        agent, request = self.agent, task.request
        if request.id is None:  # not Celery's own tracer
            self._stored_ends.batch_started(task, args)
            return
        run = self.state.runs[id(request)] = Run(request, task.name, self.state.queue_in(request.delivery_info))
        if request.is_eager:
            run.meta = records.meta({"eager": True, "code": calling_code(), "route": route(), "parent_id": request.parent_id})
        record = records.started(ENGINE, request.id, run.attempt, run.started_at, agent.run, run.name, run.queue, meta=run.meta)
        run.current_run = current_run.begin(agent, ENGINE, request.id, run.attempt, run.started_at, run.name, run.queue)
        if not request.is_eager and originals.is_reported_run(request):
            agent.append(record)
            return
        payload = b""
        try:
            if request.is_eager:  # it was neither published nor received: its arguments are only available here
                payload = originals.payload_of_call(agent, self.app, request.id, run.attempt, run.name, args, kwargs)
            else:
                payload = originals.payload_of_run(agent, self.app, request, run.attempt, run.name, run.queue)
        finally:  # whatever was raised, the task is about to run
            agent.append_together(record, payload)
        if request.is_eager:
            agent.connect()

    @guard("task_postrun")
    def on_postrun(self, task: Any = None, state: Any = None, retval: Any = None, args: Any = None, **_: Any) -> None:
        """Reports the end of a task that returned, raised Ignore or Reject, or has sent itself again. Failures and retries have signals
        of their own."""
        if not self._is_ours(task):
            return
        request = task.request
        if request.id is None:
            self._stored_ends.batch_ended(args, state)
            return
        run = self.state.run_of(request)
        if run is None:
            return
        del self.state.runs[id(request)]
        current_run.end(run.current_run)
        if (passing := run.interrupted_by()) is not None:
            self._stored_ends.interrupted(run, passing)
            return
        if state not in ("SUCCESS", "IGNORED", "REJECTED"):
            return  # failures and retries have signals of their own; without a state the task has not ended
        agent, runtime = self.agent, run.runtime()
        if state == "REJECTED":
            self._rejected_itself(run, request.id, retval, runtime)
            return
        head = (ENGINE, request.id, run.attempt, now(), agent.run, run.name, run.queue)
        if run.sent_again is not None:
            agent.append(
                records.retried(
                    *head, started_at=run.started_at, runtime=runtime, eta=run.sent_again, reason="sent_again",
                    error_type="", error="", traceback="", meta=run.meta,
                usage=used(run.current_run),
                )
            )  # fmt: skip
            return
        stored, meta = run.stored, retval
        if state == "IGNORED":
            if stored is None or stored[0] not in ("SUCCESS", "FAILURE"):
                agent.append(records.cancelled(*head, started_at=run.started_at, runtime=runtime, reason="ignored"))
                return
            meta = stored[1]
            if stored[0] == "FAILURE":
                self._failed(head, run, runtime, *outcomes.error_of_meta(meta))
                return
        agent.append(
            records.succeeded(
                *head, received_at=None, started_at=run.started_at, runtime=runtime,
                result="null" if meta is None else agent.show(meta), meta=run.meta,
                usage=used(run.current_run),
            )
        )  # fmt: skip

    def _failed(
        self, head: tuple[Any, ...], run: Run, runtime: int, error_type: str, error: str, *, reason: str = "", traceback: str = ""
    ) -> None:
        record = records.failed(
            *head, received_at=None, started_at=run.started_at, runtime=runtime, reason=reason,
            error_type=error_type, error=error, traceback=traceback, meta=run.meta,
                usage=used(run.current_run),
        )  # fmt: skip
        self.agent.append(record)

    @guard("update_state")
    def on_stored(self, task: Any, task_id: Any, state: Any, meta: Any) -> None:
        """Called when a task stores a state itself with `update_state`: of a task that raises Ignore afterwards it is the outcome."""
        run = self.state.run_of(task.request) if self._is_ours(task) else None
        if run is not None and task_id in (None, run.task_id):
            run.stored = (str(state), meta)

    def _rejected_itself(self, run: Run, task_id: str, reject: Any, runtime: int) -> None:
        """Reports a task that raised Reject: it is requeued, or dropped."""
        agent, why = self.agent, getattr(reject, "reason", None)
        error = "" if why is None else display.show_error(text_of(why))
        head = (ENGINE, task_id, run.attempt, now(), agent.run, run.name, run.queue)
        if getattr(reject, "requeue", False):
            record = records.retried(
                *head, started_at=run.started_at, runtime=runtime, eta=None, reason="requeued",
                error_type="Reject", error=error, traceback="", meta=run.meta,
                usage=used(run.current_run),
            )  # fmt: skip
        else:
            record = records.rejected(*head, started_at=run.started_at, runtime=runtime, reason="rejected", error=error, meta=run.meta)
        agent.append(record)

    @guard("task_failure")
    def on_failure(self, sender: Any = None, task_id: Any = None, exception: Any = None, einfo: Any = None, **_: Any) -> None:
        """Reports a failure, where the task ran or, if its child was killed or exceeded its hard limit, in the main process."""
        if isinstance(exception, Reject) or not self._is_ours(sender):
            return  # Celery 5.7 reports a Reject again, from main and as a failure; on_postrun has reported it as a Reject
        request = sender.request
        run = self.state.run_of(request) if request.id == task_id else None
        if run is None:
            if not self._stored_ends.was_interrupted(task_id):
                self.failed_elsewhere(sender.name, request, str(task_id), exception)
            return
        head = (ENGINE, str(task_id), run.attempt, now(), self.agent.run, run.name, run.queue)
        reason = "soft_time_limit" if isinstance(exception, SoftTimeLimitExceeded) else ""
        self._failed(head, run, run.runtime(), *outcomes.error_of(exception), reason=reason, traceback=traceback_of(einfo))

    def failed_elsewhere(self, name: str, context: Any, task_id: str, exception: Any) -> None:
        """Reports, in the main process, the end of a task whose child was killed or exceeded its hard limit."""
        agent, request = self.agent, self.state.request_of(task_id)
        attempt, queue, meta = int(context.retries or 0), self.state.queue_in(context.delivery_info), records.NO_META
        if request is not None:
            if getattr(request, "z4j_has_failed", False):
                return  # a hard time limit is announced twice
            request.z4j_has_failed = True
            headers, info = request.request_dict, request.delivery_info
            attempt, queue = int(headers.get("retries") or 0), self.state.queue_in(info)
            meta = REDELIVERED if info.get("redelivered") else records.NO_META
            self._unstarted.report(agent, request, attempt, queue)
        run, started_at, runtime = self._ran_elsewhere(task_id)
        head = (ENGINE, task_id, attempt, now(), run, name, queue)
        error_type, error = outcomes.error_of(exception)
        if isinstance(exception, WorkerLostError):
            agent.append(records.lost(*head, reason="child_killed", error=error))
            return
        reason = "time_limit" if isinstance(exception, TimeLimitExceeded) else ""
        agent.append(
            records.failed(
                *head, received_at=None, started_at=started_at, runtime=runtime, reason=reason,
                error_type=error_type, error=error, traceback="", meta=meta,
            )
        )  # fmt: skip

    @guard("task_retry")
    def on_retry(self, sender: Any = None, request: Any = None, reason: Any = None, einfo: Any = None, **_: Any) -> None:
        """Reports an attempt that is followed by another one. Without a `reason`, main has stopped the task: at a cold shutdown, or
        because the broker was lost (`docs/engines.md`)."""
        if not self._is_ours(sender):
            return
        agent, at, task_id = self.agent, now(), request.id
        attempt, queue = int(request.retries or 0), self.state.queue_in(request.delivery_info)
        run = self.state.run_of(request)
        token, started_at, runtime = self._ran_elsewhere(task_id) if run is None else (agent.run, run.started_at, run.runtime())
        meta = records.NO_META if run is None else run.meta
        cause = getattr(reason, "exc", None)
        why = "child_killed" if isinstance(cause, WorkerLostError) else ""
        error_type, error = outcomes.error_of(cause) if cause is not None else ("", "")
        if reason is None:  # main has stopped it: at a cold shutdown, or, with late acknowledgement, because the broker was lost
            why = "requeued" if sender.acks_late else "shutdown"
        agent.append(
            records.retried(
                ENGINE, task_id, attempt, at, token, sender.name, queue, started_at=started_at, runtime=runtime,
                eta=due(getattr(reason, "when", None), at), reason=why,
                error_type=error_type, error=error, traceback=traceback_of(einfo), meta=meta,
                usage="" if run is None else used(run.current_run),
            )
        )  # fmt: skip
        if why == "shutdown":
            # The message was acknowledged before it ran: it will not run again, whatever the state in the backend.
            error = "the worker was shut down while it ran"
            agent.append(records.lost(ENGINE, task_id, attempt, at + 1, token, sender.name, queue, reason="shutdown", error=error))

    # -- start and end of a worker---------------------------------------------------------------------------------------
    @guard("worker_init")
    def on_worker_init(self, sender: Any = None, **_: Any) -> None:
        """Makes this process a worker, before its pool forks."""
        if self._is_ours(sender):
            self.agent.become_worker(str(getattr(sender, "hostname", "") or f"celery@{self.agent.host}"))

    @guard("worker_ready")
    def on_worker_ready(self, sender: Any = None, **_: Any) -> None:
        """Called when the worker consumes: from now on it executes commands."""
        if not self._is_ours(sender):
            return
        self.state.consumer, self.state.hub = sender, gevent_bridge.current_hub()
        self._on_ready(self.state)
        self.agent.connect()

    @guard("worker_shutdown")
    def on_worker_shutdown(self, **_: Any) -> None:
        """Reports the arguments of tasks that have not started, and waits about two seconds at most until all are sent."""
        self._unstarted.report_all(self.agent)
        self.agent.close()
