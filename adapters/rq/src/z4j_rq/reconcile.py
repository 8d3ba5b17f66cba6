# SPDX-License-Identifier: Apache-2.0
"""Looks up a task in Redis whose end was not reported."""

from __future__ import annotations

from typing import Any

from rq.job import JobStatus

from z4j_rq.dependencies import why_waiting
from z4j_rq.messages import WAITING
from z4j_rq.queues import RqPart

STATES = {
    JobStatus.FINISHED: "succeeded",
    JobStatus.FAILED: "failed",
    JobStatus.STOPPED: "cancelled",
    JobStatus.CANCELED: "cancelled",
    JobStatus.STARTED: "running",
} | dict.fromkeys(WAITING, "queued")


class Reconcile(RqPart):
    """Looks up tasks."""

    def lookup_task(self, task_id: str) -> dict[str, Any]:
        """Returns the state of a task in RQ. A job without a hash ended long ago, had `result_ttl=0`, or was deleted: that is unknown.
        `started` may be stale."""
        job = self.find_job(task_id)
        if job is None:
            return {"state": "unknown", "engine_state": "gone"}
        status = job.get_status(refresh=False)
        engine_state = str(getattr(status, "value", status))
        why = why_waiting(job)
        return {"state": STATES.get(status, "unknown"), "engine_state": f"{engine_state}: {why}" if why else engine_state}
