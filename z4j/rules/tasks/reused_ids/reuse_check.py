# SPDX-License-Identifier: AGPL-3.0-or-later
"""Detects whether a task id may have been used again.

Almost every id is used once: then its row is joined with its new events, and nothing else is kept. `is_one_execution` detects without any
look-up when that may not be so. Then `row_events.events_of` takes the row apart, so that `executions.split` can decide about all of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final

from z4j.rules.tasks.fold import (
    ENDS,
    MAX_ATTEMPT,
    NEVER,
    QUEUED,
    RETRYING,
    RUNNING,
    SUCCEEDED,
    Event,
    Summary,
    attempt_of,
    is_end,
    state_of,
)
from z4j.rules.tasks.reused_ids.split_executions import SENDER, SKEW_US

LATE_US: Final = 10_000_000
"""Agents ship their records within a second or two. What is later than this behind other news of its id may be of an earlier execution."""
BEGINNING: Final = frozenset({"enqueued", "payload", "received", "started"})
"""Kinds of events of a first attempt before it ends."""
IN_ORDER: Final = {"enqueued": 0, "payload": 1, "received": 2, "started": 3, "succeeded": 4, "failed": 4}
"""The course of an ordinary task."""
FIRST_FACTS: Final = 1 << 46
"""Keys of facts of the first attempt are below, see fold.py."""


def is_ordinary(summary: Summary | None, events: Sequence[Event]) -> bool:
    """Whether these are the first events of one attempt, or continue an ID that has only been enqueued, step by step within a few seconds;
    or the end of the run that is known.

    True implies `is_one_execution`; it is what almost every task of a busy stream is, and costs a fraction of it.
    """
    step, at, since = -1, 0, events[0][2]
    if summary is not None:
        key, at, since = summary.state[0], summary.last_at, summary.enqueued_at
        if key >= FIRST_FACTS or summary.first_at != since:
            return False
        if summary.start:
            return key & 15 == RUNNING and len(events) == 1 and _ends(summary, events[0])
        if summary.received or key & 15 > QUEUED:
            return False
        step = 1
    received = started = -1
    for event in events:
        kind, attempt, moment = event[0], event[1], event[2]
        place = IN_ORDER.get(kind, -1)
        if attempt or place <= step or moment < at or moment > since + SKEW_US:
            return False
        step, at = place, moment
        if place == 2:
            received = moment
        elif place == 3:
            started = moment
        elif place == 4 and not (_is_at(event[9], received, since, moment) and _is_at(event[10], started, since, moment)):
            return False
    return True


def _ends(summary: Summary, event: Event) -> bool:
    got = event[9]
    return (
        IN_ORDER.get(event[0]) == 4
        and not event[1]
        and event[2] >= summary.last_at
        and summary.start == (0, -event[10])
        and (got < 0 or summary.received == (0, -got) or (not summary.received and 0 <= event[10] - got <= SKEW_US))
    )


def _is_at(reported: int, known: int, since: int, end: int) -> bool:
    return reported < 0 or reported == known or (known < 0 and since <= reported <= end)


def is_one_execution(
    summary: Summary | None, events: Iterable[Event], same_clock: Callable[[str, str], bool], starts: Callable[[], Iterable[int]]
) -> bool:
    """Whether all of this can only be one execution. True says so for certain; False says that `executions.split` has to be asked.

    `starts` looks up when the known runs of the first attempt started; it is asked only where a later attempt hides that in the row.
    """
    seen = _Seen(summary)
    return all(seen.fits(event, starts) for event in events) and seen.is_whole(same_clock)


class _Seen:
    """Moments of the first attempt, each of which one execution has once. -1: unknown."""

    __slots__ = (
        "allowed",
        "args",
        "echoes",
        "end",
        "enqueued",
        "first",
        "is_hidden",
        "last",
        "newest",
        "payload_first",
        "payload_last",
        "received",
        "retried",
        "runner",
        "sender",
        "start",
        "won",
    )  # fmt: skip

    def __init__(self, summary: Summary | None) -> None:
        self.enqueued = self.received = self.start = self.end = self.retried = -1
        self.first = self.last = self.payload_first = self.payload_last = -1
        self.allowed = 0
        """The newest attempt that is known to follow: the one before it was retried, or it was seen itself."""
        self.newest = (-1, -1)
        """Attempt and start of the newest run."""
        self.won = (MAX_ATTEMPT + 1, -1)
        """Attempt and end of the earliest success."""
        self.args = (-1, "")
        self.echoes: list[tuple[int, int, bool]] = []
        """When a worker reported the arguments: between two moments, and whether that was long after everything that was known."""
        self.sender = self.runner = ""
        self.is_hidden = False
        """Whether a later attempt hides when the first one started."""
        if summary is not None:
            self._read(summary)

    def _read(self, summary: Summary) -> None:
        self.first, self.last = summary.first_at, summary.last_at
        if summary.args:
            self.args = (summary.args[0] >> 8, summary.args[1])
            # They were reported at one moment of these.
            if summary.args[0] & 255 >= SENDER:
                self.payload_last, self.payload_first = summary.first_at, summary.last_at
            elif not self.args[0]:
                self.echoes.append((summary.first_at, summary.last_at, False))
        if summary.enqueued_at != NEVER:
            self.enqueued = summary.enqueued_at
        if summary.received:
            if summary.received[0]:
                self.retried = -summary.received[1]
            else:
                self.received = -summary.received[1]
        if summary.start:
            self.newest = (summary.start[0], -summary.start[1])
            if self.newest[0]:
                self.is_hidden, self.retried = True, max(self.retried, self.newest[1])
            else:
                self.start = self.newest[1]
        key, minus_at, self.runner, *_ = summary.state
        self.allowed = attempt_of(key) + (state_of(key) == RETRYING)
        if is_end(key):
            if attempt_of(key) > self.newest[0]:
                self.newest = (attempt_of(key), -minus_at)
            if state_of(key) == SUCCEEDED:
                self.won = (attempt_of(key), -minus_at)
            if not attempt_of(key):
                self.end = -minus_at

    def fits(self, event: Event, starts: Callable[[], Iterable[int]]) -> bool:
        """Whether this can be of the same execution as all before; takes it in."""
        kind, attempt, at = event[0], event[1], event[2]
        if at < self.last - LATE_US and not (kind in BEGINNING and not attempt and self._is_near(at)):
            return False
        if kind == "payload":
            is_far = 0 <= self.last < at - LATE_US
            if event[18] < SENDER and not attempt:
                self.echoes.append((at, at, is_far))
            elif is_far:
                return False
        if attempt > self.allowed and 0 <= self.last < at - LATE_US:
            return False  # nothing says that what came before has been retried, and it would hide that
        self.allowed = max(self.allowed, attempt + (kind == "retried"))
        self.last = max(self.last, at)
        began = at if kind == "started" else event[10]
        if began >= 0:
            self.newest = max(self.newest, (attempt, began))
        elif kind in ENDS and attempt > self.newest[0]:
            self.newest = (attempt, at)  # `executions` takes an end without a start for the start, too
        if kind == "succeeded":
            self.won = min(self.won, (attempt, at))
        if not attempt and 0 <= self.retried < at and kind in BEGINNING:
            return False
        if event[19] and not self._fits_args(event):
            return False
        if attempt:
            return True
        return self._fits_first(event, began, starts)

    def _is_near(self, at: int) -> bool:
        """Whether a beginning that arrives late is that of the run which is known: within seconds of its receipt or start."""
        return any(0 <= known <= at + SKEW_US and at <= known + SKEW_US for known in (self.enqueued, self.received, self.start))

    def _fits_args(self, event: Event) -> bool:
        attempt, at = event[1], event[2]
        if self.args[1] and self.args[0] == attempt and self.args[1] != event[19]:
            return False
        self.args = (attempt, event[19])
        if not attempt and event[18] >= SENDER:
            if 0 <= self.first < at - LATE_US:
                return False
            self.payload_last = max(self.payload_last, at)
            self.payload_first = at if self.payload_first < 0 else min(self.payload_first, at)
        return True

    def _fits_first(self, event: Event, began: int, starts: Callable[[], Iterable[int]]) -> bool:
        kind, at, got = event[0], event[2], event[9]
        if kind == "enqueued":
            if self.enqueued >= 0 and self.enqueued != at:
                return False
            self.enqueued, self.sender = at, event[3]
        elif kind == "received":
            got = at
        if got >= 0:
            if self.received >= 0 and self.received != got:
                return False
            self.received = got
        if began >= 0:
            if self.is_hidden and (began > self.newest[1] or any(began != known for known in starts())):
                return False
            if self.start >= 0 and self.start != began:
                return False
            self.start, self.runner = began, event[3]
        elif kind in ENDS:
            if self.end >= 0 and self.end != at:
                return False
            self.end, self.runner = at, event[3]
        return not (kind == "lost" and self.start < 0 <= self.end and not self.is_hidden)

    def is_whole(self, same_clock: Callable[[str, str], bool]) -> bool:
        """Whether the moments are in the order of one execution."""
        first = self.start if self.start >= 0 else self.end
        if first >= 0 and self.enqueued > first and (self.enqueued > first + SKEW_US or same_clock(self.sender, self.runner)):
            return False
        if 0 <= self.end < max(self.start, self.received) or 0 <= self.start < self.received - SKEW_US:
            return False
        known = [at for at in (self.enqueued, self.received, self.start) if at >= 0]
        if not all(self._is_echo(*echo, min(known, default=echo[1])) for echo in self.echoes):
            return False
        if self.payload_last >= 0 and not self.args[0]:
            if known and self.payload_last > min(known) + LATE_US:
                return False
            if self.enqueued >= 0 and (self.payload_last > self.enqueued + SKEW_US or self.enqueued > self.payload_first + SKEW_US):
                return False
        # The row of an attempt that succeeded beside a later one (a message that was delivered twice and retried once) tells when the
        # later one began, so a row alone could not tell the next repetition of either from another execution.
        return self.newest[0] <= self.won[0]

    def _is_echo(self, first: int, last: int, is_far: bool, known: int) -> bool:
        """Whether a worker reported arguments when it received its task, or if unknown, at its start or close to the first thing
        `known` of it. A worker reports them at once, however long the task has waited before."""
        at = self.received if self.received >= 0 else self.start
        if at >= 0 and first <= at + SKEW_US and at <= last + SKEW_US:
            return True
        return self.received < 0 and not is_far and first <= known + SKEW_US
