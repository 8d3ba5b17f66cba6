# SPDX-License-Identifier: Apache-2.0
"""Dependencies of a deferred job: other jobs, which may have ended in a way that keeps it from ever running."""

from __future__ import annotations

from rq.job import Job, JobStatus

NEVER = frozenset({JobStatus.FAILED, JobStatus.STOPPED, JobStatus.CANCELED})
"""Dependants of a job with one of these outcomes keep waiting; those of a failed one only if they do not allow failures."""
SHOWN = 5
MOST = 20
"""Maximum number of dependencies in a record."""


def names_of(job: Job) -> list[str] | None:
    """Returns the IDs of the jobs that it depends on, None if RQ stored none."""
    return [str(id) for id in job._dependency_ids][:MOST] or None


def why_waiting(job: Job) -> str:
    """A sentence with the reason why a job is deferred, "" for a job that is not deferred. Reads Redis, changes nothing."""
    if job.get_status(refresh=False) != JobStatus.DEFERRED:
        return ""
    ids = [str(id) for id in job._dependency_ids]
    jobs = job.__class__.fetch_many(ids, connection=job.connection, serializer=job.serializer) if ids else []
    blocking = [f"{id}, {_end_of(other)}" for id, other in zip(ids, jobs, strict=True) if _never_lets(job, other)]
    if blocking:
        return f"it waits for {'; '.join(blocking[:SHOWN])}, and will not run unless that is run again"
    return f"it waits for the end of {', '.join(ids[:SHOWN])}"


def _never_lets(job: Job, other: Job | None) -> bool:
    if other is None:
        return True
    status = other.get_status(refresh=False)
    return status in NEVER and not (status == JobStatus.FAILED and getattr(job, "allow_dependency_failures", False))


def _end_of(other: Job | None) -> str:
    return (
        "which no longer exists"
        if other is None
        else f"which has {'been ' if other._status != JobStatus.FAILED else ''}{other._status.value}"
    )
