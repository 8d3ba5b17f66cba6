# SPDX-License-Identifier: AGPL-3.0-or-later
"""Computes a task from the *set* of its events, in any order, with any repetition.

`delta` turns one event into a `Summary`, `join` merges two. A summary is a point in a semilattice: every field is
joined on its own, by the greater, the smaller, or bitwise or, so `join` is associative, commutative and idempotent, and
a stored row can be joined with news without knowing what it was made of. Tuples are compared as a whole and hold no
None: "" and -1 mean "unknown", and the empty tuple says "nothing yet".

Which event speaks for the state is one number, the first item of `Summary.state`:

* an end:  ``success << 59 | attempt << 47 | 1 << 46 | code``
* a fact:  ``attempt << 47 | at_ms << 4 | code``

So a success of any attempt wins; else the newest attempt; in it the worst-founded end never beats the better founded
one (cancelled < expired < rejected < failed); else the newest fact in time. Known and accepted: while one delivery of
an attempt has failed and a second delivery of it still runs, the task is shown as failed until the second one ends.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

NEVER: Final = 1 << 62
"""Later than any time: the neutral value of a field that keeps the earliest."""
MAX_ATTEMPT: Final = (1 << 12) - 1
"""Later attempts are counted as this one: the key has twelve bits for it."""
MAX_AT: Final = 1000 << 42
"""Times must stay below (the year 2109): the key has 42 bits for milliseconds."""

SCHEDULED, QUEUED, RECEIVED, RUNNING, RETRYING, LOST = 1, 2, 3, 4, 5, 6
CANCELLED, EXPIRED, REJECTED, FAILED, SUCCEEDED = 8, 9, 10, 11, 12

ENDS: Final = {"cancelled": CANCELLED, "expired": EXPIRED, "rejected": REJECTED, "failed": FAILED, "succeeded": SUCCEEDED}
FACTS: Final = {
    "enqueued": QUEUED, "received": RECEIVED, "started": RUNNING, "retried": RETRYING,
    "due": QUEUED, "lost": LOST, "alive": RUNNING,
}  # fmt: skip
"""What each kind says about the state. `payload`, `cancel_asked` and `moved` say nothing: a task known only by them is queued."""

SOURCE: Final = {"enqueued": 3, "received": 2}
"""Whose word on name, queue and environment counts: the producer's, then the receiver's, then anybody's (1)."""
MOVED: Final = 1 << 44
"""Added to the milliseconds of a move: the last move decides the queue, whatever other events contain. A retry that the
application itself sends to a third queue is shown in the one it was moved to."""


Sent = tuple[str, str, str, str, str, str, int, int, str, str]
"""parent_id, root_id, group_id, retry_of, code, route, expires, priority, label, and the ids it depends on, a line each"""
Usage = tuple[int, int, int, int, int]
"""What a run used: microseconds of CPU; whose (0 the process, 1 the thread); the highest memory of the process, and its rise during the
run, in KiB; whether the process executes this run only (1). -1 where not measured."""
_new = tuple.__new__  # makes a NamedTuple at half the price of calling its class


class Event(NamedTuple):
    """One event of one task. Times are microseconds UTC, -1 where unknown; `sent` is () or the facts of `Sent`."""

    kind: str
    attempt: int
    at: int
    run: str = ""
    worker: str = ""
    environment: str = ""
    name: str = ""
    queue: str = ""
    eta: int = -1
    received_at: int = -1
    started_at: int = -1
    runtime_us: int = -1
    reason: str = ""
    error_type: str = ""
    error: str = ""
    result: str = ""
    traceback: str = ""
    sent: Sent | tuple[()] = ()
    rank: int = 0
    args: str = ""
    is_masked: bool = False
    original: int = 0
    """Code of the original's state, see states.ORIGINAL_STATES."""
    flags: int = 0
    usage: Usage | tuple[()] = ()


