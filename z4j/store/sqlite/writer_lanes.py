# SPDX-License-Identifier: AGPL-3.0-or-later
"""Decides whose turn it is at the writer: one lane for each app and one for the server, each with its own queue.

The lane that used the writer least lately goes first, one step at a time, so that an app that floods waits behind itself and not before
the others. A job may have several steps: between two of them others get their turn, and what is done is committed.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any, Final

from z4j.text import Json

SERVER: Final = 0
"""The lane of pages, commands and the server's own duties."""
HALF_LIFE_S: Final = 1.0
RECENT_S: Final = 10.0
"""An app that used the writer within this time is taken for one that will soon do so again."""
HEAVY_S: Final = 0.05
"""Of the writer's time in about a second: a lane above it is heavy, and the commit of a light one does not wait for it."""
REST: Final = 4.0
"""A heavy app beside another one rests this many times as long as it worked: what the other brings meanwhile finds the writer idle."""

LONGEST_REST_S: Final = 0.5
"""A disk that stood still for seconds is no work of the app whose turn it was."""


class Job:
    """Steps that run in order, and where their results go. `is_over`: failed, so that what is left of it is not run."""

    __slots__ = ("durable", "future", "is_guarded", "is_over", "lane", "next", "number", "results", "steps")

    def __init__(self, steps: Sequence[Callable[[Any], Any]], durable: bool, lane: int, *, is_guarded: bool = True) -> None:
        self.steps = steps
        self.is_guarded = is_guarded
        """Whether each step has a savepoint. Without one, a step that fails takes the group along, and all are repeated with one."""
        self.durable = durable
        self.lane = lane
        self.next = 0
        self.number = 0
        self.is_over = False
        self.results: list[Json] = []
        self.future: Future[list[Json]] = Future()

    def fail(self, error: BaseException) -> None:
        """Ends the job with an error."""
        if not self.is_over:
            self.is_over = True
            self.future.set_exception(error)


class WriterLanes:
    """The queue in front of the writer. `put` from any thread, the rest from the writer's."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lanes: dict[int, deque[Job]] = {}
        self._used: dict[int, tuple[float, float]] = {}
        self._rests: dict[int, float] = {}
        """Until when."""
        self._worked: dict[int, float] = {}
        """Seconds in the commit that is being made."""
        self._ready = threading.Condition()
        self._count = 0
        self._durable = 0
        self._is_closed = False

    def put(self, job: Job) -> None:
        """Adds a job to its lane."""
        with self._ready:
            self._count += 1
            job.number = self._count
            self._durable += job.durable
            self._lanes.setdefault(job.lane, deque()).append(job)
            self._ready.notify()

    def close(self) -> None:
        """Accepts no more jobs: `take` returns the remaining ones, then None."""
        with self._ready:
            self._is_closed = True
            self._ready.notify()

    def take(self, *, waits: bool) -> Job | None:
        """Takes the next job out of its lane. Returns None if there is none; with `waits`, only after `close`."""
        with self._ready:
            while not (lanes := self._awake(now := self._clock())):
                if not waits or (self._is_closed and not self._lanes):
                    return None
                self._ready.wait(min((self._rests[lane] for lane in self._lanes), default=now + 60) - now)
            lane = min(lanes, key=lambda lane: (self._usage(lane, now), self._lanes[lane][0].number))
            job = self._lanes[lane].popleft()
            self._durable -= job.durable
            if not self._lanes[lane]:
                del self._lanes[lane]
            return job

    def put_back(self, job: Job) -> None:
        """Puts a job back as the first of its lane: it has steps left, or cannot be part of this commit."""
        with self._ready:
            self._durable += job.durable
            self._lanes.setdefault(job.lane, deque()).appendleft(job)

    def charge(self, lane: int, seconds: float) -> None:
        """This lane used the writer."""
        now = self._clock()
        self._used[lane] = (self._usage(lane, now) + seconds, now)
        self._worked[lane] = self._worked.get(lane, 0.0) + seconds

    def rest(self) -> None:
        """Ends a commit: apps with much work in it get their next turn later if other apps wait."""
        now = self._clock()
        for lane, seconds in self._worked.items():
            if lane != SERVER and self.is_contended(lane):
                self._rests[lane] = now + min(seconds * REST, LONGEST_REST_S)
        self._worked.clear()

    def is_heavy(self, lane: int) -> bool:
        """Whether this lane used much of the writer lately."""
        return self._usage(lane, self._clock()) > HEAVY_S

    def is_contended(self, lane: int) -> bool:
        """Whether this app used much of the writer lately, and another app used it at all. From any thread."""
        now = self._clock()
        others = [at for other, (_, at) in tuple(self._used.items()) if other not in (lane, SERVER)]
        return self.is_heavy(lane) and any(now - at < RECENT_S for at in others)

    @property
    def has_durable(self) -> bool:
        """Whether one that waits has to survive a loss of power."""
        return self._durable > 0

    @property
    def waiting(self) -> int:
        """How many jobs wait. From any thread."""
        with self._ready:
            return sum(map(len, self._lanes.values()))

    def _awake(self, now: float) -> list[int]:
        """The lanes that have something and do not rest."""
        return [lane for lane in self._lanes if self._is_closed or self._rests.get(lane, 0.0) <= now]

    def _usage(self, lane: int, now: float) -> float:
        seconds, at = self._used.get(lane, (0.0, now))
        return float(seconds * 0.5 ** ((now - at) / HALF_LIFE_S))
