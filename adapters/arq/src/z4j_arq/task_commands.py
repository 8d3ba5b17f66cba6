# SPDX-License-Identifier: Apache-2.0
"""Commands for a single task: enqueueing it again, and stopping it. Executed in arq's Redis with a separate connection, or in the
worker's loop.
"""

from __future__ import annotations

import concurrent.futures
from typing import Any

from arq.constants import in_progress_key_prefix, job_key_prefix, result_key_prefix
from arq.jobs import deserialize_job_raw, serialize_job

import z4j_agent
from z4j_agent.capture.originals import CannotOpen
from z4j_agent.commands.edits import is_editable
from z4j_agent.contract.adapter import Original, Refused, Unsupported
from z4j_agent.wire import records
from z4j_arq import originals
from z4j_arq.brokers.broker import Broker
from z4j_arq.messages import ENGINE, now
from z4j_arq.queues import ArqPart, broker_of
from z4j_arq.state import ArqState

LOOP_TIMEOUT_S = 5.0
STEP_MS = 1 / 2048
"""The smallest difference of two floats of the size of arq's scores."""
_last = [0.0]


def run_function(state: ArqState, name: str, args: list[Any], kwargs: dict[str, Any], new_id: str, queue: str, only: str) -> dict[str, Any]:
    """Enqueues a function of this application. Raises Refused for an unknown one: arq itself accepts any name."""
    functions = state.functions()
    if name not in functions and name not in state.enqueued:
        raise Refused(f"this application has no task {name[:80]}. Nothing was enqueued.", check="task.unknown")
    queue, broker = broker_of(state, queue or (functions[name][1] if name in functions else state.enqueued[name]), only)
    return _enqueue(broker, queue, name, new_id, _serialized(broker, name, args, kwargs))


def _message(broker: Broker, original: Original) -> bytes:
    arguments = originals.arguments_of(original)
    if arguments is not None:
        return _serialized(broker, original.name, *arguments)
    body = originals.body_of(original)
    name = str(deserialize_job_raw(body, deserializer=broker.deserializer)[0])
    if name != original.name:  # possible only for a seal of an older agent, which does not bind the name
        raise CannotOpen(f"the original is of {name[:80]}, not of {original.name[:80]}. Nothing was enqueued.", check="original.name")
    return body


