# SPDX-License-Identifier: Apache-2.0
"""What arq itself knows of a task whose end was not reported."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from arq.constants import in_progress_key_prefix, job_key_prefix, result_key_prefix
from arq.jobs import deserialize_job_raw, deserialize_result

from z4j_arq.facts import job_id_of, life_of
from z4j_arq.queues import connection_to

if TYPE_CHECKING:
    from z4j_arq.capture import Capture


def lookup_task(capture: Capture, task_id: str) -> dict[str, Any]:
    """`arq:result:<id>` where a result is kept (an hour by default, not at all for cron jobs), else the queue.

    `not_found` is what arq says of a task that ended without a kept result, was taken out of its queue, or expired. `in_progress` may
    outlive its worker by the longest time limit and ten seconds; the job is in its queue then and runs again.
    """
    job_id, life = job_id_of(task_id), life_of(task_id)
    for queue, pool in capture.queues().items():
        with connection_to(pool) as client:
            pipe = client.pipeline(transaction=True)
            pipe.get(result_key_prefix + job_id)
            pipe.exists(in_progress_key_prefix + job_id)
            pipe.zscore(queue, job_id)
            pipe.get(job_key_prefix + job_id)
            result, is_claimed, score, job = pipe.execute()
        if result is not None:
            ended = deserialize_result(result, deserializer=pool.job_deserializer)
            if life not in (0, round(ended.enqueue_time.timestamp() * 1000)):
                continue
            return {"state": _state(ended), "engine_state": "complete"}
        if score is None:
            continue
        if job is not None and life not in (0, deserialize_job_raw(job, deserializer=pool.job_deserializer)[4]):
            continue
        if is_claimed:
            return {"state": "running", "engine_state": "in_progress", "queue": queue}
        return {"state": "queued", "engine_state": "queued", "queue": queue}
    return {"state": "unknown", "engine_state": "not_found"}


def _state(ended: Any) -> str:
    if ended.success:
        return "succeeded"
    return "cancelled" if isinstance(ended.result, asyncio.CancelledError) else "failed"
