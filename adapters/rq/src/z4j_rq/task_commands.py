# SPDX-License-Identifier: Apache-2.0
"""Commands for tasks, executed with RQ's own API in the agent's thread."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime
from typing import Any

from rq.command import send_command
from rq.exceptions import NoSuchJobError
from rq.job import Job, JobStatus
from rq.queue import Queue
from rq.utils import as_text
from rq.worker import SimpleWorker

import z4j_agent
from z4j_agent.capture.hooks import now
from z4j_agent.contract.adapter import Original, Refused, Unsupported
from z4j_agent.wire import records
from z4j_rq import originals
from z4j_rq.dependencies import why_waiting
from z4j_rq.job_hooks.job_marks import attempt_of, by_command
from z4j_rq.job_hooks.outcomes import RunningJob
from z4j_rq.messages import ENGINE, WAITING, name_of
from z4j_rq.queues import UNKNOWN_JOB, RqPart, like

TO_FRONT = "if redis.call('LREM', KEYS[1], 1, ARGV[1]) == 0 then return 0 end redis.call('LPUSH', KEYS[1], ARGV[1]) return 1"
"""The result of LREM shows whether a worker has taken the job."""
TO_OTHER = """
if redis.call('LREM', KEYS[1], 1, ARGV[1]) == 0 then return 0 end
redis.call('HSET', KEYS[3], 'origin', ARGV[2]) redis.call('SADD', KEYS[4], KEYS[2]) redis.call('RPUSH', KEYS[2], ARGV[1]) return 1
"""


def _waiting(view: RqPart, task_id: str) -> tuple[Job, Queue]:
    job = view.find_job(task_id)
    if job is None:
        raise Refused(UNKNOWN_JOB)
    status = job.get_status(refresh=False)
    if status not in WAITING:
        raise Refused(f"the task is not queued: its status in RQ is {getattr(status, 'value', status)}. No changes were made.")
    return job, view.queue_of(job)


def _refuse_deferred(job: Job) -> None:
    """Raises Refused for a job that is in no queue yet, with the reason."""
    if why := why_waiting(job):
        raise Refused(f"the task is in no queue yet: {why}. No changes were made.")


def can_terminate(worker: Any) -> bool:
    """Whether there is a work horse to kill: a worker that runs tasks itself ignores RQ's command."""
    return worker is not None and not isinstance(worker, SimpleWorker) and hasattr(worker, "fork_work_horse")


