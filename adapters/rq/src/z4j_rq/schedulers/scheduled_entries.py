# SPDX-License-Identifier: Apache-2.0
"""rq-scheduler's entries in Redis: read, put and taken out, without coming between a pass of the scheduler's.

A pass takes `scheduler_lock_key`, reads each job that is due, enqueues it and writes it whole, so that a change in between would be
written over. So every change watches that lock and the job, and is done in one transaction while nobody holds it.
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
from z4j_rq.job_hooks.marks import MARK, write_asked
from z4j_rq.messages import name_of
from z4j_rq.schedulers.dialects import Crontab, handed

SECOND: Final = 1_000_000
PATIENCE_S: Final = 2.0
AT_ONCE: Final = 200
OWN: Final = ("interval", "cron_string", "use_local_timezone", "repeat")
"""What rq-scheduler keeps in a job's meta."""
NONE_SUCH: Final = "there is no such schedule here"


@dataclass(slots=True)
class ScheduledEntry:
    """An entry. `due_at` is microseconds UTC; of one that is off, when it was due."""

    job: Job
    due_at: int
    is_enabled: bool


class Times:
    """What an operator wants of an entry's times, checked. Raises Refused."""

    def __init__(self, spec: ScheduleSpec, given: Any) -> None:
        self._kind: Kind = spec.kind
        self._given = given
        """Of a one-off microseconds, of an interval seconds, of cron the library's text."""

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
        """When it is first due: an interval begins now."""
        if self._kind == "cron":
            return next_match(self._given, is_local=True)
        return int(self._given) if self._kind == "once" else now() + int(self._given) * SECOND

    def due_after_change(self, entry: ScheduledEntry) -> int:
        """What keeps its expression keeps its time."""
        meta = meta_of(entry.job)
        has_same_timing = kind_of(meta) == self._kind and self._given in (meta.get("interval"), meta.get("cron_string"))
        return entry.due_at if has_same_timing and entry.due_at > now() else self.first()

    def write(self, job: Job) -> None:
        """Into the job's meta, as rq-scheduler reads it."""
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
    """The scheduler's own next time. Raises Refused where there is none."""
    from rq_scheduler.utils import get_next_scheduled_time

    try:
        return int(get_next_scheduled_time(text, use_local_timezone=is_local).timestamp()) * SECOND
    except Exception as error:
        let_through(error)
        raise Refused("no day has both this number and this weekday; rq-scheduler needs both") from error


# -- what an entry says ------------------------------------------------------------------------------------------------
def meta_of(job: Job) -> dict[str, Any]:
    return job.meta if isinstance(job.meta, dict) else {}


def kind_of(meta: dict[str, Any]) -> Kind:
    """In the order in which the scheduler asks (rq_scheduler/scheduler.py, enqueue_job)."""
    return "interval" if meta.get("interval") else "cron" if meta.get("cron_string") else "once"


def is_call(job: Job) -> bool:
    """Whether RQ itself described the job, with its arguments in clear."""
    text = str(job.description or "")
    return not text or text.startswith(f"{name_of(job)}(")


def title_of(job: Job, task_name: str) -> str:
    """What the application calls it: its description, its id, or, where RQ made up both, its task."""
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
    """A score of the sorted set, seconds, as microseconds."""
    return None if score is None else int(float(score) * SECOND)


def text_of_moment(at: int) -> str:
    return datetime.fromtimestamp(at / SECOND, UTC).isoformat()


# -- reading -----------------------------------------------------------------------------------------------------------
def off_key(made: Any) -> str:
    """A hash of ours: job id → the score it had."""
    return f"z4j:{made.scheduled_jobs_key}:off"


