# SPDX-License-Identifier: Apache-2.0
"""Outcomes that no signal reports: Celery, the application or a library stores them in the result backend directly.

The tracer's own ends have signals. Four kinds have none: a chord's body and the rest of a chain, which are stored as failed and never sent;
outcomes that a worker's main process stores while the backend is unreachable, because the signal is sent only after that; a message whose
ETA cannot be converted; and the tasks of celery-batches, which run many requests in one call.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from types import SimpleNamespace, TracebackType
from typing import Any

from celery import states
from celery._state import get_current_task
from celery.app.task import Task
from celery.backends.base import Backend
from celery.canvas import group
from celery.exceptions import ChordError, NotRegistered, Reject, Retry, SoftTimeLimitExceeded, TimeLimitExceeded, WorkerLostError

from z4j_agent.capture.display import show_error
from z4j_agent.capture.guard import guard
from z4j_agent.capture.hooks import TRACEBACK_LIMIT
from z4j_agent.runtime.patching import Patches
from z4j_agent.wire import records
from z4j_celery.attempts import Run, text_of_traceback
from z4j_celery.execution import outcomes
from z4j_celery.messages import ENGINE, now
from z4j_celery.state import AppState

SENT_AT_MOST = 1_000
"""Maximum number of tasks of one chain or group that are reported."""
BATCHES_LOG = "celery_batches.trace"
"""The logger that receives the exception of a batch, which is passed to nothing else (celery_batches/trace.py: `apply_batches_task`)."""


def raised_by_task(error: BaseException | None) -> BaseException | None:
    """The task's own exception, for an error that occurred while that exception was handled; None if the task raised none.

    The tracer's `on_error` has it (celery/app/trace.py). The chain of contexts is not sufficient: the task may have raised while it handled
    another exception of its own.
    """
    step: TracebackType | None = error.__traceback__ if error is not None else None
    while step is not None:
        if step.tb_frame.f_code.co_name == "on_error":
            raised = step.tb_frame.f_locals.get("exc")
            return raised if isinstance(raised, BaseException) else None
        step = step.tb_next
    return None


def body_of(signature: Mapping[str, Any]) -> Mapping[str, Any]:
    """The signature whose result is the result of this one: for a chord, its body."""
    while signature.get("subtask_type") == "chord" and isinstance(body := (signature.get("kwargs") or {}).get("body"), Mapping):
        signature = body
    return signature


class StoredEnds:
    """Wraps the result backends of one app."""

    def __init__(
        self,
        state: AppState,
        failed_elsewhere: Callable[[str, Any, str, Any], None],
        revoked: Callable[..., None],
        stored: Callable[[Any, Any, Any, Any], None],
    ) -> None:
        """`failed_elsewhere` reports the failure of a task of a child process, `revoked` a revocation as Celery's signal would; `stored`
        receives the states that a task itself stores."""
        self._state = state
        self._failed_elsewhere = failed_elsewhere
        self._revoked_by_signal = revoked
        self._stored = stored
        self._local = threading.local()
        self._parts: dict[str, Run] = {}
        """The requests of the batches that run in this process, by task id."""
        self._patches = Patches()

    def install(self) -> None:
        """Wraps the methods of result backends and of tasks that store an outcome, for all apps of this process."""
        around: dict[str, Callable[..., Any]] = {
            "mark_as_done": self._done,
            "mark_as_failure": self._failure,
            "mark_as_revoked": self._revoked,
            "chord_error_from_stack": self._chord,
        }
        for name, call in around.items():
            self._patches.around(Backend, name, call)
        self._patches.around(Task, "update_state", self._update)
        logging.getLogger(BATCHES_LOG).addFilter(self._keep_error)

    def uninstall(self) -> None:
        """Removes the wrappers."""
        self._patches.restore()
        logging.getLogger(BATCHES_LOG).removeFilter(self._keep_error)

    # -- what a task stores of itself ----------------------------------------------------------------------------------
    def _update(
        self, original: Callable[..., Any], task: Any, task_id: Any = None, state: Any = None, meta: Any = None, **more: Any
    ) -> Any:
        """Wraps the method that stores a state by hand, which sends no signal."""
        returned = original(task, task_id, state, meta, **more)
        self._stored(task, task_id, state, meta)
        return returned

    # -- the methods of a backend --------------------------------------------------------------------------------------
    def _done(
        self, original: Callable[..., Any], backend: Any, task_id: Any, result: Any, request: Any = None, *args: Any, **more: Any
    ) -> Any:
        returned = original(backend, task_id, result, request, *args, **more)
        if backend.app is self._state.app:
            self._note_done(task_id, result, request)
        return returned

    def _failure(
        self, original: Callable[..., Any], backend: Any, task_id: Any, exc: Any, traceback: Any = None, request: Any = None,
        store_result: bool = True, *args: Any, **more: Any,
    ) -> Any:  # fmt: skip
        """Reports before storing: the backend may be unreachable, and Celery retries for a long time."""
        is_ours = backend.app is self._state.app
        if is_ours:
            self._note_failure(backend, task_id, exc, traceback, request, store_result)
        try:
            return original(backend, task_id, exc, traceback, request, store_result, *args, **more)
        except Exception:
            if is_ours and isinstance(exc, NotRegistered) and getattr(request, "id", None) is None:
                self._note_unknown(task_id, request, exc)
            raise

    def _revoked(
        self, original: Callable[..., Any], backend: Any, task_id: Any, reason: str = "", request: Any = None, *args: Any, **more: Any
    ) -> Any:
        try:
            return original(backend, task_id, reason, request, *args, **more)
        except Exception:  # then Celery does not send its signal
            if backend.app is self._state.app and request is not None:
                self._note_revoked(reason, request)
            raise

    def _chord(self, original: Callable[..., Any], backend: Any, callback: Any, exc: Any = None, *args: Any, **more: Any) -> Any:
        local, is_ours = self._local, backend.app is self._state.app
        before, local.in_chord = getattr(local, "in_chord", False), is_ours
        try:
            return original(backend, callback, exc, *args, **more)
        finally:
            local.in_chord = before
            if is_ours:
                self._note_chord(callback, exc)

    # -- what they mean ------------------------------------------------------------------------------------------------
    @guard("mark_as_done")
    def _note_done(self, task_id: Any, result: Any, request: Any) -> None:
        run = self._state.run_of(request)
        if run is None:
            run = self._own_run(task_id)
        if run is not None:
            run.stored = (states.SUCCESS, result)
        elif (part := self._parts.pop(str(task_id), None)) is not None:
            self._part_succeeded(part, result)
        elif request is None or not hasattr(request, "called_directly"):  # by hand, for a task that does not run here
            head = (ENGINE, str(task_id), *self._head_of(request))
            agent = self._state.agent
            shown = "null" if result is None else agent.show(result)
            agent.append(records.succeeded(*head, received_at=None, started_at=None, runtime=None, result=shown))

    @guard("mark_as_failure")
    def _note_failure(self, backend: Any, task_id: Any, exc: Any, traceback: Any, request: Any, is_stored: bool) -> None:
        if is_stored and type(backend).__name__ != "DisabledBackend":
            self._chain_failed(getattr(request, "chain", None), exc, str(task_id), getattr(request, "root_id", None) or str(task_id))
        if getattr(self._local, "in_chord", False) or isinstance(exc, Reject):
            return
        run = self._state.run_of(request) if request is not None else self._own_run(task_id)
        if run is not None:
            run.stored = (states.FAILURE, exc)  # its signal, or the end of the run, reports it
        elif (part := self._parts.pop(str(task_id), None)) is not None:
            self._part_failed(part, exc, traceback)
        elif getattr(request, "called_directly", None) is not None:
            if isinstance(exc, WorkerLostError | TimeLimitExceeded):  # any other error: its child has reported the cause
                self._failed_elsewhere(str(request.task or ""), request, str(task_id), exc)
        elif request is None or (getattr(request, "id", None) and not hasattr(request, "called_directly")):
            self._failed((ENGINE, str(task_id), *self._head_of(request)), exc, traceback)

    def _failed(self, head: tuple[Any, ...], exc: Any, traceback: Any = None, *, reason: str = "", meta: str = records.NO_META) -> None:
        error_type, error = outcomes.error_of(exc)
        self._state.agent.append(
            records.failed(
                *head, received_at=None, started_at=None, runtime=None, reason=reason, error_type=error_type, error=error,
                traceback=show_error(str(traceback), TRACEBACK_LIMIT) if traceback else "", meta=meta,
            )
        )  # fmt: skip

    @guard("task_unknown")
    def _note_unknown(self, task_id: Any, request: Any, exc: Any) -> None:
        agent, name = self._state.agent, str(getattr(request, "name", "") or "")
        error = f"no task {name} is registered in this worker; the message was dropped"
        agent.append(records.rejected(ENGINE, str(task_id), 0, now(), agent.run, name, "", reason="unknown_task", error=error))

    @guard("mark_as_revoked")
    def _note_revoked(self, reason: str, request: Any) -> None:
        task = self._state.app.tasks.get(request.task)
        if task is not None:
            self._revoked_by_signal(sender=task, request=request, terminated=reason == "terminated", expired=reason == "expired")

    @guard("chord_error_from_stack")
    def _note_chord(self, callback: Any, exc: Any) -> None:
        """Reports the body of a chord, or each task of it if it is a group, and the rest of its chain as failed."""
        task = get_current_task()
        parent = str(task.request.id or "") if task is not None else ""
        root = str((task.request.root_id if task is not None else None) or parent)
        is_group = isinstance(callback, group)
        cause = exc.__cause__ if is_group and isinstance(exc, ChordError) and exc.__cause__ else exc
        for each in callback.tasks[:SENT_AT_MOST] if is_group else [callback]:
            self._never_sent(each, cause, parent, root)
        options = callback.options
        self._chain_failed(options.get("chain"), exc, str(options.get("task_id") or parent), root)

    def _chain_failed(self, chain: Any, exc: Any, parent: str, root: str) -> None:
        """`chain` contains the following tasks, the last one first; a chord in it ends as its body."""
        if not isinstance(chain, list | tuple):
            return
        for step in list(reversed(chain))[:SENT_AT_MOST]:
            if not isinstance(step, Mapping):
                continue
            ends = body_of(step)
            if self._never_sent(ends, exc, parent, root):
                parent = str(ends["options"]["task_id"])

    def _never_sent(self, signature: Mapping[str, Any], exc: Any, parent: str, root: str) -> bool:
        options = signature.get("options") or {}
        task_id, agent = options.get("task_id"), self._state.agent
        if not task_id:
            return False
        links = {
            "parent_id": parent or None,
            "root_id": str(options.get("root_id") or root or "") or None,
            "group_id": options.get("group_id"),
        }
        head = (ENGINE, str(task_id), 0, now(), agent.run, str(signature.get("task") or ""), str(options.get("queue") or ""))
        self._failed(head, exc, reason="not_sent", meta=records.meta(links))
        return True

    def _own_run(self, task_id: Any) -> Run | None:
        """The current run of this task, if the task stores its own outcome."""
        task = get_current_task()
        run = self._state.run_of(task.request) if task is not None else None
        return run if run is not None and run.task_id == task_id else None

    def _head_of(self, request: Any) -> tuple[int, int, str, str, str]:
        """Attempt, time, process token, name and queue of a task whose outcome is stored from outside of it."""
        name = getattr(request, "name", None) or ""
        return 0, now(), self._state.agent.run, str(name), ""

    # -- what Celery's tracer cannot handle ------------------------------------------------------------------------------
    def interrupted(self, run: Run, passing: Exception) -> None:
        """Reports an outcome that Celery could not handle, usually because the result backend is unreachable."""
        self._local.interrupted = run.task_id
        agent, runtime = self._state.agent, run.runtime()
        head = (ENGINE, run.task_id, run.attempt, now(), agent.run, run.name, run.queue)
        cause = raised_by_task(passing)
        text = show_error(text_of_traceback(cause or passing), TRACEBACK_LIMIT)
        if isinstance(cause, Retry):
            error_type, error = outcomes.error_of(cause.exc) if cause.exc is not None else ("", "")
            record = records.retried(
                *head, started_at=run.started_at, runtime=runtime, eta=run.sent_again, reason="", error_type=error_type, error=error,
                traceback=text, meta=run.meta,
            )  # fmt: skip
        else:
            reason = "soft_time_limit" if isinstance(cause, SoftTimeLimitExceeded) else "" if cause is not None else "not_stored"
            error_type, error = outcomes.error_of(cause or passing)
            record = records.failed(
                *head, received_at=None, started_at=run.started_at, runtime=runtime, reason=reason, error_type=error_type, error=error,
                traceback=text, meta=run.meta,
            )  # fmt: skip
        agent.append(record)

    def was_interrupted(self, task_id: Any) -> bool:
        """Whether that outcome has just been reported in this thread: Celery then stores an error of its own."""
        return bool(getattr(self._local, "interrupted", None) == task_id)

    # -- celery-batches ------------------------------------------------------------------------------------------------
    def batch_started(self, task: Any, args: Any) -> None:
        """Reports the start of each request of a batch. celery-batches signals the batch alone (`docs/engines.md`)."""
        agent = self._state.agent
        for request in requests_of(args):
            headers = getattr(request, "request_dict", None) or {}
            shape = SimpleNamespace(id=request.id, retries=headers.get("retries"), delivery_info=request.delivery_info)
            run = self._parts[request.id] = Run(shape, task.name, self._state.queue_in(request.delivery_info))
            agent.append(records.started(ENGINE, request.id, run.attempt, run.started_at, agent.run, run.name, run.queue, meta=run.meta))

    def batch_ended(self, args: Any, state: Any) -> None:
        """Reports the requests whose outcome the batch has not stored itself: they have the outcome of the whole call."""
        error, self._local.error = getattr(self._local, "error", None), None
        for request in requests_of(args):
            part = self._parts.pop(request.id, None)
            if part is None:
                continue
            if state == states.SUCCESS:
                self._part_succeeded(part, None)
            elif state == states.FAILURE:
                self._part_failed(part, error, text_of_traceback(error))

    def _part_succeeded(self, part: Run, result: Any) -> None:
        agent = self._state.agent
        head = (ENGINE, part.task_id, part.attempt, now(), agent.run, part.name, part.queue)
        shown = "null" if result is None else agent.show(result)
        agent.append(
            records.succeeded(
                *head, received_at=None, started_at=part.started_at, runtime=part.runtime(), result=shown, meta=part.meta
            )
        )  # fmt: skip

    def _part_failed(self, part: Run, error: Any, traceback: Any) -> None:
        agent = self._state.agent
        head = (ENGINE, part.task_id, part.attempt, now(), agent.run, part.name, part.queue)
        error_type, text = outcomes.error_of(error) if error is not None else ("", "its batch raised; the worker's log has the exception")
        agent.append(
            records.failed(
                *head, received_at=None, started_at=part.started_at, runtime=part.runtime(), reason="", error_type=error_type, error=text,
                traceback=show_error(str(traceback), TRACEBACK_LIMIT) if traceback else "", meta=part.meta,
            )
        )  # fmt: skip

    def _keep_error(self, record: logging.LogRecord) -> bool:
        """A logging filter that passes everything and reads the exception of a batch: celery-batches logs it in the thread that ran the
        batch, and drops it."""
        if record.exc_info and isinstance(record.exc_info, tuple):
            self._local.error = record.exc_info[1]
        return True


def requests_of(args: Any) -> Iterator[Any]:
    """The requests of one call of celery-batches: its only argument is the list of them."""
    if args and isinstance(args[0], list):
        for request in args[0]:
            if isinstance(getattr(request, "id", None), str) and request.id and hasattr(request, "delivery_info"):
                yield request
