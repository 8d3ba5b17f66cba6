# SPDX-License-Identifier: Apache-2.0
"""What operators ask, done in arq's Redis over a connection of our own, or in the worker's loop."""

from __future__ import annotations

import concurrent.futures
from typing import TYPE_CHECKING, Any

import redis
from arq.constants import in_progress_key_prefix, job_key_prefix, retry_key_prefix
from arq.jobs import deserialize_job_raw, serialize_job

import z4j_agent
from z4j_agent import records
from z4j_agent.adapter import Original, Refused, Unsupported
from z4j_arq import originals
from z4j_arq.facts import ENGINE, attempt_of, job_id_of, life_of, now
from z4j_arq.queues import Broker, broker_of, find

if TYPE_CHECKING:
    from z4j_arq.capture import Capture

LOOP_TIMEOUT_S = 5.0


def retry_task(capture: Capture, original: Original, new_id: str) -> dict[str, Any]:
    """Stores the job again under `new_id`, as `enqueue_job` would: its arguments anew, or arq's own message as it was."""
    at = now()
    queue, broker = broker_of(capture, original.queue)
    arguments = originals.arguments_of(original)
    if arguments is not None:
        args, kwargs = arguments
        body = serialize_job(original.name, tuple(args), kwargs, None, at // 1000, serializer=broker.serializer)
    else:
        body = originals.body_of(original)
    with broker.connect() as client, client.pipeline(transaction=True) as pipe:
        pipe.psetex(job_key_prefix + new_id, broker.expires_extra_ms, body)
        pipe.zadd(queue, {new_id: at // 1000})
        pipe.execute()
    agent = z4j_agent.current()
    if agent is not None:
        meta = records.meta({"retry_of": original.task_id})
        agent.append(records.enqueued(ENGINE, new_id, 0, at, agent.run, original.name, queue, meta=meta))
    return {"task_id": new_id, "queue": queue}


def cancel_task(capture: Capture, task_id: str) -> dict[str, Any]:
    """Takes a waiting job out of its queue, exactly: as a worker does it, by being the first to claim it (worker.py:start_jobs).

    arq has no word for that, so the cancellation is told here. Raises Refused where the job runs or is not there.
    """
    job_id = job_id_of(task_id)
    found = find(capture, job_id)
    if found is None:
        raise Refused("it does not wait in any queue (any more)")
    queue, broker = found
    with broker.connect() as client:
        name, attempt = _remove(client, broker, queue, job_id, task_id)
    agent = z4j_agent.current()
    if agent is not None:
        agent.append(records.cancelled(ENGINE, task_id, attempt, now(), agent.run, name, queue, reason="revoked"))
    return {"queue": queue}


def _remove(client: Any, broker: Broker, queue: str, job_id: str, task_id: str) -> tuple[str, int]:
    """Its name and the attempt that will not be."""
    claim, job, tries = in_progress_key_prefix + job_id, job_key_prefix + job_id, retry_key_prefix + job_id
    with client.pipeline(transaction=True) as pipe:
        pipe.watch(claim)
        if pipe.exists(claim):
            raise Refused("a worker has it already; stop it instead")
        body, tried = pipe.get(job), int(pipe.get(tries) or 0)
        name = ""
        if body is not None:
            name, _, _, first_try, enqueued_ms = deserialize_job_raw(body, deserializer=broker.deserializer)
            if life_of(task_id) not in (0, enqueued_ms):
                raise Refused("another job waits under the same id")
            tried = max(tried, attempt_of(first_try))
        pipe.multi()
        pipe.psetex(claim, 1000, b"1")  # whoever is about to claim it finds his WATCH broken
        pipe.zrem(queue, job_id)
        pipe.delete(job, tries, claim)
        try:
            pipe.execute()
        except redis.WatchError as error:
            raise Refused("a worker took it at this moment; stop it instead") from error
    return str(name), tried


def terminate_task(capture: Capture, task_id: str) -> dict[str, Any]:
    """Cancels the job's asyncio task in the worker's own loop, and lets arq know that it is meant: else it would run it again.

    Works without `allow_abort_jobs`, which is only for asking from another process.
    """
    if not capture.workers:
        raise Unsupported("only the worker that runs it can stop a task")
    run = next((run for run in list(capture.running.values()) if run.task_id == task_id), None)
    if run is None:
        raise Refused("it does not run in this worker (any more)")
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
    try:
        is_stopped = answer.result(LOOP_TIMEOUT_S)
    except TimeoutError as error:
        answer.cancel()
        raise Refused(f"the worker's event loop has been busy for {LOOP_TIMEOUT_S:g} s; a task that blocks it cannot be stopped") from error
    if not is_stopped:
        raise Refused("it is not inside its function now: it has just ended, or waits for on_job_start")
    return {"note": "the task sees it as asyncio.CancelledError"}