class TaskCommands(RqPart):
    """Commands for tasks."""

    def retry_task(self, original: Original, *, new_id: str) -> dict[str, Any]:
        """Enqueues the stored job again under `new_id`; the hooks report it with the task that it repeats. Raises Refused, Unsupported."""
        queue = self.queue_named(original.queue, original.broker)
        with by_command():
            queue.enqueue_job(originals.job_again(original, new_id, queue.connection, queue.serializer, queue.job_class))
        return {"task_id": new_id, "queue": queue.name}

    def edit_task(self, original: Original, args: list[Any], kwargs: dict[str, Any], *, new_id: str) -> dict[str, Any]:
        """Like `retry_task`, with other arguments. Raises Refused, Unsupported."""
        return self.retry_task(originals.edited(original, args, kwargs), new_id=new_id)

    def read_arguments(self, original: Original) -> tuple[list[Any], dict[str, Any]]:
        """Returns the arguments of a stored job, unmasked. Raises Refused, Unsupported."""
        queue = self.queue_named(original.queue, original.broker)
        return originals.read_arguments(original, queue.serializer, queue.job_class)

    def restore_task(self, original: Original, *, new_id: str, eta_at: int | None, priority: int | None) -> dict[str, Any]:
        """Like `retry_task`; a job whose time has not come is scheduled for it again. Raises Refused, Unsupported."""
        if eta_at is None or eta_at <= now():
            return self.retry_task(original, new_id=new_id)
        queue = self.queue_named(original.queue, original.broker)
        job = originals.job_again(original, new_id, queue.connection, queue.serializer, queue.job_class)
        with by_command():
            queue.schedule_job(job, datetime.fromtimestamp(eta_at / 1_000_000, UTC))
        return {"task_id": new_id, "queue": queue.name}

    def run_task(self, name: str, args: list[Any], kwargs: dict[str, Any], *, new_id: str, queue: str) -> dict[str, Any]:
        """Enqueues a function by its import path. The default queue is the one on which it was last seen. Raises Unsupported, Refused."""
        first = next((known.name for known in self.state.known.queues(self.only).values()), "default")
        chosen = self.queue_named(queue or self.state.known.tasks().get(name) or first)
        if chosen.job_class.exists(new_id, connection=chosen.connection):
            raise Refused("a job with the new ID already exists in RQ. Nothing was sent.", check="task_id.exists")
        with by_command():
            chosen.enqueue_call(name, args=tuple(args), kwargs=kwargs, job_id=new_id)
        return {"task_id": new_id, "queue": chosen.name}

    def release_task(self, task_id: str) -> dict[str, Any]:
        """Enqueues a job that is scheduled or waits for a retry. Raises Refused."""
        job, queue = _waiting(self, task_id)
        if not queue.connection.zrem(queue.scheduled_job_registry.key, task_id):
            raise Refused("the task is not scheduled now. No changes were made.")
        with by_command():
            queue._enqueue_job(job)
        return {"queue": queue.name}

    def prioritise_task(self, task_id: str, level: str) -> dict[str, Any]:
        """Moves a job to the front of its queue; RQ has no other order. Raises Refused."""
        if level != "next":
            raise Refused("RQ has no priorities: a job can only be moved to the front of its queue. No changes were made.")
        job, queue = _waiting(self, task_id)
        _refuse_deferred(job)
        if not queue.connection.eval(TO_FRONT, 1, queue.key, task_id):
            raise Refused("a worker has already taken the task, or it is not in its queue yet. No changes were made.")
        return {"queue": queue.name}

    def move_task(self, task_id: str, queue: str) -> dict[str, Any]:
        """Moves a job to the end of another queue of the same Redis. Raises Refused."""
        job, source = _waiting(self, task_id)
        _refuse_deferred(job)
        other = like(source, queue)  # the same Redis: a queue of that name in another one is another queue
        if other.name == source.name:
            raise Refused("the task is already in that queue. No changes were made.")
        keys = (source.key, other.key, job.key, Queue.redis_queues_keys)
        if not source.connection.eval(TO_OTHER, len(keys), *keys, task_id, other.name):
            raise Refused("a worker has already taken the task, or it is scheduled: move it when its time has come. No changes were made.")
        agent = z4j_agent.current()
        if agent is not None:
            agent.append(records.moved(ENGINE, task_id, attempt_of(job), now(), agent.run, name_of(job), other.name))
        return {"queue": other.name}

    def cancel_task(self, task_id: str) -> dict[str, Any]:
        """Removes a waiting job from its queue or registry. Raises Refused if it is not waiting or does not exist."""
        job, _ = _waiting(self, task_id)
        status = job.get_status(refresh=False)
        if status == JobStatus.QUEUED and job.get_position() is None:
            raise Refused("a worker has already taken the task. No changes were made.")
        with contextlib.suppress(NoSuchJobError):  # it has ended and was forgotten in between; the answer below is then its end
            job.cancel()
        return {"note": "the task was removed from its queue"}

    def terminate_task(self, task_id: str) -> dict[str, Any]:
        """Requests that this worker kills its work horse. Raises Refused if it does not run the task, Unsupported if it has no horse."""
        workers = [worker for worker in self.state.workers() if can_terminate(worker)]
        if not workers:
            raise Unsupported("this worker runs tasks in its own process; stopping a task would end the worker")

        def is_running(running: RunningJob | None) -> bool:
            return running is not None and running.task_id == task_id and bool(running.pid)

        worker = next((worker for worker in workers if is_running(self.state.hands.of(worker))), None)
        if worker is None:
            raise Refused("the task does not run in this worker now. No changes were made.")
        status = worker.connection.hget(worker.job_class.key_for(task_id), "status")
        if status is not None and as_text(status) in (JobStatus.FINISHED, JobStatus.FAILED):
            # Its horse is about to exit. RQ takes a job whose horse it kills on request for a stopped one, whatever its status is
            # (`monitor_work_horse`): a job that has succeeded would be stored as stopped.
            raise Refused("the task has just ended. No changes were made.")
        # Not `send_stop_job_command`: it reads the worker's name from the job, where the horse writes it after the task has begun here.
        send_command(worker.connection, worker.name, "stop-job", job_id=task_id)
        return {"note": "stop requested: RQ's worker kills the work horse and stores the task as stopped, unless the task has just ended"}
