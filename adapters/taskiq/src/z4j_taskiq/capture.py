# SPDX-License-Identifier: Apache-2.0
"""Turns taskiq's hooks into records. Which hook is called where was found by experiment (`docs/engines.md` has a row per outcome).

An exception in a hook breaks the user's task in taskiq: an aborted send, a dropped message, a lost result. So every hook is guarded, and
none of them waits. Ends are reported when `Receiver.run_task` returns: only then has every `on_error` been called, and a retry
middleware has sent the task again or not.
"""

from __future__ import annotations

import asyncio
import atexit
import hashlib
import multiprocessing
import multiprocessing.util
import os
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

from taskiq.abc.middleware import TaskiqMiddleware
from taskiq.exceptions import NoResultError, TaskRejectedError
from taskiq.message import TaskiqMessage
from taskiq.result import TaskiqResult

import z4j_agent
from z4j_agent.agent import Agent
from z4j_agent.capture import current_run, display
from z4j_agent.capture.guard import guard, let_through
from z4j_agent.capture.hooks import error_of, now, route, text_of
from z4j_agent.capture.run_usage import used
from z4j_agent.commands.permissions import is_permitted
from z4j_agent.runtime.patching import Patches
from z4j_agent.spool.cancelled_ids import CancelledIds
from z4j_agent.wire import records
from z4j_taskiq import originals
from z4j_taskiq.attempts import CURRENT, Run, starts_at_once, watched
from z4j_taskiq.brokers import broker_identity
from z4j_taskiq.messages import (
    ENGINE,
    MARK,
    attempt_of,
    calling_code,
    due,
    is_in_memory,
    is_rabbitmq,
    queue_of,
    requeues,
    sent_meta,
    take_old_marks,
)
from z4j_taskiq.pausing import QueueGate
from z4j_taskiq.schedulers.scheduler_loop import SENT, connects_later
from z4j_taskiq.state import BrokerState

REDELIVERED = '{"redelivered":true}'
EAGER = '{"eager":true}'

_sending: ContextVar[tuple[tuple[str, int, bool, bool], ...]] = ContextVar("z4j_taskiq_sending", default=())
"""The tasks that are being sent in this context, the newest first: ID, start, whether the producer will report the arguments, and
whether the message is marked as reported. More than one if a broker in memory runs a task that sends before its own sending returns, or
if a broker refused a message."""
NESTED_AT_MOST = 8
MOST_NAMES = 10_000


