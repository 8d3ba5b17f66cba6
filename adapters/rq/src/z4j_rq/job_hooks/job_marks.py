# SPDX-License-Identifier: Apache-2.0
"""Marks, which are stored with a job, and notes about job objects. Neither is visible to the application.

RQ does not count attempts: `retries_left` is meaningless without its first value, and `requeue` leaves no trace. So the number is in a
field of the job's Redis hash, which RQ does not read because it reads fields by name: neither `meta` nor any other attribute of a `Job`
differs from what was enqueued. A field of an earlier enqueue under the same ID has another time of creation and is ignored. Jobs of
older versions of this package carry the mark in their `meta`; it is removed when the job is read.

A note belongs to one job object of this process. It is stored separately from the object, where the application would see it.
"""

from __future__ import annotations

import contextlib
import contextvars
import functools
import json
import threading
import weakref
from collections.abc import Iterator
from typing import Any, Final

from rq.job import Job

from z4j_agent.capture.guard import guard
from z4j_rq.job_hooks.patches import Patches
from z4j_rq.messages import ENDED, function_of, name_of, to_us

MARK: Final = "z4j"
"""The field of the hash, and the key in the `meta` of jobs that an older version sent: {"n": attempt, "after": start of the run before,
"at": when the job was created, "of": the task it repeats, "told": its producer wrote the arguments, "asked": a command sent it,
"app": id of the application's seal key}."""
LONGEST: Final = 2_000
"""Bytes of a mark; a longer one was not written by z4j."""


class Note:
    """Data about one job object. `run` is its `outcomes.Run` if this process runs it, `killed` describes how its horse was killed."""

    __slots__ = ("counted", "is_new", "killed", "mark", "run", "unreadable_meta")

    def __init__(self) -> None:
        self.mark: dict[str, Any] = {}
        self.counted: tuple[Any, ...] | None = None
        """The state in which the attempt was counted last; RQ calls several methods for one enqueue."""
        self.is_new = False
        """Whether this process is about to write the job's arguments."""
        self.run: Any = None
        self.killed = ""
        self.unreadable_meta: bytes | None = None
        """Bytes to write as the meta of a job that is sent again by a process that cannot read them."""


class _Notes:
    """Notes by the object's identity: two objects of one job are equal, but have two notes."""

    def __init__(self) -> None:
        self._notes: dict[int, tuple[weakref.ref[Job], Note]] = {}

    def of(self, job: Job) -> Note:
        key = id(job)
        entry = self._notes.get(key)
        if entry is not None and entry[0]() is job:
            return entry[1]
        note = Note()
        self._notes[key] = weakref.ref(job, functools.partial(self._forget, key)), note
        return note

    def _forget(self, key: int, gone: Any) -> None:
        entry = self._notes.get(key)
        if entry is not None and entry[0] is gone:
            del self._notes[key]


_notes = _Notes()
note_of = _notes.of
_writing = threading.local()
_is_by_command: contextvars.ContextVar[bool] = contextvars.ContextVar("z4j_rq_asked", default=False)


@contextlib.contextmanager
def by_command() -> Iterator[None]:
    """Marks jobs that are enqueued in this context as requested by the server: their names and queues do not count as the application's
    own."""
    token = _is_by_command.set(True)
    try:
        yield
    finally:
        _is_by_command.reset(token)


# -- reading -----------------------------------------------------------------------------------------------------------
def mark_of(job: Job) -> dict[str, Any]:
    """The mark of a job; {} if its producer is not monitored."""
    mark = note_of(job).mark
    return mark if mark.get("at", 0) in (0, to_us(job.created_at)) else {}


def attempt_of(job: Job) -> int:
    """The attempt, from 0. If the producer is not monitored, the number of times it has returned a Retry."""
    count = mark_of(job).get("n", getattr(job, "number_of_retries", 0))
    return count if isinstance(count, int) and count >= 0 else 0


def is_reported(job: Job) -> bool:
    """Whether another process has reported this job's arguments, or is about to."""
    return "told" in mark_of(job)