def _serialized(broker: Broker, name: str, args: list[Any], kwargs: dict[str, Any]) -> bytes:
    body: bytes = serialize_job(name, tuple(args), kwargs, None, now() // 1000, serializer=broker.serializer)
    return body


def _enqueue(
    broker: Broker, queue: str, name: str, new_id: str, body: bytes, eta_at: int | None = None, *, retried_id: str = ""
) -> dict[str, Any]:
    """Enqueues like `ArqRedis.enqueue_job` (arq, connections.py), and reports it. `eta_at` is in microseconds UTC, `retried_id` is the
    repeated task."""
    at = now()
    keys = [prefix + new_id for prefix in (job_key_prefix, in_progress_key_prefix, result_key_prefix)]
    with broker.connect() as client, client.pipeline(transaction=True) as pipe:
        pipe.watch(*keys)
        if pipe.exists(*keys):
            raise Refused("a job with the new ID already exists. Nothing was enqueued.", check="task_id.exists")
        pipe.multi()
        pipe.psetex(job_key_prefix + new_id, broker.expires_extra_ms + max((eta_at or at) - at, 0) // 1000, body)
        pipe.zadd(queue, {new_id: score_of(at) if eta_at is None else eta_at // 1000})
        pipe.execute()
    agent = z4j_agent.current()
    if agent is not None:
        meta = records.meta({"retry_of": retried_id}) if retried_id else records.NO_META
        agent.append(records.enqueued(ENGINE, new_id, 0, at, agent.run, name, queue, eta=eta_at, meta=meta))
    return {"task_id": new_id, "queue": queue}


def score_of(at: int) -> float:
    """Returns a score above all earlier ones. arq's are milliseconds, and of equal ones the smaller ID runs first: a hundred jobs that are
    restored within a millisecond would lose their order.
    """
    _last[0] = max(at / 1000, _last[0] + STEP_MS)
    return _last[0]


class TaskCommands(ArqPart):
    """Commands for tasks."""

    def retry_task(self, original: Original, *, new_id: str) -> dict[str, Any]:
        """Stores the job again under `new_id`, like `enqueue_job`: its arguments serialised again, or arq's own message unchanged."""
        queue, broker = broker_of(self.state, original.queue, original.broker)
        return _enqueue(broker, queue, original.name, new_id, _message(broker, original), retried_id=original.task_id)

    def restore_task(self, original: Original, *, new_id: str, eta_at: int | None, priority: int | None) -> dict[str, Any]:
        """Like `retry_task`, with its time. arq has no priorities."""
        queue, broker = broker_of(self.state, original.queue, original.broker)
        return _enqueue(broker, queue, original.name, new_id, _message(broker, original), eta_at, retried_id=original.task_id)

    def read_arguments(self, original: Original) -> tuple[list[Any], dict[str, Any]]:
        """Returns the stored job's arguments as JSON values. Raises Refused."""
        arguments = originals.arguments_of(original)
        if arguments is None:
            _, broker = broker_of(self.state, original.queue, original.broker)
            _, args, kwargs, _, _ = deserialize_job_raw(_message(broker, original), deserializer=broker.deserializer)
            arguments = list(args), dict(kwargs)
        if not is_editable(arguments[0]) or not is_editable(arguments[1]):
            raise Refused("its arguments are objects that cannot be written as text")
        return arguments

    def edit_task(self, original: Original, args: list[Any], kwargs: dict[str, Any], *, new_id: str) -> dict[str, Any]:
        """Like `retry_task`, with other arguments."""
        queue, broker = broker_of(self.state, original.queue, original.broker)
        body = _serialized(broker, original.name, args, kwargs)
        return _enqueue(broker, queue, original.name, new_id, body, retried_id=original.task_id)

    def terminate_task(self, task_id: str) -> dict[str, Any]:
        """Cancels the job's asyncio task in the worker's own loop, and marks it as aborted for arq, which would run it again otherwise.

        Works without `allow_abort_jobs`, which is only required for requests from another process.
        """
        if not self.state.workers:
            raise Unsupported("only the worker that runs a task can stop it. No changes were made.")
        runs = [run for run in list(self.state.running.values()) if run.task_id == task_id]
        runs = [run for run in runs if self.only in ("", self.state.known.identity_of(run.worker.pool))]
        if not runs:
            raise Refused("the task does not run in this worker now. No changes were made.")
        if len(runs) > 1:
            raise Refused(
                "workers of several Redis databases run a job with this ID in this process. No job was stopped.", check="broker.unknown"
            )
        (run,) = runs
        worker, job_id = run.worker, run.job_id
        answer: concurrent.futures.Future[bool] = concurrent.futures.Future()

        def stop() -> None:
            if not answer.set_running_or_notify_cancel():
                return
            task = worker.job_tasks.get(job_id)
            is_stopped = task is not None and task.cancel()
            if is_stopped:
                worker.aborting_tasks.add(job_id)
                run.is_asked_to_stop = True
            answer.set_result(is_stopped)

        worker.loop.call_soon_threadsafe(stop)
        concurrent.futures.wait((answer,), LOOP_TIMEOUT_S)
        if answer.cancel():  # `stop` has not begun, and now never does
            raise Refused(
                f"the worker's event loop has been busy for {LOOP_TIMEOUT_S:g} s; a task that blocks the loop cannot be stopped."
                " No changes were made."
            )
        if not answer.result():
            raise Refused("the task is not inside its function now: it has just ended, or waits for on_job_start. No changes were made.")
        return {"note": "asyncio.CancelledError is raised in the task"}

    def run_task(self, name: str, args: list[Any], kwargs: dict[str, Any], *, new_id: str, queue: str) -> dict[str, Any]:
        return run_function(self.state, name, args, kwargs, new_id, queue, self.only)
