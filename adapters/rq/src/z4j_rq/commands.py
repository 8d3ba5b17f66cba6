# SPDX-License-Identifier: Apache-2.0
"""What operators ask, done with RQ's own means. Called in the agent's thread."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from rq.command import send_stop_job_command
from rq.exceptions import InvalidJobOperation, NoSuchJobError
from rq.job import JobStatus
from rq.worker import SimpleWorker

from z4j_agent.adapter import Original, Refused, Unsupported
from z4j_rq import originals
from z4j_rq.facts import WAITING
from z4j_rq.queues import find_job, queue_named

if TYPE_CHECKING:
    from z4j_rq.capture import Capture


def retry_task(capture: Capture, original: Original, new_id: str) -> dict[str, Any]:
    """Enqueues the kept job again under `new_id`; our own hooks report it, and which task it repeats. Raises Refused, Unsupported."""
    queue = queue_named(capture, original.queue)
    queue.enqueue_job(originals.job_again(original, new_id, queue.connection, queue.serializer, queue.job_class))
    return {"task_id": new_id, "queue": queue.name}


def cancel_task(capture: Capture, task_id: str) -> dict[str, Any]:
    """Takes a waiting job out of its queue or registry. Raises Refused when it is not waiting, or not there."""
    job = find_job(capture, task_id)
    if job is None:
        raise Refused("RQ does not know this task (any more)")
    status = job.get_status(refresh=False)
    if status not in WAITING:
        raise Refused(f"it does not wait: RQ says {getattr(status, 'value', status)}")
    if status == JobStatus.QUEUED and job.get_position() is None:
        raise Refused("a worker has taken it already")
    with contextlib.suppress(NoSuchJobError):  # it has ended and was forgotten in between; the answer below is then its end
        job.cancel()
    return {"note": "it was taken out of its queue"}


def can_terminate(worker: Any) -> bool:
    """Whether there is a work horse to kill: RQ's command is ignored by a worker that runs tasks itself."""
    return worker is not None and not isinstance(worker, SimpleWorker) and hasattr(worker, "fork_work_horse")


def terminate_task(capture: Capture, task_id: str) -> dict[str, Any]:
    """Has this worker kill its horse. Raises Refused when it does not run that task, Unsupported where it has no horse."""
    worker, held = capture.worker, capture.held
    if not can_terminate(worker):
        raise Unsupported("this worker runs tasks in its own process; ending one would end the worker")
    if held is None or held.task_id != task_id or not held.pid:
        raise Refused("it does not run in this worker (any more)")
    try:
        send_stop_job_command(worker.connection, task_id, serializer=worker.serializer)
    except (InvalidJobOperation, NoSuchJobError) as error:
        raise Refused("it has just ended") from error
    return {"note": "the work horse is killed; RQ keeps the task among the failed ones as stopped"}
