# SPDX-License-Identifier: Apache-2.0
"""Celery's signals as records. What fires where was found by experiment (`docs/engines.md` has a row per outcome).

Lean on purpose: Celery's main process is its bottleneck, so nothing is decoded there, and a receiver that raises would cost a logged
traceback each time. Every receiver is guarded; soft time limits pass through.
"""

from __future__ import annotations

import atexit
import os
import time
from collections.abc import Callable
from typing import Any

from billiard.einfo import ExceptionInfo
from celery import signals
from celery.exceptions import Reject, SoftTimeLimitExceeded, TimeLimitExceeded, WorkerLostError
from celery.worker import state as worker_state

import z4j_agent
from z4j_agent import display, records
from z4j_agent.agent import Agent
from z4j_agent.guard import guard, never_swallow
from z4j_celery import originals
from z4j_celery.facts import calling_code, queue_of, sent_meta, to_us

ENGINE = "celery"
MARK = "z4j"
"""Header of a message whose arguments and original its producer has written already."""
TRACEBACK_LIMIT = 16_000
EXIT_WAIT_S = 1.0


def now() -> int:
    return time.time_ns() // 1000


class Capture:
    """The receivers of one app, and what they must remember between two signals of one task."""

    def __init__(self, app: Any) -> None:
        self.app = app
        self.consumer: Any = None
        """The worker's consumer once it is ready; None in producers and children."""
        self._began: dict[str, tuple[int, int]] = {}
        """task id → (microseconds UTC, nanoseconds of the monotonic clock) of tasks running in this process."""
        self._receivers: list[tuple[Any, Callable[..., Any]]] = [
            (signals.before_task_publish, self.on_before_publish),
            (signals.after_task_publish, self.on_after_publish),
            (signals.task_received, self.on_received),
            (signals.task_prerun, self.on_prerun),
            (signals.task_success, self.on_success),
            (signals.task_failure, self.on_failure),
            (signals.task_retry, self.on_retry),
            (signals.task_postrun, self.on_postrun),
            (signals.task_revoked, self.on_revoked),
            (signals.task_unknown, self.on_unknown),
            (signals.task_rejected, self.on_rejected),
            (signals.worker_init, self.on_worker_init),
            (signals.worker_ready, self.on_worker_ready),
            (signals.worker_shutdown, self.on_worker_shutdown),
        ]

    def connect(self) -> None:
        """Connects every receiver; the tracer reads the live list, so late is early enough."""
        never_swallow(SoftTimeLimitExceeded, TimeLimitExceeded)
        for signal, receiver in self._receivers:
            signal.connect(receiver, weak=False)
        atexit.register(self._at_exit)

    def disconnect(self) -> None:
        for signal, receiver in self._receivers:
            signal.disconnect(receiver)
        atexit.unregister(self._at_exit)

    def _is_ours(self, task: Any) -> bool:
        """Signals are global; a process may hold several apps."""
        return getattr(task, "app", self.app) is self.app

    # -- the producer --------------------------------------------------------------------------------------------------
    @guard("before_task_publish")
    def on_before_publish(self, sender: Any = None, body: Any = None, headers: Any = None, properties: Any = None, **_: Any) -> None:
        agent = z4j_agent.current()
        if agent is None or not isinstance(headers, dict) or "id" not in headers or headers.get(MARK) == 2:
            return
        if originals.is_plain_json(self.app, str(headers.get("task", ""))):
            headers[MARK] = 1
        priority = (properties or {}).get("priority")
        if isinstance(priority, int) and priority:
            headers["z4j_priority"] = priority

    @guard("after_task_publish")
    def on_after_publish(
        self, sender: Any = None, body: Any = None, exchange: Any = None, routing_key: Any = None, headers: Any = None, **_: Any
    ) -> None:
        agent = z4j_agent.current()
        if agent is None or not isinstance(headers, dict):
            return
        task_id = headers.get("id")
        if task_id is None:
            return
        name, attempt = str(headers.get("task", sender)), int(headers.get("retries") or 0)
        queue = queue_of(exchange, routing_key)
        meta = sent_meta(headers, task_id, headers.get("z4j_priority"), code=calling_code())
        eta = to_us(headers.get("eta"))
        agent.append(records.enqueued(ENGINE, task_id, attempt, now(), agent.run, name, queue, eta=eta, meta=meta))
        if headers.get(MARK) == 1:
            original = originals.of_publish(body, headers, exchange, routing_key)
            args, kwargs = body[0], body[1]
            names = originals.parameter_names(self.app, name)
            agent.append(agent.payload(ENGINE, task_id, attempt, name, queue, 2, args, kwargs, original, names))
        agent.connect()

    # -- the worker's main process -------------------------------------------------------------------------------------
    @guard("task_received")
    def on_received(self, sender: Any = None, request: Any = None, **_: Any) -> None:
        agent = z4j_agent.current()
        if agent is None or not self._is_ours(request.task):
            return
        headers = request.request_dict
        info = request.delivery_info
        task_id, attempt = request.id, int(headers.get("retries") or 0)
        queue = queue_of(info.get("exchange"), info.get("routing_key"))
        if MARK in headers:
            meta = '{"redelivered":true}' if info.get("redelivered") else records.NO_META
        else:
            meta = sent_meta(headers, task_id, info.get("priority"), redelivered=bool(info.get("redelivered")))
        eta = to_us(request.eta) if request.eta else None
        agent.append(records.received(ENGINE, task_id, attempt, now(), agent.run, request.name, queue, eta=eta, meta=meta))
        if MARK not in headers:
            body, kind, encoding = request.body, request.content_type, request.content_encoding
            name = request.name
            names = originals.parameter_names(self.app, name)
            agent.offer(lambda: _payload_of(agent, names, task_id, attempt, name, queue, body, kind, encoding, headers, info))

    @guard("task_revoked")
    def on_revoked(
        self, sender: Any = None, request: Any = None, terminated: bool = False, signum: Any = None, expired: bool = False, **_: Any
    ) -> None:
        agent = z4j_agent.current()
        if agent is None:
            return
        task_id, attempt, name, queue = _head_of(request)
        if expired:
            agent.append(records.expired(ENGINE, task_id, attempt, now(), agent.run, name, queue))
            return
        reason = "stopped" if terminated else "revoked"
        run = _run_of(agent, task_id) if terminated else agent.run
        agent.append(records.cancelled(ENGINE, task_id, attempt, now(), run, name, queue, reason=reason))

    @guard("task_unknown")
    def on_unknown(self, sender: Any = None, message: Any = None, exc: Any = None, name: Any = None, id: Any = None, **_: Any) -> None:
        agent = z4j_agent.current()
        if agent is None or id is None:
            return
        headers, info = message.headers or {}, message.delivery_info or {}
        queue = queue_of(info.get("exchange"), info.get("routing_key"))
        attempt = int(headers.get("retries") or 0)
        error = f"no task {name} is registered in this worker"
        agent.append(records.rejected(ENGINE, str(id), attempt, now(), agent.run, str(name), queue, reason="unknown_task", error=error))

    @guard("task_rejected")
    def on_rejected(self, sender: Any = None, message: Any = None, exc: Any = None, **_: Any) -> None:
        agent = z4j_agent.current()
        headers = getattr(message, "headers", None) or {}
        task_id = headers.get("id")
        if agent is None or task_id is None:
            return
        info = message.delivery_info or {}
        queue = queue_of(info.get("exchange"), info.get("routing_key"))
        agent.append(
            records.rejected(
                ENGINE, str(task_id), int(headers.get("retries") or 0), now(), agent.run, str(headers.get("task", "")), queue,
                reason="malformed", error=display.show_error(str(exc)),
            )
        )  # fmt: skip

    # -- where the task runs -------------------------------------------------------------------------------------------
    @guard("task_prerun")
    def on_prerun(self, sender: Any = None, task_id: Any = None, task: Any = None, **_: Any) -> None:
        agent = z4j_agent.current()
        if agent is None or not self._is_ours(task):
            return
        request = task.request
        at = now()
        self._began[task_id] = (at, time.monotonic_ns())
        attempt, queue = request.retries or 0, _queue_of_context(request)
        meta = records.NO_META
        if request.is_eager:
            meta = records.meta({"eager": True, "parent_id": request.parent_id, "root_id": _other(request.root_id, task_id)})
        agent.append(records.started(ENGINE, task_id, attempt, at, agent.run, task.name, queue, meta=meta))

    @guard("task_success")
    def on_success(self, sender: Any = None, result: Any = None, **_: Any) -> None:
        agent = z4j_agent.current()
        if agent is None or not self._is_ours(sender):
            return
        request = sender.request
        task_id = request.id
        started_at, runtime = self._ran(task_id)
        agent.append(
            records.succeeded(
                ENGINE, task_id, request.retries or 0, now(), agent.run, sender.name, _queue_of_context(request),
                received_at=None, started_at=started_at, runtime=runtime, result=agent.show(result),
            )
        )  # fmt: skip

    @guard("task_failure")
    def on_failure(self, sender: Any = None, task_id: Any = None, exception: Any = None, einfo: Any = None, **_: Any) -> None:
        agent = z4j_agent.current()
        if agent is None or not self._is_ours(sender):
            return
        if isinstance(exception, Reject):
            return  # Celery 5.7 reports a Reject again, from main and as a failure; on_postrun has told it as what it is
        request = worker_state.requests.get(task_id)
        is_here = task_id in self._began
        if is_here or request is None:
            context = sender.request
            attempt, queue, run = context.retries or 0, _queue_of_context(context), agent.run
            started_at, runtime = self._ran(task_id)
        else:
            # Main speaks for a child that cannot: killed, or over its hard limit.
            _id, attempt, _name, queue = _head_of(request)
            run, started_at, runtime = _run_of(agent, task_id), None, None
        kind, text = type(exception).__name__, display.show_error(_text_of(exception))
        if isinstance(exception, WorkerLostError):
            agent.append(records.lost(ENGINE, task_id, attempt, now(), run, sender.name, queue, reason="child_killed", error=text))
            return
        reason = ""
        if isinstance(exception, TimeLimitExceeded):
            reason = "time_limit"
        elif isinstance(exception, SoftTimeLimitExceeded):
            reason = "soft_time_limit"
        agent.append(
            records.failed(
                ENGINE, task_id, attempt, now(), run, sender.name, queue, received_at=None, started_at=started_at, runtime=runtime,
                reason=reason, error_type=kind, error=text, traceback=_traceback_of(einfo),
            )
        )  # fmt: skip

    @guard("task_retry")
    def on_retry(self, sender: Any = None, request: Any = None, reason: Any = None, einfo: Any = None, **_: Any) -> None:
        agent = z4j_agent.current()
        if agent is None or not self._is_ours(sender):
            return
        task_id, attempt = request.id, int(getattr(request, "retries", 0) or 0)
        queue = _queue_of_context(request)
        is_shutdown = reason is None or "cancelled by Celery" in str(getattr(reason, "message", ""))
        started_at, runtime = self._ran(task_id)
        cause = getattr(reason, "exc", None)
        run = agent.run if started_at is not None else _run_of(agent, task_id)
        agent.append(
            records.retried(
                ENGINE, task_id, attempt, now(), run, sender.name, queue, started_at=started_at, runtime=runtime,
                eta=_when(reason), reason="shutdown" if is_shutdown else "",
                error_type=type(cause).__name__ if cause is not None else "",
                error=display.show_error(_text_of(cause)) if cause is not None else "", traceback=_traceback_of(einfo),
            )
        )  # fmt: skip
        if is_shutdown and not sender.acks_late:
            # The message was acknowledged before it ran: nobody will run it again, whatever the backend says.
            error = "the worker was shut down while it ran"
            agent.append(records.lost(ENGINE, task_id, attempt, now() + 1, run, sender.name, queue, reason="shutdown", error=error))

    @guard("task_postrun")
    def on_postrun(self, sender: Any = None, task_id: Any = None, state: Any = None, retval: Any = None, **_: Any) -> None:
        agent = z4j_agent.current()
        if agent is None or not self._is_ours(sender):
            return
        if state in ("IGNORED", "REJECTED"):  # the only outcomes that no other signal tells
            request = sender.request
            attempt, queue = request.retries or 0, _queue_of_context(request)
            started_at, runtime = self._ran(task_id)
            head = (ENGINE, task_id, attempt, now(), agent.run, sender.name, queue)
            if state == "IGNORED":
                meta = records.meta({"reason": "ignored"})
                agent.append(records.succeeded(*head, received_at=None, started_at=started_at, runtime=runtime, result="", meta=meta))
            elif getattr(retval, "requeue", False):
                agent.append(
                    records.retried(
                        *head, started_at=started_at, runtime=runtime, eta=None, reason="requeued", error_type="", error="", traceback=""
                    )
                )
            else:
                text = display.show_error(_text_of(retval))
                agent.append(records.rejected(*head, started_at=started_at, runtime=runtime, reason="rejected", error=text))
        self._began.pop(task_id, None)

    def _ran(self, task_id: str) -> tuple[int | None, int | None]:
        """(started_at, runtime in microseconds) of a task that runs in this process."""
        began = self._began.get(task_id)
        if began is None:
            return None, None
        return began[0], (time.monotonic_ns() - began[1]) // 1000

    # -- the life of a worker ------------------------------------------------------------------------------------------
    @guard("worker_init")
    def on_worker_init(self, sender: Any = None, **_: Any) -> None:
        agent = z4j_agent.current()
        if agent is not None:
            agent.become_worker(str(getattr(sender, "hostname", "") or f"celery@{agent.host}"))

    @guard("worker_ready")
    def on_worker_ready(self, sender: Any = None, **_: Any) -> None:
        self.consumer = sender
        agent = z4j_agent.current()
        if agent is not None:
            agent.connect()

    @guard("worker_shutdown")
    def on_worker_shutdown(self, **_: Any) -> None:
        self._at_exit()

    def _at_exit(self) -> None:
        agent = z4j_agent.current()
        if agent is not None and agent.is_connected_process:
            agent.stop(EXIT_WAIT_S)