def is_asked(job: Job) -> bool:
    """Whether a command of the server has sent the job, and not the application."""
    return "asked" in mark_of(job)


# -- writing -----------------------------------------------------------------------------------------------------------
def begin_sending(job: Job, app: str) -> None:
    """Counts the job's attempts and decides which process reports its arguments. RQ's writes of the job until `end_sending` include the
    mark.

    A secret may be passed by position and is only recognised by the parameter's name. If this process has not loaded the function, the
    horse reports the arguments.
    """
    note = note_of(job)
    ran = job.started_at.isoformat() if job.started_at else ""
    mark = dict(mark_of(job)) or {"n": note.run.attempt if note.run is not None else attempt_of(job), "after": ""}
    state = (job._status, job.enqueued_at, ran)
    # `requeue` removes the time of the run, so that alone is not sufficient
    is_sent_again = job._status in ENDED or (job.enqueued_at is not None and not ran)
    if note.counted != state and (is_sent_again or mark.get("after", "") != ran):
        mark |= {"n": int(mark["n"]) + 1, "after": ran}
    note.counted = state
    if "told" not in mark and function_of(name_of(job)) is not None:
        mark["told"] = 1
        note.is_new = True
    mark["at"] = to_us(job.created_at)
    if app:
        mark["app"] = app
    if _is_by_command.get():
        mark["asked"] = 1
    note.mark = mark
    _writing.job = job


def end_sending() -> None:
    """Ends the marking of writes: later writes of jobs are the application's own."""
    _writing.job = None


def forget_attempts(job: Job, **facts: Any) -> None:
    """Resets the attempts of a job. `facts` are stored in its mark under their names, see MARK."""
    note_of(job).mark = {"n": 0, "after": "", "at": to_us(job.created_at), **facts}


def write_asked(pipe: Any, job: Job) -> None:
    """Marks a job outside of RQ's queues as one whose task was chosen by a command."""
    mark = note_of(job).mark = {**mark_of(job), "asked": 1, "at": to_us(job.created_at)}
    pipe.hset(job.key, MARK, json.dumps(mark))


# -- hooks -------------------------------------------------------------------------------------------------------------
def connect(patches: Patches) -> None:
    """Wraps the methods that write and read a job: its mark is a field of its hash in Redis, and not in its `meta`."""
    patches.look(Job, "restore", after=_read)
    patches.around_all(Job, "to_dict", _to_dict)


def _to_dict(to_dict: Any, job: Job, *args: Any, **kwargs: Any) -> Any:
    fields = to_dict(job, *args, **kwargs)
    _add_ours(job, fields)
    return fields


@guard("writing a job")
def _add_ours(job: Job, fields: dict[str, Any]) -> None:
    if getattr(_writing, "job", None) is not job:
        return
    note = note_of(job)
    fields[MARK] = json.dumps(note.mark, separators=(",", ":"))
    if note.unreadable_meta is not None:
        fields["meta"] = note.unreadable_meta


@guard("reading a job")
def _read(job: Job, _seen: Any, _result: Any, raw: Any, *_args: Any, **_kwargs: Any) -> None:
    mark = _decoded(raw.get(MARK.encode()) or raw.get(MARK)) if isinstance(raw, dict) else {}
    old = job.meta.pop(MARK, None) if isinstance(job.meta, dict) and isinstance(job.meta.get(MARK), dict) else {}
    note = note_of(job)
    note.mark = mark
    if not mark_of(job) or _count(old) > _count(mark):  # a process with an older version has enqueued it again
        note.mark = old or mark


def _count(mark: Any) -> int:
    count = mark.get("n") if isinstance(mark, dict) else None
    return count if isinstance(count, int) else -1


def _decoded(raw: Any) -> dict[str, Any]:
    if not isinstance(raw, bytes | str) or len(raw) > LONGEST:
        return {}
    try:
        decoded = json.loads(raw)
    except ValueError:
        return {}
    return decoded if isinstance(decoded, dict) else {}
