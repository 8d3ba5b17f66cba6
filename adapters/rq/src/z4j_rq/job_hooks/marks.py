# SPDX-License-Identifier: Apache-2.0
"""What travels with a job and what is remembered of a job object, both out of the application's sight.

RQ keeps no count of attempts: `retries_left` says nothing without the number it began with, and `requeue` tells nothing at all. So the
count travels in a field of the job's Redis hash, which RQ reads by names of its own and therefore never shows: neither `meta` nor any
other attribute of a `Job` differs from what was enqueued. A field of an earlier enqueue under the same id names another time of creation
and counts for nothing. Jobs of older versions of this package carry the mark in their `meta`; it is taken out when the job is read.

A note belongs to one job object of this process. It stands beside the object and not on it, where the application would see it.
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
"""Bytes of a mark; a longer one is not ours."""


class Note:
    """What is known of one job object. `run` is its `ends.Run` where this process runs it, `killed` says how its horse was killed."""

    __slots__ = ("counted", "is_new", "killed", "mark", "run", "unreadable_meta")

    def __init__(self) -> None:
        self.mark: dict[str, Any] = {}
        self.counted: tuple[Any, ...] | None = None
        """The state in which the attempt was counted last; RQ comes to it by several methods for one enqueue."""
        self.is_new = False
        """Whether this process is about to write the job's arguments."""
        self.run: Any = None
        self.killed = ""
        self.unreadable_meta: bytes | None = None
        """Bytes to be written as the job's meta, of a job that is sent again by a process that cannot read them."""


class _Notes:
    """By the object's identity: two objects of one job are equal, and are two all the same."""

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
_asked: contextvars.ContextVar[bool] = contextvars.ContextVar("z4j_rq_asked", default=False)


@contextlib.contextmanager
def by_command() -> Iterator[None]:
    """What is enqueued in here was asked for by the server: its name and queue do not become known to the application by that."""
    token = _asked.set(True)
    try:
        yield
    finally:
        _asked.reset(token)


# -- reading -----------------------------------------------------------------------------------------------------------
def mark_of(job: Job) -> dict[str, Any]:
    """The mark; {} for a job whose producer is not watched."""
    mark = note_of(job).mark
    return mark if mark.get("at", 0) in (0, to_us(job.created_at)) else {}


def attempt_of(job: Job) -> int:
    """From 0. Of a job whose producer is not watched: how often it has returned a Retry."""
    count = mark_of(job).get("n", getattr(job, "number_of_retries", 0))
    return count if isinstance(count, int) and count >= 0 else 0


def is_reported(job: Job) -> bool:
    """Whether another process has written this job's arguments, or has just decided to."""
    return "told" in mark_of(job)


def is_asked(job: Job) -> bool:
    """Whether a command of the server has sent it, and not the application."""
    return "asked" in mark_of(job)


# -- writing -----------------------------------------------------------------------------------------------------------
def begin_sending(job: Job, app: str) -> None:
    """Counts the job's attempts and decides who tells its arguments; what RQ writes of the job until `end_sending` carries the mark.

    A secret may be passed by position; only the signature tells that it is one. What this process has not loaded is left to the horse.
    """
    note = note_of(job)
    ran = job.started_at.isoformat() if job.started_at else ""
    mark = dict(mark_of(job)) or {"n": note.run.attempt if note.run is not None else attempt_of(job), "after": ""}
    state = (job._status, job.enqueued_at, ran)
    # `requeue` forgets when the job ran, so that alone does not tell
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
    if _asked.get():
        mark["asked"] = 1
    note.mark = mark
    _writing.job = job


def end_sending() -> None:
    """What RQ writes of jobs from here on is the application's own doing."""
    _writing.job = None


def forget_attempts(job: Job, **facts: Any) -> None:
    """Makes the job one that was never sent. `facts` are stored in its mark under their names, see MARK."""
    note_of(job).mark = {"n": 0, "after": "", "at": to_us(job.created_at), **facts}


def write_asked(pipe: Any, job: Job) -> None:
    """Beside a job that waits outside of RQ's queues: what it runs is a command's choice."""
    mark = note_of(job).mark = {**mark_of(job), "asked": 1, "at": to_us(job.created_at)}
    pipe.hset(job.key, MARK, json.dumps(mark))


# -- hooks -------------------------------------------------------------------------------------------------------------
def connect(patches: Patches) -> None:
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
    if not mark_of(job) or _count(old) > _count(mark):  # a process with an older version has sent it on
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