def _payload_of(
    agent: Agent,
    names: tuple[str, ...],
    task_id: str,
    attempt: int,
    name: str,
    queue: str,
    body: Any,
    kind: Any,
    encoding: Any,
    headers: Any,
    info: Any,
) -> bytes:
    """In the agent's thread: arguments and original of a message whose producer is not watched."""
    args, kwargs = originals.decode_arguments(body, kind, encoding, headers)
    original = originals.of_message(body, kind, encoding, headers, info)
    return agent.payload(ENGINE, task_id, attempt, name, queue, 1, args, kwargs, original, names)


def _head_of(request: Any) -> tuple[str, int, str, str]:
    """(id, attempt, name, queue) of a worker's Request."""
    headers = getattr(request, "request_dict", None) or {}
    info = getattr(request, "delivery_info", None) or {}
    attempt = headers.get("retries", getattr(request, "retries", 0)) or 0
    name = getattr(request, "name", None) or headers.get("task") or getattr(request, "task", "")
    return request.id, int(attempt), str(name), queue_of(info.get("exchange"), info.get("routing_key"))


def _queue_of_context(context: Any) -> str:
    info = getattr(context, "delivery_info", None) or {}
    return queue_of(info.get("exchange"), info.get("routing_key")) if info.get("routing_key") else ""


def _run_of(agent: Agent, task_id: str) -> str:
    """The run token of the child that had the task, as that child writes it itself."""
    pid = getattr(worker_state.requests.get(task_id), "worker_pid", None)
    return f"{agent.boot}.{pid or os.getpid()}"


def _other(root_id: Any, task_id: str) -> Any:
    return root_id if root_id != task_id else None


def _when(reason: Any) -> int | None:
    """When the retry is due: `Retry.when` is a moment or a number of seconds."""
    when = getattr(reason, "when", None)
    if isinstance(when, int | float):
        return now() + int(when * 1_000_000)
    return to_us(when)


def _text_of(error: Any) -> str:
    """An exception's message; its `__str__` is the host's and may raise."""
    try:
        return str(error)[:TRACEBACK_LIMIT]
    except Exception:  # the class name stands beside it, and nothing more can be known
        return "(its message cannot be shown)"


def _traceback_of(einfo: ExceptionInfo | None) -> str:
    text = getattr(einfo, "traceback", None)
    return display.show_error(str(text), TRACEBACK_LIMIT) if text else ""
