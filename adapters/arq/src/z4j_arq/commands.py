# SPDX-License-Identifier: Apache-2.0
"""What operators ask, done in arq's Redis over a connection of our own, or in the worker's loop."""

from __future__ import annotations

import concurrent.futures
from typing import TYPE_CHECKING, Any

import redis
from arq.constants import expires_extra_ms, in_progress_key_prefix, job_key_prefix, retry_key_prefix
from arq.jobs import deserialize_job_raw, serialize_job

import z4j_agent
from z4j_agent import records
from z4j_agent.adapter import Original, Refused, Unsupported
from z4j_arq import originals
from z4j_arq.facts import ENGINE, job_id_of, life_of, now
from z4j_arq.queues import connection_to

if TYPE_CHECKING:
    from z4j_arq.capture import Capture

LOOP_TIMEOUT_S = 5.0


def retry_task(capture: Capture, original: Original, new_id: str) -> dict[str, Any]:
    """Stores the job again under `new_id`, as `enqueue_job` would: its arguments anew, or arq's own message as it was."""
    queue, at = original.queue, now()
    pool = capture.pool_of(queue)
    arguments = originals.arguments_of(original)
    if arguments is not None:
        body = serialize_job(original.name, tuple(arguments[0]), arguments[1], None, at // 1000, serializer=pool.job_serializer)
    else:
        body = originals.body_of(original)
    with connection_to(pool) as client, client.pipeline(transaction=True) as pipe:
        pipe.psetex(job_key_prefix + new_id, int(getattr(pool, "expires_extra_ms", expires_extra_ms)), body)
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
    for queue, pool in capture.queues().items():
        with connection_to(pool) as client:
            if client.zscore(queue, job_id) is None:
                continue
            name = _remove(client, pool, queue, job_id, task_id)
            agent = z4j_agent.current()
            if agent is not None:
                run = records.cancelled(ENGINE, task_id, 0, now(), agent.run, name, queue, reason="revoked")
                agent.append(run)
            return {"queue": queue}
    raise Refused("it does not wait in a queue this process knows")


def _remove(client: Any, pool: Any, queue: str, job_id: str, task_id: str) -> str:
    claim, job = in_progress_key_prefix + job_id, job_key_prefix + job_id
    with client.pipeline(transaction=True) as pipe:
        pipe.watch(claim)
        if pipe.exists(claim):
            raise Refused("a worker has it already; stop it instead")
        body = pipe.get(job)
        name = ""
        if body is not None:
            name, _, _, _, enqueued_ms = deserialize_job_raw(body, deserializer=pool.job_deserializer)
            if life_of(task_id) not in (0, enqueued_ms):
                raise Refused("a later job waits under the same id")
        pipe.multi()
        pipe.psetex(claim, 1000, b"1")  # whoever is about to claim it finds his WATCH broken
        pipe.zrem(queue, job_id)
        pipe.delete(job, retry_key_prefix + job_id, claim)
        try:
            pipe.execute()
        except redis.WatchError as error:
            raise Refused("a worker took it at this moment; stop it instead") from error
    return str(name)


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
        raise Refused("it has ended at this moment")
    return {"note": "the task sees it as asyncio.CancelledError"}
