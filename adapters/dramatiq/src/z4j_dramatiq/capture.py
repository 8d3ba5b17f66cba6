# SPDX-License-Identifier: Apache-2.0
"""Turns Dramatiq's middleware hooks into records. Which hook is called where was found by experiment (`docs/engines.md` has a row per
outcome).

Hooks called `before_*` run from the first middleware to the last, `after_*` from the last to the first. So there are two middlewares:
`Capture` is the first, and sees a message before any other can skip it, and its end after Retries has decided; `Fence` is the last,
closest to the task's own function, and records its start and end.
"""

from __future__ import annotations

import atexit
import multiprocessing
import os
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

from dramatiq.errors import DecodeError
from dramatiq.middleware import Interrupt, Middleware, Shutdown, SkipMessage, TimeLimitExceeded

import z4j_agent
from z4j_agent.agent import Agent
from z4j_agent.capture import current_run
from z4j_agent.capture.display import show_error
from z4j_agent.capture.guard import guard, never_swallow
from z4j_agent.capture.hooks import error_of, now, text_of
from z4j_agent.capture.run_usage import used
from z4j_agent.commands.permissions import is_permitted
from z4j_agent.runtime.patching import Patches
from z4j_agent.spool.cancelled_ids import CancelledIds
from z4j_agent.wire import records
from z4j_dramatiq import originals, pausing
from z4j_dramatiq.attempts import Run, Running, Stopped, current
from z4j_dramatiq.encoding import decoding, message_marks
from z4j_dramatiq.encoding.decoding import identity_of
from z4j_dramatiq.messages import ENGINE, actor_of, attempt_of, calling_code, eta_of, is_too_old, queue_of, sent_meta
from z4j_dramatiq.state import BrokerState


