# SPDX-License-Identifier: Apache-2.0
"""Hooks of outcomes without a run: cancelled, deleted, expired, or found abandoned by a worker's maintenance."""

from __future__ import annotations

import sys
from types import FrameType
from typing import Any

from rq.exceptions import NoSuchJobError
from rq.job import Job
from rq.registry import FailedJobRegistry, StartedJobRegistry

from z4j_agent.agent import Agent
from z4j_agent.capture.guard import guard
from z4j_rq.job_hooks import outcomes
from z4j_rq.job_hooks.patches import Patches
from z4j_rq.messages import WAITING, job_in

FETCHING = ("_fetch_dequeued_job", "dequeue_any")
"""Functions of RQ that fetch a job which they have taken out of a queue."""
CALLERS = 5
"""Frames that may be in between: those of z4j, and of another library that has wrapped `Job.fetch`."""


class Removing:
    """Stores only whether RQ is cleaning a registry now, because it fails an abandoned job with the same calls as any other."""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent
        self._is_cleaning = False

    def connect(self, patches: Patches) -> None:
        """Wraps the methods of RQ's jobs and registries that remove a job."""
        patches.look(Job, "cancel", before=self.before_removal, after=self.after_cancel)
        patches.look(Job, "delete", before=self.before_removal, after=self.after_delete)
        patches.look(FailedJobRegistry, "add", before=self.before_failed)
        patches.look(StartedJobRegistry, "cleanup", before=self.before_cleaning, always=self.always_cleaned)
        patches.look(Job, "retry", before=self.before_retry)
        patches.watch_errors(Job, "fetch", NoSuchJobError, self.on_gone)

    @guard("before a registry's cleaning")
    def before_cleaning(self, _registry: Any, *_args: Any, **_kwargs: Any) -> None:
        """From now on, a job that fails or is retried in this process was abandoned by its worker."""
        self._is_cleaning = True

    @guard("a registry's cleaning")
    def always_cleaned(self, _registry: Any) -> None:
        """Called when the cleaning has ended or raised."""
        self._is_cleaning = False

    @guard("an abandoned job")
    def before_failed(self, _registry: Any, *args: Any, **kwargs: Any) -> None:
        """A worker's maintenance found a job whose worker is gone. In other cases the failure was reported before RQ calls this."""
        job = job_in(args, kwargs)
        if self._is_cleaning and job is not None:
            self._agent.append(outcomes.abandoned(job, self._agent.run, is_tried_again=False))

    @guard("an abandoned job that is retried")
    def before_retry(self, job: Job, *_args: Any, **_kwargs: Any) -> None:
        """In other cases the attempt's end was reported before RQ calls this."""
        if self._is_cleaning:
            self._agent.append(outcomes.abandoned(job, self._agent.run, is_tried_again=True))

    @guard("before a removal")
    def before_removal(self, job: Job, *_args: Any, **_kwargs: Any) -> bool:
        """Returns whether the job was waiting: otherwise its end is reported elsewhere."""
        return job._status in WAITING

    @guard("a cancellation")
    def after_cancel(self, job: Job, was_waiting: bool | None, _result: Any, *_args: Any, **_kwargs: Any) -> None:
        """Reports a waiting job that was cancelled."""
        if was_waiting:
            self._agent.append(outcomes.removed(job, self._agent.run, is_deleted=False))

    @guard("a deletion")
    def after_delete(self, job: Job, was_waiting: bool | None, _result: Any, *_args: Any, **_kwargs: Any) -> None:
        """Reports a waiting job that was deleted."""
        if was_waiting:
            self._agent.append(outcomes.removed(job, self._agent.run, is_deleted=True))

    @guard("an expired job")
    def on_gone(self, task_id: str, *_args: Any, **_kwargs: Any) -> None:
        """Called when a worker took an ID from its queue and the job no longer exists."""
        frame: FrameType | None = sys._getframe(3)
        for _ in range(CALLERS):
            if frame is None or frame.f_code.co_name in FETCHING:
                break
            frame = frame.f_back
        if frame is None or frame.f_code.co_name not in FETCHING:
            return
        key = frame.f_locals.get("queue_key", "")
        queue = str(key.decode() if isinstance(key, bytes) else key).rpartition(":")[2]
        self._agent.append(outcomes.outlived(str(task_id), queue, self._agent.run))
