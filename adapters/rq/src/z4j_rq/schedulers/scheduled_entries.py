# SPDX-License-Identifier: Apache-2.0
"""rq-scheduler's entries in Redis: reads, writes and removes them without interfering with a pass of the scheduler.

A pass takes `scheduler_lock_key`, reads each job that is due, enqueues it and writes it whole, so a change in between would be
overwritten. So every change watches that lock and the job, and is one transaction while the lock is free.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID, uuid4

from redis import WatchError
from rq.exceptions import NoSuchJobError
from rq.job import Job, JobStatus

from z4j_agent.capture.guard import let_through
from z4j_agent.capture.hooks import now
from z4j_agent.commands.schedule_sync import MAX_SCHEDULES
from z4j_agent.contract.adapter import Refused
from z4j_agent.contract.scheduler import Kind, ScheduleSpec, read_cron, read_time, read_whole_interval
from z4j_agent.runtime.native_threads import ticks
from z4j_agent.wire.redaction import redact_text
from z4j_rq.job_hooks.job_marks import MARK, write_asked
from z4j_rq.messages import name_of
from z4j_rq.schedulers.dialects import Crontab, handed

SECOND: Final = 1_000_000
PATIENCE_S: Final = 2.0
AT_ONCE: Final = 200
OWN: Final = ("interval", "cron_string", "use_local_timezone", "repeat")
"""Keys of rq-scheduler in a job's meta."""
NONE_SUCH: Final = "the scheduler no longer has this schedule. No changes were made."


@dataclass(slots=True)
class ScheduledEntry:
    """An entry. `due_at` is in microseconds UTC; for a disabled one, when it was due."""

    job: Job
    due_at: int
    is_enabled: bool


class Times:
    """The requested times of an entry, checked. Raises Refused."""

    def __init__(self, spec: ScheduleSpec, given: Any) -> None:
        self._kind: Kind = spec.kind
        self._given = given
        """For a one-off microseconds UTC, for an interval seconds, for cron the library's text."""

    @classmethod
    def of(cls, spec: ScheduleSpec) -> Times:
        if spec.kind == "interval":
            return cls(spec, read_whole_interval(spec.expression, "RQ's"))
        if spec.kind == "cron":
            given = handed(Crontab, read_cron(spec.expression))
            next_match(given, is_local=True)
            return cls(spec, given)
        at = int(read_time(spec.expression).timestamp() * 1_000_000)
        if at < now():
            raise Refused("that time has passed")
        return cls(spec, at)

    def first(self) -> int:
        """When it is first due; an interval starts now."""
        if self._kind == "cron":
            return next_match(self._given, is_local=True)
        return int(self._given) if self._kind == "once" else now() + int(self._given) * SECOND

    def due_after_change(self, entry: ScheduledEntry) -> int:
        """When it is due after a change: an unchanged expression keeps its time."""
        meta = meta_of(entry.job)
        has_same_timing = kind_of(meta) == self._kind and self._given in (meta.get("interval"), meta.get("cron_string"))
        return entry.due_at if has_same_timing and entry.due_at > now() else self.first()

    def write(self, job: Job) -> None:
        """Writes the rule to the job's meta, in rq-scheduler's form."""
        meta = meta_of(job)
        stays = ("repeat", "use_local_timezone") if kind_of(meta) == self._kind else ()
        job.meta = {key: value for key, value in meta.items() if key not in OWN or key in stays}
        if self._kind == "interval":
            job.meta["interval"] = self._given
        elif self._kind == "cron":
            job.meta["cron_string"] = self._given
            job.meta.setdefault("use_local_timezone", True)
        if self._kind != "once" and (job.result_ttl is None or kind_of(meta) != self._kind):
            job.result_ttl = -1  # as `cron` and `schedule` do: with the hash, the entry would be gone


def next_match(text: str, *, is_local: bool) -> int:
    """Returns the next time as the scheduler computes it. Raises Refused if there is none."""
    from rq_scheduler.utils import get_next_scheduled_time

    try:
        return int(get_next_scheduled_time(text, use_local_timezone=is_local).timestamp()) * SECOND
    except Exception as error:
        let_through(error)
        raise Refused("no day has both this number and this weekday; rq-scheduler requires both. No changes were made.") from error


# -- reading an entry -------------------------------------------------------------------------------------------------
def meta_of(job: Job) -> dict[str, Any]:
    return job.meta if isinstance(job.meta, dict) else {}


def kind_of(meta: dict[str, Any]) -> Kind:
    """Returns the kind of an entry, checked in the order of the scheduler (rq_scheduler/scheduler.py, enqueue_job)."""
    return "interval" if meta.get("interval") else "cron" if meta.get("cron_string") else "once"


def is_call(job: Job) -> bool:
    """Whether RQ itself made the description, which contains the arguments unmasked."""
    text = str(job.description or "")
    return not text or text.startswith(f"{name_of(job)}(")


def title_of(job: Job, task_name: str) -> str:
    """Returns the name of an entry: its description, its ID, or, if RQ generated both, its task."""
    if not is_call(job):
        return redact_text(str(job.description))[:200]
    return task_name if is_made_up(job.id) and task_name else str(job.id)


def is_made_up(id: str) -> bool:
    try:
        UUID(id)
    except ValueError:
        return id.startswith("z4j-")
    return True


def new_id() -> str:
    return f"z4j-{uuid4().hex[:12]}"


def moment(score: Any) -> int | None:
    """Converts a score of the sorted set, in seconds, to microseconds."""
    return None if score is None else int(float(score) * SECOND)


