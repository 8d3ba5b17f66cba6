# SPDX-License-Identifier: Apache-2.0
"""Wrappers of arq's methods. They are set on its classes, so that existing instances are covered.

No public hook is sufficient: arq's five (`on_startup`, `on_shutdown`, `on_job_start`, `on_job_end`, `after_job_end`) receive neither a
job's name nor its arguments, result or exception, and none of them is called for a job that expired, is unknown, cannot be read, was
aborted before its start or has used up its tries (arq, worker.py:run_job). Every wrapper passes the arguments, the result and exceptions
unchanged; its additions are guarded in `capture.py`.
"""

from __future__ import annotations

import copy
import functools
import pickle
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import arq.connections
import arq.worker

from z4j_agent.capture.originals import is_plain
from z4j_agent.runtime.patching import Patches
from z4j_arq.attempts import current, sent
from z4j_arq.messages import MARK
from z4j_arq.originals import SMALL
from z4j_arq.schedulers.cron_jobs import around_run_cron

if TYPE_CHECKING:
    from z4j_arq.capture import Capture

Wrapped = Callable[..., Any]


class Wrappers:
    """The wrappers that are set while the adapter is installed."""

    def __init__(self, capture: Capture) -> None:
        self._capture = capture
        self._patches = Patches()
        self._adopted: list[tuple[dict[str, Any], str, Any, Any]] = []
        self._is_put = False

    def put(self) -> None:
        """Wraps arq's methods, for all pools and workers of this process."""
        self._is_put = True
        for owner, name, make in (
            (arq.connections.ArqRedis, "enqueue_job", self._enqueue_job),
            (arq.connections, "serialize_job", self._serialize_job),
            (arq.worker.Worker, "main", self._main),
            (arq.worker.Worker, "run_cron", partial(around_run_cron, self._capture.state.crons)),
            (arq.worker.Worker, "run_job", self._run_job),
            (arq.worker, "deserialize_job_raw", self._deserialize_job_raw),
            (arq.worker, "serialize_result", self._serialize_result),
            (arq.worker.Worker, "finish_job", self._finish_job),
            (arq.worker.Worker, "finish_failed_job", self._finish_failed_job),
        ):
            self._patches.wrap(owner, name, make)

    def undo(self) -> None:
        """Removes the wrappers; those that another library has added since stay, on functions of a worker and on methods of arq."""
        self._is_put = False
        self._patches.restore()
        while self._adopted:
            functions, name, original, watched = self._adopted.pop()
            if functions.get(name) is watched:
                functions[name] = original

    # -- the producer --------------------------------------------------------------------------------------------------
    def _enqueue_job(self, original: Wrapped) -> Wrapped:
        capture = self._capture

        async def enqueue_job(pool: Any, /, *args: Any, **options: Any) -> Any:
            fired = capture.state.crons.on_enqueue(args, options)
            if fired is not None:
                fire, args, options = fired
            name = args[0] if args else options.get("function")
            sending = capture.on_enqueue(pool, name)
            sent.set(sending)
            try:
                job = await original(pool, *args, **options)
            except BaseException as error:
                if fired is not None:
                    capture.state.crons.report_sent(fire, None, 0, error)
                raise
            finally:
                sent.set(None)
            if fired is not None:
                capture.state.crons.report_sent(fire, job, sending.enqueued_ms if sending is not None else 0, None)
            if sending is not None and job is not None:  # None: a job or a result with that ID exists, and nothing was enqueued
                capture.on_enqueued(sending, pool, job, name, args[1:], options)
            return job

        return enqueue_job

    def _serialize_job(self, original: Wrapped) -> Wrapped:
        def serialize_job(*args: Any, serializer: Any = None, **kwargs: Any) -> Any:
            sending = sent.get()
            if sending is None:
                return original(*args, serializer=serializer, **kwargs)
            inner = serializer or pickle.dumps

            def write(message: dict[str, Any]) -> Any:
                sending.enqueued_ms = message.get("et") or 0
                if sending.is_marked and is_plain(message.get("a")) and is_plain(message.get("k")):
                    marked = inner({**message, MARK: 1})
                    if len(marked) <= SMALL:
                        return marked
                return inner(message)  # its bytes may be enqueued again, and then the worker must report the arguments

            body = original(*args, serializer=write, **kwargs)
            sending.body = body
            return body

        return serialize_job

    # -- the worker ----------------------------------------------------------------------------------------------------
    def _main(self, original: Wrapped) -> Wrapped:
        async def main(worker: Any, /) -> Any:
            self._capture.on_main(worker)
            try:
                return await original(worker)
            finally:
                self._capture.on_main_ended(worker)

        return main

    def _run_job(self, original: Wrapped) -> Wrapped:
        capture = self._capture

        async def run_job(worker: Any, /, job_id: str, score: int) -> Any:
            run = capture.on_taken(worker, job_id, score)
            current.set(run)  # for the asyncio task that arq created for this job, and for tasks that it starts
            try:
                return await original(worker, job_id, score)
            except BaseException as error:
                capture.on_broken(run, error)
                raise
            finally:
                capture.on_left(run)

        return run_job

    def _deserialize_job_raw(self, original: Wrapped) -> Wrapped:
        def deserialize_job_raw(body: bytes, /, *, deserializer: Any = None) -> Any:
            run = current.get()
            if run is None:
                return original(body, deserializer=deserializer)
            inner = deserializer or pickle.loads

            def read(data: bytes) -> Any:
                message = inner(data)
                self._capture.on_message(run, data, message)
                return message

            try:
                return original(body, deserializer=read)
            except Exception as error:
                run.malformed = error
                raise

        return deserialize_job_raw

    def _serialize_result(self, original: Wrapped) -> Wrapped:
        def serialize_result(*args: Any, serializer: Any = None, **kwargs: Any) -> Any:
            run = current.get()
            if run is None:
                return original(*args, serializer=serializer, **kwargs)
            inner = serializer or pickle.dumps

            def write(result: dict[str, Any]) -> Any:
                self._capture.on_result(run, result)
                try:
                    return inner(result)
                except Exception:
                    run.is_kept = False
                    raise

            return original(*args, serializer=write, **kwargs)

        return serialize_result

    def _finish_job(self, original: Wrapped) -> Wrapped:
        async def finish_job(worker: Any, /, job_id: str, finish: bool, *args: Any, **kwargs: Any) -> Any:
            run = current.get()
            if run is not None:
                run.is_finishing = True
            done = await original(worker, job_id, finish, *args, **kwargs)
            self._capture.on_finished(run, finish)
            return done

        return finish_job

    def _finish_failed_job(self, original: Wrapped) -> Wrapped:
        async def finish_failed_job(worker: Any, /, job_id: str, *args: Any, **kwargs: Any) -> Any:
            run = current.get()
            if run is not None:
                run.is_finishing = True
            done = await original(worker, job_id, *args, **kwargs)
            self._capture.on_failed(run)
            return done

        return finish_failed_job

    # -- the application's functions -----------------------------------------------------------------------------------
    def adopt(self, worker: Any, name: str, function: Any) -> None:
        """Wraps this function of this worker, and its hook before every job.

        arq looks both up for every job, after it has read the message; its `Function` and `CronJob` objects belong to the application
        and are not changed.
        """
        if getattr(function.coroutine, "z4j_wrappers", None) is not self:
            watched = copy.copy(function)
            watched.coroutine = self._watched(function.coroutine)
            worker.functions[name] = watched
            self._adopted.append((worker.functions, name, function, watched))
        self._put_hook(worker, "on_job_start", self._before_job)

    def report_stop(self, worker: Any) -> None:
        """Wraps `on_stop`, which arq calls right after it has cancelled its running jobs and before they continue: the only certain sign
        of the cancellation's cause.

        A cancellation of the worker's own asyncio task is not a sign, because redis-py's timeouts cause that all the time.

        """
        self._put_hook(worker, "on_stop", lambda hook: self._at_stop(worker, hook))

    def _put_hook(self, worker: Any, name: str, make: Callable[[Wrapped | None], Wrapped]) -> None:
        hook = getattr(worker, name)
        if getattr(hook, "z4j_wrappers", None) is not self:
            wrapper = make(hook)
            wrapper.z4j_wrappers = self  # type: ignore[attr-defined]
            self._patches.set(worker, name, wrapper)

    def _at_stop(self, worker: Any, hook: Wrapped | None) -> Wrapped:
        def on_stop(signum: Any) -> None:
            self._capture.state.stopping.add(id(worker))
            if hook is not None:
                hook(signum)

        return on_stop

    def _watched(self, coroutine: Wrapped) -> Wrapped:
        capture = self._capture

        @functools.wraps(coroutine)
        async def watched(ctx: Any, /, *args: Any, **kwargs: Any) -> Any:
            run = current.get() if self._is_put else None
            capture.on_start(run, ctx)
            try:
                value = await coroutine(ctx, *args, **kwargs)
            except BaseException as error:
                capture.on_raised(run, error)
                raise
            capture.on_returned(run, value)
            return value

        watched.z4j_wrappers = self  # type: ignore[attr-defined]
        return watched

    def _before_job(self, hook: Wrapped | None) -> Wrapped:
        async def on_job_start(ctx: Any) -> None:
            self._capture.on_job_start(current.get() if self._is_put else None, ctx["job_try"], is_waiting=hook is not None)
            if hook is not None:
                await hook(ctx)

        return on_job_start