class Capture(Middleware):
    """The hooks of one broker."""

    def __init__(self, state: BrokerState, on_ready: Callable[[], None]) -> None:
        self.state = state
        self.broker = state.broker
        state.middleware = self
        self._agent: Agent
        self._on_ready = on_ready
        self._fence = Fence(self.state.running)
        self._patches = Patches()
        self._local = threading.local()

    def connect(self) -> None:
        """Adds itself before every other middleware."""
        agent = z4j_agent.current()
        if agent is None:
            return
        self._agent = agent
        self.state.skips = CancelledIds(
            agent.settings.spool / "dramatiq.cancelled", is_permitted=is_permitted(agent.settings, "cancel_task")
        )
        decoding.begin_encoding(self.broker)
        never_swallow(Interrupt)
        first = self.broker.middleware[0] if self.broker.middleware else None
        self.broker.add_middleware(self, before=type(first) if first is not None else None)
        atexit.register(self._at_exit)

    def disconnect(self) -> None:
        """Removes itself from the broker's middleware, and the wrappers."""
        decoding.unwatch(self.on_malformed)
        decoding.end_encoding(self.broker)
        self._patches.restore()
        remaining = [middleware for middleware in self.broker.middleware if middleware is not self and middleware is not self._fence]
        self.broker.middleware[:] = remaining
        atexit.unregister(self._at_exit)

    # -- enqueueing ----------------------------------------------------------------------------------------------------
    @guard("before_enqueue")
    def before_enqueue(self, broker: Any, message: Any, delay: Any) -> None:
        """Marks a message whose arguments this process reports. `delay` is in milliseconds, None for a message that is not delayed."""
        local = self._local
        if getattr(local, "is_consumer", False):  # a delay has elapsed: the same message is sent to its queue
            message_marks.send_with(message, local.delayed.pop(message.message_id, message_marks.NONE))
            return
        local.at, local.has_payload, mark = now(), False, message_marks.NONE
        run = current.get()
        if run is not None and run.task_id == message.message_id:  # the next attempt of a task that runs here: its arguments are known
            is_own_doing = run.started_at is not None and run.ended_at is None  # the actor's, and not its middleware's after its end
            mark = message_marks.Mark(True, run.again + is_own_doing)
            local.attempt = attempt_of(message.options) + mark.again
        elif actor_of(broker, message.actor_name) is not None:
            mark, local.has_payload = message_marks.Mark(True), True
            local.attempt = attempt_of(message.options)
        else:  # a positional argument is only recognised as a secret by its parameter: the worker, which has the function, reports it
            local.attempt = attempt_of(message.options)
        message_marks.send_with(message, mark)

    @guard("after_enqueue")
    def after_enqueue(self, broker: Any, message: Any, delay: Any) -> None:
        """Reports a message that the broker has accepted. A message whose delay is over was reported when it was sent."""
        message_marks.sent()
        local = self._local
        if getattr(local, "is_consumer", False):
            return
        agent, task_id, options = self._agent, message.message_id, message.options
        attempt, queue, eta = local.attempt, queue_of(message.queue_name), eta_of(options) if delay is not None else None
        run = current.get()
        parent_id = None
        if run is not None and run.task_id == task_id:
            run.is_sent_again, run.retry_eta = True, eta
        elif run is not None:
            parent_id = run.task_id
        meta = sent_meta(broker, message, code=calling_code(), parent_id=parent_id)
        record = records.enqueued(ENGINE, task_id, attempt, local.at, agent.run, message.actor_name, queue, eta=eta, meta=meta)
        if local.has_payload:
            agent.append_with(record, lambda: originals.payload_of(agent, broker, message, attempt, originals.BY_PRODUCER))
        else:
            agent.append(record)
        agent.connect()

    # -- the worker's threads ------------------------------------------------------------------------------------------
    @guard("after_consumer_thread_boot")
    def after_consumer_thread_boot(self, broker: Any, thread: Any) -> None:
        """Called in each consumer thread: it pauses a thread whose queue is paused."""
        self._local.is_consumer, self._local.queue, self._local.delayed = True, queue_of(thread.queue_name), {}
        pausing.pause_consumer(broker, thread)

    @guard("before_delay_message")
    def before_delay_message(self, broker: Any, message: Any) -> None:
        """Called for a delayed message in this worker's memory, which the same thread later sends as another object."""
        mark, delayed = message_marks.of(message), getattr(self._local, "delayed", None)
        if delayed is not None and mark is not message_marks.NONE:
            delayed[message.message_id] = mark

    @guard("decoding")
    def on_malformed(self, data: bytes, error: DecodeError) -> None:
        """Called when a consumer received data that is not a message. Dramatiq only logs that."""
        if getattr(self._local, "is_consumer", False):
            agent, (task_id, name) = self._agent, identity_of(data)
            why = show_error(text_of(error.error or error))
            agent.append(records.rejected(ENGINE, task_id, 0, now(), agent.run, name, self._local.queue, reason="malformed", error=why))

    @guard("before_process_message", passthrough=(SkipMessage,))
    def before_process_message(self, broker: Any, message: Any) -> None:
        """Reports the receipt. Raises SkipMessage for a task that was cancelled from z4j."""
        run = Run(message)
        current.set(run)
        self._received(run, message)
        if self.state.skips.has(run.task_id):
            run.is_skipped = True
            raise SkipMessage("cancelled from z4j")

    def _received(self, run: Run, message: Any) -> None:
        agent, meta = self._agent, run.meta
        if not message_marks.of(message).is_reported:
            meta = sent_meta(self.broker, message, redelivered=run.meta != records.NO_META)
            agent.append(originals.payload_of(agent, self.broker, message, run.attempt, originals.BY_WORKER))
        agent.append(records.received(ENGINE, run.task_id, run.attempt, run.received_at, agent.run, run.name, run.queue, meta=meta))

    @guard("after_process_message")
    def after_process_message(self, broker: Any, message: Any, *, result: Any = None, exception: Any = None) -> None:
        """Reports the end of a run. Called after the Retries middleware, which may have sent the next attempt."""
        run = current.get()
        current.set(None)
        if run is None or run.task_id != message.message_id:
            return
        if exception is not None:
            self._raised(run, message, exception)
        elif message.failed:
            self._dead_lettered(run)
        elif run.is_sent_again:  # the actor has sent its own message again and returned
            self._agent.append(
                records.retried(
                    *self._head(run), started_at=run.started_at, runtime=run.runtime, eta=run.retry_eta, reason="requeued",
                    error_type="", error="", traceback="", meta=run.meta,
                usage=used(run.current_run),
                )
            )  # fmt: skip
        else:
            agent = self._agent
            agent.append(
                records.succeeded(
                    *self._head(run), received_at=run.received_at, started_at=run.started_at, runtime=run.runtime,
                    result="null" if result is None else agent.show(result), meta=run.meta,
                usage=used(run.current_run),
                )
            )  # fmt: skip

    def _head(self, run: Run) -> tuple[str, str, int, int, str, str, str]:
        return ENGINE, run.task_id, run.attempt, run.ended_at or now(), self._agent.run, run.name, run.queue

    def _raised(self, run: Run, message: Any, exception: BaseException) -> None:
        kind, error, traceback = error_of(exception)
        head, agent = self._head(run), self._agent
        reason = ""
        if isinstance(exception, TimeLimitExceeded):
            reason = "time_limit"
        elif isinstance(exception, Shutdown):
            reason = "shutdown"
        if run.is_sent_again:
            agent.append(
                records.retried(
                    *head, started_at=run.started_at, runtime=run.runtime, eta=run.retry_eta, reason=reason,
                    error_type=kind, error=error, traceback=traceback, meta=run.meta,
                usage=used(run.current_run),
                )
            )  # fmt: skip
        elif isinstance(exception, Stopped) or _is_abort(exception):
            reason = "stopped"
            agent.append(records.cancelled(*head, started_at=run.started_at, runtime=run.runtime, reason=reason, error=error))
        else:  # without the Retries middleware the message counts as done, although the task has failed
            agent.append(
                records.failed(
                    *head, received_at=run.received_at, started_at=run.started_at, runtime=run.runtime, reason=reason,
                    error_type=kind, error=error, traceback=traceback, meta=run.meta,
                usage=used(run.current_run),
                )
            )  # fmt: skip

    def _dead_lettered(self, run: Run) -> None:
        error = "a middleware of the application failed the message without running it"
        self._agent.append(records.rejected(*self._head(run), reason="skipped", error=error, meta=run.meta))

    @guard("after_skip_message")
    def after_skip_message(self, broker: Any, message: Any) -> None:
        """Reports a message that did not run: cancelled, too old, or skipped or failed by a middleware of the application."""
        run = current.get()
        current.set(None)
        if run is None or run.task_id != message.message_id:
            return
        agent, head = self._agent, self._head(run)
        if run.is_skipped:
            agent.append(records.cancelled(*head, reason="revoked"))
        elif message.failed and is_too_old(broker, message, run.received_at):
            agent.append(records.expired(*head, meta=run.meta))
        elif message.failed:
            self._dead_lettered(run)
        else:
            error = "a middleware of the application skipped the message; it counts as done"
            agent.append(records.cancelled(*head, reason="skipped", error=error))

    @guard("after_nack")
    def after_nack(self, broker: Any, message: Any) -> None:
        """Called when a message becomes a dead letter. For a task that never ran, because its actor is unknown here, this is the only
        event."""
        if not getattr(self._local, "is_consumer", False) or actor_of(broker, message.actor_name) is not None:
            return
        agent, task_id, name, at = self._agent, message.message_id, message.actor_name, now()
        attempt, queue = attempt_of(message.options), queue_of(message.queue_name)
        error = f"no actor {name} is declared in this worker; the message was moved to the dead letters"
        meta = records.NO_META
        if not message_marks.of(message).is_reported:
            meta = sent_meta(broker, message)
            agent.append(originals.payload_of(agent, broker, message, attempt, originals.BY_WORKER))
        agent.append(records.rejected(ENGINE, task_id, attempt, at, agent.run, name, queue, reason="unknown_task", error=error, meta=meta))

    # -- start and end of a worker---------------------------------------------------------------------------------------
    @guard("after_process_boot")
    def after_process_boot(self, broker: Any) -> None:
        """Called in a worker process of the `dramatiq` command only."""
        self.state.is_booted = True

    @guard("before_worker_boot")
    def before_worker_boot(self, broker: Any, worker: Any) -> None:
        """Called in a process that is about to run tasks, and never in the `dramatiq` command's main process."""
        self.state.worker = worker
        broker.middleware[:] = [middleware for middleware in broker.middleware if middleware is not self._fence] + [self._fence]
        decoding.watch(self.on_malformed)
        self._patches.restore()
        pausing.gate_consumers(self._patches, broker, partial(pausing.is_paused, broker))
        self._agent.become_worker(*name_and_seat(self._agent.host))
        self._on_ready()

    @guard("after_worker_boot")
    def after_worker_boot(self, broker: Any, worker: Any) -> None:
        """Connects the agent when the worker's threads have started."""
        self._agent.connect()

    @guard("after_worker_shutdown")
    def after_worker_shutdown(self, broker: Any, worker: Any) -> None:
        """The last hook in a worker process of the command, which runs no `atexit`. If the application itself created the worker, its
        process continues, and this does not wait."""
        self.state.worker = None
        if multiprocessing.parent_process() is not None:
            self._at_exit()

    @guard("exit")
    def _at_exit(self) -> None:
        self._agent.close()
        self.state.poller.close()


