# SPDX-License-Identifier: Apache-2.0
"""Looks up a task in arq whose end was not reported."""

from __future__ import annotations

import asyncio
from typing import Any

from arq.constants import in_progress_key_prefix, job_key_prefix, result_key_prefix
from arq.jobs import deserialize_job_raw, deserialize_result

from z4j_arq.messages import execution_ms_of, job_id_of
from z4j_arq.queues import ArqPart, find, servers


def _state(ended: Any) -> str:
    if ended.success:
        return "succeeded"
    return "cancelled" if isinstance(ended.result, asyncio.CancelledError) else "failed"


class Reconcile(ArqPart):
    """Looks up tasks."""

    def lookup_task(self, task_id: str) -> dict[str, Any]:
        """Reads `arq:result:<id>` if a result is stored (an hour by default, none for cron jobs), else the queue.

        `not_found` is arq's status of a task that ended without a stored result, was removed from its queue, or expired. `in_progress`
        may outlive its worker by the longest time limit and ten seconds; the job is then in its queue and runs again.
        """
        job_id, execution_ms = job_id_of(task_id), execution_ms_of(task_id)
        location = find(self.state, job_id, self.only)
        answers = []
        for broker in [location[1]] if location else servers(self.state, self.only).values():
            with broker.connect() as client:
                result, is_claimed, job = client.mget(result_key_prefix + job_id, in_progress_key_prefix + job_id, job_key_prefix + job_id)
            if result is not None:
                ended = deserialize_result(result, deserializer=broker.deserializer)
                if execution_ms in (0, round(ended.enqueue_time.timestamp() * 1000)):
                    answers.append({"state": _state(ended), "engine_state": "complete"})
            elif location and job is not None and execution_ms in (0, deserialize_job_raw(job, deserializer=broker.deserializer)[4]):
                word = ("running", "in_progress") if is_claimed else ("queued", "queued")
                answers.append({"state": word[0], "engine_state": word[1], "queue": location[0][1]})
        if len(answers) > 1:  # a job with this ID in several Redis databases
            return {"state": "unknown", "engine_state": "in several brokers"}
        return answers[0] if answers else {"state": "unknown", "engine_state": "not_found"}