class Summary(NamedTuple):
    """All that is kept of the events of one task. The first item of a `(rank, …)` tuple decides, the rest breaks ties."""

    state: tuple[int, int, str, str, int, str, str, str, str, Usage | tuple[()]]
    """key, -at, run, worker, runtime_us, reason, error_type, error, result, usage; of equal ends the earliest speaks."""
    first_at: int
    last_at: int
    enqueued_at: int = NEVER
    """Of the first attempt."""
    eta: tuple[int, int] | tuple[()] = ()
    """attempt, at"""
    received: tuple[int, int] | tuple[()] = ()
    """attempt, -at: the earliest of the newest attempt."""
    start: tuple[int, int] | tuple[()] = ()
    """attempt, -at: the earliest of the newest attempt."""
    name: tuple[int, str] | tuple[()] = ()
    queue: tuple[int, str] | tuple[()] = ()
    environment: tuple[int, str] | tuple[()] = ()
    sent: tuple[int, Sent] | tuple[()] = ()
    args: tuple[int, str, bool] | tuple[()] = ()
    original: int = 0
    """`original_key`: which original is kept; the store keeps its bytes under the same key."""
    cancel_asked_at: int = NEVER
    flags: int = 0


NOTHING: Final = Summary((QUEUED, 0, "", "", -1, "", "", "", "", ()), NEVER, -1)
"""The summary of no events: every field neutral, and queued as far as anybody knows."""


class AttemptSummary(NamedTuple):
    """All that is kept of one run (task, attempt, run token) that the task's own row cannot tell."""

    state: tuple[int, int, int, str, str, str, str, str, Usage | tuple[()]]
    """key, -at, runtime_us, worker, reason, error_type, error, traceback, usage"""
    received_at: int
    started_at: int
    eta_at: int
    """When the attempt after this run is due, if the run ended in a retry; -1 otherwise."""
    flags: int