class Fence(Middleware):
    """The last middleware: its hooks run right before and right after the task's own function."""

    def __init__(self, running: Running) -> None:
        self._running = running

    @guard("start")
    def before_process_message(self, broker: Any, message: Any) -> None:
        """Reports the start, unless a middleware of the application has failed the message."""
        run, agent = current.get(), z4j_agent.current()
        if run is None or agent is None or message.failed:
            return
        run.begins()
        agent.append(records.started(ENGINE, run.task_id, run.attempt, run.started_at or 0, agent.run, run.name, run.queue, meta=run.meta))
        run.current_run = current_run.begin(agent, ENGINE, run.task_id, run.attempt, run.started_at or 0, run.name, run.queue)
        self._running.begin(run, message)

    @guard("end")
    def after_process_message(self, broker: Any, message: Any, *, result: Any = None, exception: Any = None) -> None:
        """Ends the run, before the application's middleware sees its outcome."""
        run = current.get()
        if run is None:
            return
        try:
            self._running.end(run)
        except Stopped:  # it was raised after the task's function had ended
            self._running.end(run)
        run.ends()
        current_run.end(run.current_run)
        if run.is_stopped and not isinstance(exception, Stopped):
            # The task has caught it or had ended. The next attempt's message must be encodable again.
            if run.throws is None:
                message.options.pop("throws", None)
            else:
                message.options["throws"] = run.throws


def name_and_seat(host: str) -> tuple[str, str]:
    """Worker processes of one `dramatiq` command are distinguished by their number, commands by their process ID."""
    parent = multiprocessing.parent_process()
    seat = f"{multiprocessing.current_process().name}@{host}"
    return f"{seat}.{os.getpid() if parent is None else parent.pid}", seat


def _is_abort(exception: BaseException) -> bool:
    """The package dramatiq-abort stops a task with an exception of its own."""
    return type(exception).__name__ == "Abort" and type(exception).__module__.startswith("dramatiq_abort")