def read_all(made: Any) -> list[ScheduledEntry]:
    """Those that are due first, and all that are off. `Scheduler.get_jobs` is not asked: it deletes what it cannot find."""
    connection, key = made.connection, off_key(made)
    due = {_text(id): moment(score) or 0 for id, score in connection.zrange(made.scheduled_jobs_key, 0, MAX_SCHEDULES, withscores=True)}
    off = {_text(id): moment(score) or 0 for id, score in connection.hgetall(key).items()}
    entries = [ScheduledEntry(job, due[id], is_enabled=True) for id, job in _fetch(made, list(due)) if job is not None]
    for id, job in _fetch(made, list(off)):
        if job is None or connection.zscore(made.scheduled_jobs_key, id) is not None:
            connection.hdel(key, id)  # the application has made it again, or forgotten it
        else:
            connection.persist(job.key)  # a run of it that has ended since may have set a time to live
            entries.append(ScheduledEntry(job, off[id], is_enabled=False))
    return entries


def _fetch(made: Any, ids: list[str]) -> list[tuple[str, Job | None]]:
    jobs: list[tuple[str, Job | None]] = []
    for start in range(0, len(ids), AT_ONCE):
        some = ids[start : start + AT_ONCE]
        jobs += zip(some, made.job_class.fetch_many(some, connection=made.connection), strict=True)
    return jobs


def find(made: Any, key: str) -> ScheduledEntry:
    """Raises Refused where it is no entry."""
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
    """A worker writes the job as it was when it began at its end, and would write over a change. Raises Refused."""
    if job.get_status(refresh=False) == JobStatus.STARTED:
        raise Refused("its task runs at this moment, and RQ would undo the change at its end; try again then")


# -- changing ----------------------------------------------------------------------------------------------------------
def exchange(made: Any, key: str, change: Callable[[Any, ScheduledEntry], None]) -> None:
    """Has `change` put its writes into a pipeline, which is carried out between two passes of the scheduler. Raises Refused."""
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
                continue  # a pass has begun, or a worker has written the job: what was read is old
    raise Refused("the scheduler is in the middle of a pass, or was killed in one; try again in a minute")


def put(pipe: Any, made: Any, job: Job, due_at: int, *, is_enabled: bool, is_other_work: bool) -> None:
    """Writes the job and its place. `is_other_work` says that what it runs was chosen by an operator."""
    if not job.meta:
        pipe.hdel(job.key, "meta")  # `save` leaves an empty one as it was
    job.save(pipeline=pipe)
    if is_other_work:
        write_asked(pipe, job)
    put_entry(pipe, made, job, due_at, is_enabled=is_enabled)


def put_entry(pipe: Any, made: Any, job: Job, due_at: int, *, is_enabled: bool) -> None:
    """Into the sorted set, or out of it, with its score kept."""
    score = due_at // SECOND
    if is_enabled:
        pipe.zadd(made.scheduled_jobs_key, {job.id: score})
        pipe.hdel(off_key(made), job.id)
    else:
        pipe.zrem(made.scheduled_jobs_key, job.id)
        pipe.hset(off_key(made), job.id, score)
    pipe.persist(job.key)


def drop(pipe: Any, made: Any, entry: ScheduledEntry) -> None:
    """As `Scheduler.cancel`; of a job that never was in a queue the hash goes too."""
    pipe.zrem(made.scheduled_jobs_key, entry.job.id)
    pipe.hdel(off_key(made), entry.job.id)
    if entry.job.enqueued_at is None:
        pipe.delete(entry.job.key)


def copy_of(job: Job) -> Job:
    """The same call as an ordinary job, not written yet."""
    job.id = str(uuid4())
    job.meta = {key: value for key, value in meta_of(job).items() if key not in (*OWN, MARK)}
    job.created_at = datetime.now(UTC)
    job.enqueued_at = job.started_at = job.ended_at = job.last_heartbeat = None
    job._status = getattr(JobStatus, "CREATED", None)  # RQ before 2.5 has no word for it
    if job.result_ttl == -1:
        job.result_ttl = None  # which was meant for the entry
    return job


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
