# SPDX-License-Identifier: Apache-2.0
"""Runs the hooks of a job in a worker's main process, before it forks for the first job.

A work horse runs each of them once, and every memory page that it writes is copied for it. Python adapts the code of a function in its
first calls, and caches are filled and modules imported when they are first used. All of that is done here once, and not again in each
horse.
"""

from __future__ import annotations

import copy
from typing import Any

from rq.job import Job

from z4j_agent.agent import Agent
from z4j_agent.capture.guard import guard
from z4j_rq.job_hooks.execution_hooks import Running
from z4j_rq.job_hooks.outcomes import RunningJobs
from z4j_rq.known_queues import Known

TIMES = 16
"""CPython 3.11 and 3.12 adapt a function after eight calls, later ones sooner."""


class Nowhere:
    """A spool that keeps nothing."""

    dropped = 0

    def append(self, _records: bytes, _count: int = 1) -> bool:
        """Drops the records."""
        return True


def succeed(_text: str) -> None:
    """The function of the jobs."""


@guard("rehearsal")
def rehearse(agent: Agent, known: Known, connection: Any) -> None:
    """Writes no record, and sends nothing through `connection`, the worker's connection to Redis."""
    twin: Any = copy.copy(agent)
    twin.spool = Nowhere()
    running = Running(twin, RunningJobs(), known)
    for _ in range(TIMES):
        job = _begin(running, connection)
        job._result = "text"
        running.after_success(None, None, None, job)
    job = _begin(running, connection)
    try:
        raise ValueError("text")
    except ValueError:
        running.before_failure(None, job)


def _begin(running: Running, connection: Any) -> Job:
    job = Job.create(succeed, args=("text",), connection=connection, origin="rehearsal")
    running.before_perform(None, job)
    running.after_perform(None)
    return job


@guard("rehearsal")
def rehearse_sealing() -> None:
    """Imports what a horse needs to report arguments that contain a secret. 7 MB, so not before a horse has to."""
    import cryptography.hazmat.primitives.ciphers.aead  # noqa: F401