def state_key(kind: str, attempt: int, at: int, eta: int = -1) -> int:
    """Returns the number that decides the state. `attempt` is at most MAX_ATTEMPT, `at` below MAX_AT."""
    code = ENDS.get(kind)
    if code is not None:
        return (code == SUCCEEDED) << 59 | attempt << 47 | 1 << 46 | code
    code = FACTS.get(kind)
    if code is None:
        return QUEUED
    if kind == "enqueued" or (kind == "received" and eta > at):
        if attempt:
            # The republished message of a retry waits, but not as a new task does. `retrying` outranks what follows it, so
            # it is placed a millisecond early: a start within the same one must speak.
            return attempt << 47 | max(at // 1000 - 1, 0) << 4 | RETRYING
        elif eta > at:
            code = SCHEDULED
    return attempt << 47 | at // 1000 << 4 | code


def state_of(key: int) -> int:
    """Returns the state code of a key."""
    return key & 15


def attempt_of(key: int) -> int:
    """Returns the attempt of a key."""
    return key >> 47 & MAX_ATTEMPT


def is_end(key: int) -> bool:
    """Returns True for the key of an end; False for one of a fact (`lost` is a fact: later events overrule it)."""
    return key & 8 == 8


def original_key(event: Event) -> int:
    """Returns the rank of an original: one with data before one without, then the newest attempt, then the best source."""
    return _original_key(event.original, min(event.attempt, MAX_ATTEMPT), event.rank)


def _original_key(state: int, attempt: int, rank: int) -> int:
    return (state >= 3) << 24 | attempt << 12 | min(rank, 255) << 4 | state


def fold(summary: Summary | None, events: Iterable[Event]) -> Summary | None:
    """Joins `summary` with each of `events`; None is the summary of no events.

    This is `join` over `delta` of every event, written as one loop over local names because it runs for every event.
    """
    (
        state, first_at, last_at, enqueued_at, eta, received, start, name, queue, environment, sent, args, original,
        cancel_asked_at, flags,
    ) = NOTHING if summary is None else summary  # fmt: skip
    for event in events:
        (
            kind, attempt, at, run, worker, where, of_name, of_queue, eta_at, received_at, started_at, runtime_us, reason,
            error_type, error, result, _, of_sent, rank, of_args, is_masked, of_original, of_flags, usage,
        ) = event  # fmt: skip
        first_at = min(first_at, at)
        last_at = max(last_at, at)
        if kind == "cancel_asked":
            cancel_asked_at = min(cancel_asked_at, at)
            continue
        if kind == "moved":
            if of_queue:
                queue = max(queue, (MOVED + at // 1000, of_queue))
            continue
        attempt = min(attempt, MAX_ATTEMPT)
        source = SOURCE.get(kind, 1)
        place = attempt << 2 | source
        if of_name and (place, of_name) > name:
            name = (place, of_name)
        if of_queue and (place, of_queue) > queue:
            queue = (place, of_queue)
        if where and (place, where) > environment:
            environment = (place, where)
        if kind == "payload":
            args = max(args, (attempt << 8 | min(rank, 255), of_args, is_masked))
            original = max(original, _original_key(of_original, attempt, rank))
            continue
        key = state_key(kind, attempt, at, eta_at)
        if key >= state[0]:
            # Only events of a worker show where the task is; a message on its way to the broker is nowhere.
            if kind == "enqueued":
                run = worker = ""
            state = max(state, (key, -at, run, worker, runtime_us, reason, error_type, error, result, usage))
        if kind == "enqueued":
            if not attempt and at < enqueued_at:
                enqueued_at = at
        elif kind == "received":
            received_at = at
        elif kind == "started":
            started_at = at
        if received_at >= 0:
            received = max(received, (attempt, -received_at))
        if started_at >= 0:
            start = max(start, (attempt, -started_at))
        if eta_at >= 0:
            eta = max(eta, (attempt + 1 if kind == "retried" else attempt, eta_at))
        if of_sent:
            # The first attempt's producer knows best where a task came from; a retry is published by the worker.
            sent = max(sent, (source << 12 | MAX_ATTEMPT - attempt, of_sent))
        flags |= of_flags
    if last_at < 0:
        return None
    return _new(
        Summary,
        (
            state, first_at, last_at, enqueued_at, eta, received, start, name, queue, environment, sent, args, original,
            cancel_asked_at, flags,
        ),
    )  # fmt: skip


def delta(event: Event) -> Summary:
    """Returns the summary of one event."""
    summary = fold(None, (event,))
    assert summary is not None
    return summary


def join(a: Summary, b: Summary) -> Summary:
    """Joins two summaries."""
    return Summary(
        max(a.state, b.state),
        min(a.first_at, b.first_at),
        max(a.last_at, b.last_at),
        min(a.enqueued_at, b.enqueued_at),
        max(a.eta, b.eta),
        max(a.received, b.received),
        max(a.start, b.start),
        max(a.name, b.name),
        max(a.queue, b.queue),
        max(a.environment, b.environment),
        max(a.sent, b.sent),
        max(a.args, b.args),
        max(a.original, b.original),
        min(a.cancel_asked_at, b.cancel_asked_at),
        a.flags | b.flags,
    )


def attempt_delta(event: Event) -> AttemptSummary | None:
    """Returns the summary of one event about its attempt, or None if the task's own row contains all of it.

    An ordinary task (one attempt, delivered once, succeeded) leaves no attempt: ends contain their own start, so nothing has to be read
    to write the others completely.
    """
    kind = event[0]
    if (kind in PLAIN and not event.attempt and not event.flags & 1) or kind in NO_RUN or not event.run:
        return None
    attempt = min(event.attempt, MAX_ATTEMPT)
    started_at = event.at if kind == "started" else event.started_at
    return AttemptSummary(
        (
            state_key(kind, attempt, event.at),
            -event.at,
            event.runtime_us,
            event.worker,
            event.reason,
            event.error_type,
            event.error,
            event.traceback,
            event.usage,
        ),
        event.received_at if event.received_at >= 0 else NEVER,
        started_at if started_at >= 0 else NEVER,
        event.eta,
        event.flags,
    )


def run_join(a: AttemptSummary, b: AttemptSummary) -> AttemptSummary:
    """Joins two summaries of one attempt."""
    return AttemptSummary(
        max(a.state, b.state),
        min(a.received_at, b.received_at),
        min(a.started_at, b.started_at),
        max(a.eta_at, b.eta_at),
        a.flags | b.flags,
    )


def runs_of(events: Iterable[Event]) -> dict[tuple[int, str], AttemptSummary]:
    """Returns (attempt, process token) → the joined summary of each attempt that leaves one."""
    runs: dict[tuple[int, str], AttemptSummary] = {}
    for event in events:
        news = attempt_delta(event)
        if news is not None:
            run = (min(event.attempt, MAX_ATTEMPT), event.run)
            runs[run] = run_join(runs[run], news) if run in runs else news
    return runs


NO_RUN: Final = frozenset({"enqueued", "received", "payload", "cancel_asked", "moved", "due"})
"""Kinds that belong to the attempt or to the task, never to a run."""
PLAIN: Final = frozenset({"started", "succeeded", "alive"})
"""Kinds whose data is completely in the task's row while there is one attempt, delivered once."""