def text_of_moment(at: int) -> str:
    return datetime.fromtimestamp(at / SECOND, UTC).isoformat()


# -- reading -----------------------------------------------------------------------------------------------------------
def off_key(made: Any) -> str:
    """Key of z4j's hash of disabled entries: job ID → the score that it had."""
    return f"z4j:{made.scheduled_jobs_key}:off"


def read_all(made: Any) -> list[ScheduledEntry]:
    """Reads the entries that are due first, and all disabled ones. `Scheduler.get_jobs` is not used, because it deletes entries without
    a job."""
    connection, key = made.connection, off_key(made)
    due = {_text(id): moment(score) or 0 for id, score in connection.zrange(made.scheduled_jobs_key, 0, MAX_SCHEDULES, withscores=True)}
    off = {_text(id): moment(score) or 0 for id, score in connection.hgetall(key).items()}
    entries = [ScheduledEntry(job, due[id], is_enabled=True) for id, job in _fetch(made, list(due)) if job is not None]
    for id, job in _fetch(made, list(off)):
        if job is None or connection.zscore(made.scheduled_jobs_key, id) is not None:
            connection.hdel(key, id)  # the application has created it again, or deleted it
        else:
            connection.persist(job.key)  # a run that has ended since may have set a time to live
            entries.append(ScheduledEntry(job, off[id], is_enabled=False))
    return entries


def _fetch(made: Any, ids: list[str]) -> list[tuple[str, Job | None]]:
    jobs: list[tuple[str, Job | None]] = []
    for start in range(0, len(ids), AT_ONCE):
        some = ids[start : start + AT_ONCE]
        jobs += zip(some, made.job_class.fetch_many(some, connection=made.connection), strict=True)
    return jobs


def find(made: Any, key: str) -> ScheduledEntry:
    """Returns the entry of a key. Raises Refused if it does not exist."""
    score = made.connection.zscore(made.scheduled_jobs_key, key)
    disabled_jobs = made.connection.hget(off_key(made), key) if score is None else None
    due_at = moment(score if score is not None else disabled_jobs)
    if due_at is None:
        raise Refused(NONE_SUCH)
    try:
        return ScheduledEntry(made.job_class.fetch(key, connection=made.connection), due_at, score is not None)
    except NoSuchJobError:
        raise Refused(NONE_SUCH) from None


def check_idle(job: Job) -> None:
    """Raises Refused while the entry's job is running: at its end the worker writes the job as it was at the start, which would
    overwrite a change."""
    if job.get_status(refresh=False) == JobStatus.STARTED:
        raise Refused("its task is running, and RQ would undo the change at its end; try again after that. No changes were made.")


# -- changing ----------------------------------------------------------------------------------------------------------
def exchange(made: Any, key: str, change: Callable[[Any, ScheduledEntry], None]) -> None:
    """Lets `change` add writes to a pipeline, which is executed between two passes of the scheduler. Raises Refused."""
    ends = ticks() + PATIENCE_S
    while ticks() < ends:
        with made.connection.pipeline() as pipe:
            pipe.watch(made.scheduler_lock_key, made.job_class.key_for(key))
            if pipe.exists(made.scheduler_lock_key):
                time.sleep(0.02)
                continue
            entry = find(made, key)
            pipe.multi()
            change(pipe, entry)
            try:
                pipe.execute()
                return
            except WatchError:
                continue  # a pass has started, or a worker has written the job: the entry that was read is outdated
    raise Refused("the scheduler is in the middle of a pass, or was killed during one; try again in a minute. No changes were made.")


def put(pipe: Any, made: Any, job: Job, due_at: int, *, is_enabled: bool, is_other_work: bool) -> None:
    """Writes the job and its due time. `is_other_work`: an operator has chosen what it runs."""
    if not job.meta:
        pipe.hdel(job.key, "meta")  # `save` does not write an empty one
    job.save(pipeline=pipe)
    if is_other_work:
        write_asked(pipe, job)
    put_entry(pipe, made, job, due_at, is_enabled=is_enabled)


def put_entry(pipe: Any, made: Any, job: Job, due_at: int, *, is_enabled: bool) -> None:
    """Adds the job to the sorted set, or removes it and stores its score."""
    score = due_at // SECOND
    if is_enabled:
        pipe.zadd(made.scheduled_jobs_key, {job.id: score})
        pipe.hdel(off_key(made), job.id)
    else:
        pipe.zrem(made.scheduled_jobs_key, job.id)
        pipe.hset(off_key(made), job.id, score)
    pipe.persist(job.key)


def drop(pipe: Any, made: Any, entry: ScheduledEntry) -> None:
    """Like `Scheduler.cancel`; if the job was never in a queue, its hash is deleted too."""
    pipe.zrem(made.scheduled_jobs_key, entry.job.id)
    pipe.hdel(off_key(made), entry.job.id)
    if entry.job.enqueued_at is None:
        pipe.delete(entry.job.key)


def copy_of(job: Job) -> Job:
    """Returns a new job with the same call, not written yet."""
    job.id = str(uuid4())
    job.meta = {key: value for key, value in meta_of(job).items() if key not in (*OWN, MARK)}
    job.created_at = datetime.now(UTC)
    job.enqueued_at = job.started_at = job.ended_at = job.last_heartbeat = None
    job._status = getattr(JobStatus, "CREATED", None)  # not in RQ before 2.5
    if job.result_ttl == -1:
        job.result_ttl = None  # which was meant for the entry
    return job


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