class Capture:
    """The hooks of one broker, with the data that they keep between two hooks of one task."""

    def __init__(self, state: BrokerState, watch: Callable[[Capture], None], unwatch: Callable[[Capture], None]) -> None:
        """`watch` and `unwatch` register the capture for its broker's receivers, see `receiver`."""
        self.state = state
        self.target = self.broker = broker = state.broker
        self._watch, self._unwatch = watch, unwatch
        self.is_eager = is_in_memory(broker)
        self.delays = is_rabbitmq(broker)
        """Whether the broker supports the label `delay`. The Redis brokers ignore it."""
        self._queue = ""
        """The only queue of this broker, once it is known."""
        self._finalizer: multiprocessing.util.Finalize | None = None
        self._agent: Agent
        self._middleware = Middleware(self)
        self.gate = QueueGate(broker)
        self._patches = Patches()

    def connect(self) -> None:
        """Adds the middleware, and wraps the broker's `kick` and the receivers' methods. Does nothing without an agent."""
        agent = z4j_agent.current()
        if agent is None:
            return
        self._agent = agent
        broker_identity.watched.append(self.broker)
        folder = getattr(agent.spool, "folder", agent.settings.spool)
        self.state.skips = CancelledIds(folder / "taskiq.cancelled", is_permitted=is_permitted(agent.settings, "cancel_task"))
        self.broker.add_middlewares(self._middleware)
        self._watch(self)
        self.gate.connect(self._patches)
        self._patches.around(self.broker, "kick", self.around_kick)
        atexit.register(self._at_exit)

    def disconnect(self) -> None:
        """Removes the middleware and the wrappers."""
        broker_identity.watched[:] = [each for each in broker_identity.watched if each is not self.broker]
        self._unwatch(self)
        self._patches.restore()
        if self._middleware in self.broker.middlewares:
            self.broker.middlewares.remove(self._middleware)
        atexit.unregister(self._at_exit)
        if self._finalizer is not None:
            self._finalizer.cancel()

    # -- the producer --------------------------------------------------------------------------------------------------
    @guard("pre_send")
    def on_sending(self, message: TaskiqMessage) -> None:
        """Called before a task is sent. The worker need not report the arguments of a marked message; a retry is marked like the attempt
        before."""
        take_old_marks(message)
        before = CURRENT.get()
        is_again = before is not None and before.task_id == message.task_id and before.message is not None
        can_mark = originals.is_plain_json(self.broker)
        is_reported = not is_again and can_mark and self.broker.find_task(message.task_name) is not None
        is_marked = is_reported or (can_mark and before is not None and is_again and before.is_marked)
        _sending.set(((message.task_id, now(), is_reported, is_marked), *_sending.get()[: NESTED_AT_MOST - 1]))

    def around_kick(self, kick: Any, message: Any, *args: Any, **kwargs: Any) -> Any:
        """Called when the broker receives the bytes of a message. `Context.requeue` calls this without any other hook."""
        return kick(self._marked(message) or message, *args, **kwargs)

    @guard("kick")
    def _marked(self, message: Any) -> Any:
        sending = next((entry for entry in _sending.get() if entry[0] == message.task_id), None)
        run = CURRENT.get()
        is_requeued = sending is None and run is not None and run.task_id == message.task_id and run.is_marked
        if not (is_requeued or (sending is not None and sending[3])) or not message.message.endswith(MARK[:1]):
            return None
        return message.model_copy(update={"message": message.message + MARK[1:]})

    @guard("post_send")
    def on_sent(self, message: TaskiqMessage) -> None:
        """Reports a task that the broker has accepted. A retry middleware sends the next attempt under the ID of the task that runs
        here."""
        agent, broker, labels = self._agent, self.broker, message.labels
        sending = _sending.get()
        fired = SENT.get()
        if fired is not None:
            fired.append(message.task_id)
        mine = next((entry for entry in sending if entry[0] == message.task_id), None)
        _, at, is_reported, _ = mine or ("", now(), False, False)
        _sending.set(tuple(entry for entry in sending if entry is not mine))
        attempt, queue = attempt_of(labels), self._queue_of(labels)
        if fired is None:  # an operator may have changed a scheduler's task
            self._remember(message.task_name, queue)
        eta, parent = due(labels, at) if self.delays else None, CURRENT.get()
        parent_id = ""
        if parent is not None and parent.task_id == message.task_id:
            if attempt > parent.attempt:
                parent.next_attempt, parent.next_eta = attempt, eta
        elif parent is not None:
            parent_id = parent.task_id
        meta = sent_meta(labels, parent_id=parent_id, code=calling_code(), route=route())
        record = records.enqueued(ENGINE, message.task_id, attempt, at, agent.run, message.task_name, queue, eta=eta, meta=meta)
        if is_reported:
            names = originals.parameter_names(broker, message.task_name) or ()
            agent.append_with(record, lambda: originals.payload_of_send(agent, broker, message, attempt, queue, names))
        else:
            agent.append(record)
        if self.state.receiver is None:
            self.state.loop = _running_loop()
            if not connects_later(self.broker):
                agent.connect()

    def _remember(self, name: str, queue: str) -> None:
        if len(self.state.sent) < MOST_NAMES:
            self.state.sent.add(name)
        if len(self.state.sent_to) < MOST_NAMES:
            self.state.sent_to.add(queue)

    # -- the worker: a message -----------------------------------------------------------------------------------------
    @guard("Receiver.listen")
    def on_listen(self, receiver: Any) -> None:
        """Makes this process a worker. A manager restarts its children under the same names, so the manager's ID is part of the worker's
        name.

        The manager's children end with os._exit, without atexit; the finalizers of multiprocessing are called.

        """
        agent = self._agent
        if agent.role != "worker":
            seat = f"{multiprocessing.current_process().name}@{agent.host}"
            agent.become_worker(f"{seat}.{os.getppid()}", seat)
            if multiprocessing.parent_process() is not None:
                self._finalizer = multiprocessing.util.Finalize(None, self._at_exit, exitpriority=10)
        self.state.receiver, self.state.loop, self.state.worker_name = receiver, _running_loop(), agent.worker
        free, executor = getattr(receiver, "sem", None), getattr(receiver, "executor", None)
        self.state.concurrency = int(getattr(free, "_value", 0) or getattr(executor, "_max_workers", 1))
        agent.connect()

    @guard("Receiver.callback")
    def on_delivery(self, message: Any) -> Run:
        """Called with each message before taskiq reads it. It is bytes, or has them in `data` with an `ack` for brokers that support
        one."""
        is_ackable = hasattr(message, "ack")
        run = Run(message.data if is_ackable else message, is_ackable=is_ackable)
        run.token = CURRENT.set(run)
        return run

    @guard("Receiver.run_task")
    def on_run(self, receiver: Any, target: Any, message: TaskiqMessage, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Run:
        """Called when the task of a message is known and about to run. Returns its run, with the `target` that is to be called instead."""
        agent, labels = self._agent, message.labels
        run = CURRENT.get()
        if run is None or run.message is not None:  # a receiver class of the user, which has its own `callback` too
            run = Run(b"", is_ackable=False)
        run.message, run.ack = message, kwargs.get("ack_controller") or next(iter(args), None)
        if run.ack is None and getattr(getattr(receiver, "ack_time", None), "value", "") == "when_received":  # before taskiq 0.12
            run.is_ackable = False
        self._name(run, message)
        was_marked, retry_of = take_old_marks(message)
        run.is_marked = run.is_marked or was_marked
        if not run.is_marked and run.raw:
            shown, raw = (list(message.args), dict(message.kwargs), dict(labels)), run.raw
            head = (run.task_id, run.name, run.attempt, run.queue)
            agent.offer(lambda: originals.payload_of_delivery(agent, self.broker, raw, *head, shown))
        meta = run.receipt_meta = run.meta if run.is_marked else sent_meta(labels, is_redelivered=run.requeues > 0, retry_of=retry_of)
        if meta not in (run.meta, records.NO_META) or not starts_at_once(receiver, target, message.task_name):
            self._report_received(run)
        skips = self.state.skips
        run.is_cancelled = skips.has_any() and skips.has(run.task_id, broker_identity.identity_of(self.broker))
        is_known = message.task_name in getattr(receiver, "known_tasks", ())
        run.target = watched(run, target, getattr(receiver, "executor", None), self._begin, is_known=is_known)
        run.task = asyncio.current_task()
        self.state.running[run.task_id] = run
        return run

    def _report_received(self, run: Run) -> None:
        """Reports the receipt of a task that has not started. Otherwise the record of the start is sufficient."""
        if run.started_at is None and not run.is_receipt_reported:
            run.is_receipt_reported = True
            head = (ENGINE, run.task_id, run.attempt, run.received_at, self._agent.run, run.name, run.queue)
            self._agent.append(records.received(*head, meta=run.receipt_meta))

    def _queue_of(self, labels: dict[str, Any]) -> str:
        """Like `messages.queue_of`, which reads the broker: an application may add queues until the first task is sent or taken."""
        if "queue_name" in labels or self.delays:
            return queue_of(self.broker, labels)
        self._queue = self._queue or queue_of(self.broker, labels)
        return self._queue

    def _name(self, run: Run, message: TaskiqMessage) -> None:
        labels = message.labels
        run.task_id, run.name, run.queue = message.task_id, message.task_name, self._queue_of(labels)
        run.attempt, run.requeues = attempt_of(labels), requeues(labels)
        run.meta = EAGER if self.is_eager else records.NO_META

    @guard("starting a task")
    def _begin(self, run: Run) -> None:
        """Right before the function is called, in the thread that calls it."""
        run.begin()
        agent = self._agent
        agent.append(records.started(ENGINE, run.task_id, run.attempt, run.started_at or 0, agent.run, run.name, run.queue, meta=run.meta))
        run.current_run = current_run.begin(agent, ENGINE, run.task_id, run.attempt, run.started_at or 0, run.name, run.queue)

    # -- the worker: an end --------------------------------------------------------------------------------------------
    @guard("a cancelled task")
    def on_cancelled(self, run: Run) -> TaskiqResult[Any]:
        """The result of a cancelled task: taskiq's own error, which any process can load from a result store."""
        answer: TaskiqResult[Any] = TaskiqResult(
            is_err=True, log=None, return_value=None, execution_time=0.0, error=TaskRejectedError(), labels=run.message.labels
        )
        self._forget(run)
        self._report_received(run)
        agent = self._agent
        agent.append(records.cancelled(ENGINE, run.task_id, run.attempt, now(), agent.run, run.name, run.queue, reason="revoked"))
        return answer

    @guard("on_error")
    def on_error(self, message: TaskiqMessage, error: BaseException) -> None:
        """Stores the exception of the task: a retry middleware may replace it in the result."""
        run = CURRENT.get()
        if run is not None and run.task_id == message.task_id:
            run.error = error

    @guard("an ended task")
    def on_result(self, run: Run, result: TaskiqResult[Any]) -> None:
        """Called when `run_task` has returned: the function and all `on_error` hooks have ended."""
        runtime, at = run.runtime(), now()
        self._forget(run)
        self._report_received(run)
        agent, error = self._agent, run.error or result.error
        head = (ENGINE, run.task_id, run.attempt, at, agent.run, run.name, run.queue)
        ran: dict[str, Any] = {"started_at": run.started_at, "runtime": runtime, "usage": used(run.current_run)}
        if run.next_attempt is not None and error is not None:
            kind, text, trace = error_of(error)
            agent.append(
                records.retried(*head, **ran, eta=run.next_eta, reason="", error_type=kind, error=text, traceback=trace, meta=run.meta)
            )
        elif error is None:
            shown = "null" if result.return_value is None else agent.show(result.return_value)
            agent.append(records.succeeded(*head, **ran, received_at=run.received_at, result=shown, meta=run.meta))
        elif isinstance(error, NoResultError):
            self._ended_without_result(run, head, ran)
        elif isinstance(result.error, NoResultError):  # a retry middleware has left the next attempt to a schedule source
            kind, text, trace = error_of(error)
            agent.append(records.retried(*head, **ran, eta=None, reason="", error_type=kind, error=text, traceback=trace, meta=run.meta))
        elif run.is_stopped and isinstance(error, asyncio.CancelledError):
            agent.append(records.cancelled(*head, started_at=run.started_at, runtime=runtime, reason="stopped", meta=run.meta))
        elif isinstance(error, TaskRejectedError):
            _kind, text, trace = error_of(error)
            about: dict[str, Any] = {"error": text, "traceback": trace, "meta": run.meta}
            agent.append(records.rejected(*head, started_at=run.started_at, runtime=runtime, reason="rejected", **about))
        else:
            self._failed(run, head, ran, error, reason="time_limit" if _is_time_limit(run, error, runtime) else "")

    def _ended_without_result(self, run: Run, head: tuple[Any, ...], ran: dict[str, Any]) -> None:
        """`Context.requeue` sends the message past every hook and raises NoResultError, which a task may also raise itself."""
        agent, labels = self._agent, run.message.labels
        if requeues(labels) <= run.requeues:
            meta = '{"reason":"ignored"}' if run.meta == records.NO_META else f'{run.meta[:-1]},"reason":"ignored"}}'
            agent.append(records.succeeded(*head, **ran, received_at=run.received_at, result="", meta=meta))
            return
        agent.append(records.retried(*head, **ran, eta=None, reason="requeued", error_type="", error="", traceback="", meta=run.meta))
        agent.append(records.enqueued(ENGINE, run.task_id, run.attempt + 1, head[3] + 1, agent.run, run.name, run.queue))

    def _failed(self, run: Run, head: tuple[Any, ...], ran: dict[str, Any], error: BaseException, *, reason: str) -> None:
        kind, text, trace = error_of(error)
        self._agent.append(
            records.failed(
                *head, **ran, received_at=run.received_at, reason=reason, error_type=kind, error=text, traceback=trace, meta=run.meta
            )
        )

    @guard("a broken hook")
    def on_broken(self, run: Run, error: BaseException) -> None:
        """Called when `run_task` raised: wrong arguments, an `on_error` of another middleware, or the end of the loop."""
        if isinstance(error, asyncio.CancelledError | KeyboardInterrupt | SystemExit):
            return  # the process is ending; `_at_exit` reports the outcome
        runtime = run.runtime()
        self._forget(run)
        self._report_received(run)
        head = (ENGINE, run.task_id, run.attempt, now(), self._agent.run, run.name, run.queue)
        ran = {"started_at": run.started_at, "runtime": runtime, "usage": used(run.current_run)}
        self._failed(run, head, ran, error, reason="hook_raised")

    @guard("Receiver.callback")
    def on_escaped(self, run: Run | None, error: BaseException) -> None:
        """Called when another middleware raised before the task could run: taskiq drops it without a result."""
        if run is None or run.message is not None or isinstance(error, asyncio.CancelledError | KeyboardInterrupt | SystemExit):
            return
        message = self.broker.formatter.loads(message=run.raw)
        message.parse_labels()
        run.message = message
        self._name(run, message)
        head = (ENGINE, run.task_id, run.attempt, now(), self._agent.run, run.name, run.queue)
        self._failed(run, head, {"started_at": None, "runtime": None}, error, reason="hook_raised")

    @guard("Receiver.callback")
    def on_delivered(self, run: Run | None) -> None:
        """Called when `callback` has returned. If it did not call `run_task`, the message was unreadable or its task unknown."""
        if run is None:
            return
        CURRENT.reset(run.token)
        if run.message is None:
            self._dropped(run)

    def _dropped(self, run: Run) -> None:
        agent, at = self._agent, now()
        try:
            message = self.broker.formatter.loads(message=run.raw)
            message.parse_labels()
        except Exception as error:
            let_through(error)
            task_id, queue = f"malformed-{hashlib.sha256(run.raw).hexdigest()[:24]}", self._queue_of({})
            text = display.show_error(text_of(error))
            agent.append(records.rejected(ENGINE, task_id, 0, at, agent.run, "", queue, reason="malformed", error=text))
            return
        self._name(run, message)
        was_marked, retry_of = take_old_marks(message)
        labels, head = message.labels, (run.task_id, run.name, run.attempt, run.queue)
        meta = run.meta
        if not (run.is_marked or was_marked):
            shown, raw = (message.args, message.kwargs, dict(labels)), run.raw
            meta = sent_meta(labels, retry_of=retry_of)
            agent.offer(lambda: originals.payload_of_delivery(agent, self.broker, raw, *head, shown))
        error_text = f"no task {run.name} is registered in this worker; the message was dropped"
        agent.append(
            records.rejected(
                ENGINE, run.task_id, run.attempt, at, agent.run, run.name, run.queue, reason="unknown_task", error=error_text, meta=meta
            )
        )

    def _forget(self, run: Run) -> None:
        run.is_reported = True
        current_run.end(run.current_run)
        if self.state.running.get(run.task_id) is run:
            del self.state.running[run.task_id]

    # -- the end of a process ------------------------------------------------------------------------------------------
    @guard("exit")
    def _at_exit(self) -> None:
        """Called when the loop has ended."""
        agent, at = self._agent, now()
        for run in list(self.state.running.values()):
            if not run.will_be_delivered_again():
                self._report_received(run)
                head = (ENGINE, run.task_id, run.attempt, at, agent.run, run.name, run.queue)
                agent.append(records.lost(*head, reason="shutdown", error="the worker was shut down while it ran"))
        agent.close()


class Middleware(TaskiqMiddleware):
    """The hooks of taskiq, which looks them up on the class. They never raise."""

    def __init__(self, capture: Capture) -> None:
        super().__init__()
        self._capture = capture

    def pre_send(self, message: TaskiqMessage) -> TaskiqMessage:
        """Called by taskiq before a task is sent."""
        self._capture.on_sending(message)
        return message

    def post_send(self, message: TaskiqMessage) -> None:
        """Called by taskiq when the broker has accepted a task."""
        self._capture.on_sent(message)

    def on_error(self, message: TaskiqMessage, result: TaskiqResult[Any], exception: BaseException) -> None:
        """Called by taskiq when a task has raised."""
        self._capture.on_error(message, exception)


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _is_time_limit(run: Run, error: BaseException, runtime: int | None) -> bool:
    """taskiq raises a plain TimeoutError at the limit of the label `timeout`; a task may raise one itself, earlier."""
    limit = run.message.labels.get("timeout")
    if limit is None or not isinstance(error, TimeoutError) or runtime is None:
        return False
    try:
        return runtime >= float(limit) * 1_000_000 * 0.99
    except (TypeError, ValueError):
        return False
