# SPDX-License-Identifier: AGPL-3.0-or-later
"""Brings together what the rules look at. Earlier hours are read once an hour, the last hour at each round."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from z4j.agents.connections import Hub
from z4j.rules.findings.activity import LATEST_MIN, RECENT_MIN, Counts, Hour, NameActivity, QueueActivity, QueueMinute
from z4j.rules.findings.finding import Scope
from z4j.rules.history.ranges import added
from z4j.rules.rollups import DAY_US, HOUR_US, MINUTE_US
from z4j.store.findings import activity
from z4j.store.findings.activity import Steps, Subject
from z4j.store.fleet import agents, paused_queues, queues
from z4j.store.fleet.agents import AgentRow
from z4j.store.sqlite.db import Store

MINUTES: Final = 60
WEEKS: Final = 4
LEAST_WEEKS: Final = 3
"""Of these the same hour is compared with; before there are so many, the last day is."""
AGENT_FRESH_US: Final = 120_000_000


class Earlier(NamedTuple):
    """Some earlier hours, and how they are called."""

    hours: list[Steps]
    words: str

    def has(self, subject: Subject) -> bool:
        """Whether the subject did anything in these hours."""
        return any(subject in hour.counts for hour in self.hours)


class Baseline(NamedTuple):
    """Earlier hours to compare with: the same hour of earlier weeks, and for what did not run then the last day."""

    of: tuple[int, int | None]
    """The hour that they are for, and the first one that was counted then."""
    weeks: Earlier = Earlier([], "")
    day: Earlier = Earlier([], "")

    def of_subject(self, subject: Subject) -> Earlier:
        """Returns the hours that a subject is compared with."""
        return self.weeks if self.weeks.has(subject) else self.day

    @property
    def subjects(self) -> set[Subject]:
        """All that ran in these hours."""
        return {subject for part in (self.weeks, self.day) for hour in part.hours for subject in hour.counts}


class Gatherer:
    """One per server."""

    def __init__(self, store: Store, hub: Hub) -> None:
        self.store, self.hub = store, hub
        self._baseline = Baseline((-1, None))

    async def names(self, at: int) -> list[NameActivity]:
        """Returns every task name that ran in the last hour, or at this hour before."""
        newest = at // MINUTE_US * MINUTE_US
        first = newest - (MINUTES - 1) * MINUTE_US
        steps = await activity.read_minutes(self.store, first, newest + MINUTE_US)
        baseline = await self._earlier(at)
        known = steps.counts.keys() | baseline.subjects
        return [_name(subject, newest, steps, baseline.of_subject(subject)) for subject in known if subject[1]]

    async def _earlier(self, at: int) -> Baseline:
        hour = at // HOUR_US * HOUR_US
        first = await activity.first_hour(self.store)
        if self._baseline.of != (hour, first):
            since = hour if first is None else first
            weeks, day = _same_hours(hour, since), [time for time in range(hour - DAY_US, hour, HOUR_US) if time >= since]
            self._baseline = Baseline(
                (hour, first),
                Earlier([await activity.read_hour(self.store, time) for time in weeks], f"this hour of the last {len(weeks) // 3} weeks"),
                Earlier([await activity.read_hour(self.store, time) for time in day], "the last 24 hours"),
            )
        return self._baseline

    async def queues(self, at: int) -> list[QueueActivity]:
        """Returns every queue that has tasks or that a broker reports."""
        newest = at // MINUTE_US * MINUTE_US
        first = newest - (MINUTES - 1) * MINUTE_US
        steps = await activity.read_queues(self.store, first, newest + MINUTE_US)
        same = self.hub.same_brokers()
        held = await paused_queues.list_paused(self.store, same)
        concurrency = _concurrency(await agents.list_agents(self.store, since=at - AGENT_FRESH_US))
        found: list[QueueActivity] = []
        for row in await queues.list_queues(self.store, same=same):
            subject = (Scope(row.app, row.environment, row.engine), row.name)
            minutes = steps.minutes.get(subject, {})
            found.append(
                QueueActivity(
                    scope=subject[0], name=row.name, at=newest, depth=row.depth,
                    oldest_us=None if row.oldest_at is None else max(at - row.oldest_at, 0), consumers=row.consumers, delayed=row.delayed,
                    dead=row.dead, queued=steps.queued.get(subject, 0), running=row.running, concurrency=concurrency.get(subject, 0),
                    is_paused=paused_queues.find_pause(held, row) is not None,
                    reported_us=None if row.seen_at is None else max(at - row.seen_at, 0),
                    minutes=tuple(minutes.get(time, QueueMinute()) for time in range(first, newest + 1, MINUTE_US)),
                    names=steps.names.get(subject, {}),
                )
            )  # fmt: skip
        return found


def _name(subject: Subject, newest: int, steps: Steps, earlier: Earlier) -> NameActivity:
    scope, name = subject
    times = range(newest - (MINUTES - 1) * MINUTE_US, newest + 1, MINUTE_US)
    counts, ran = steps.counts.get(subject, {}), steps.ran.get(subject, {})
    return NameActivity(
        scope=scope, name=name, at=newest, minutes=tuple(counts.get(time, Counts()) for time in times),
        ran=added(ran.get(time, {}) for time in times[-RECENT_MIN:]),
        latest_ran=added(ran.get(time, {}) for time in times[-LATEST_MIN:]),
        usual=tuple(_hour(hour, subject) for hour in earlier.hours), usual_of=earlier.words,
    )  # fmt: skip


def _hour(hour: Steps, subject: Subject) -> Hour:
    counts = Counts()
    for each in hour.counts.get(subject, {}).values():
        counts += each
    return Hour(counts, added(hour.ran.get(subject, {}).values()))


def _same_hours(hour: int, first: int) -> list[int]:
    """The same hour of each of the last weeks and its neighbours; none before there are enough weeks."""
    weeks = [number for number in range(1, WEEKS + 1) if hour - number * 7 * DAY_US - HOUR_US >= first]
    return [hour - number * 7 * DAY_US + side * HOUR_US for number in weeks for side in (-1, 0, 1)] if len(weeks) >= LEAST_WEEKS else []


def _concurrency(connected: Iterable[AgentRow]) -> dict[Subject, int]:
    """How many tasks the connected workers of each queue can run at a time."""
    found: dict[Subject, int] = {}
    for agent, engine in _working(connected):
        for name in agent.queues:
            subject = (Scope(agent.app, agent.environment, engine), name)
            found[subject] = found.get(subject, 0) + (agent.concurrency or 0)
    return found


def _working(connected: Iterable[AgentRow]) -> Iterator[tuple[AgentRow, str]]:
    for agent in connected:
        if agent.left_at is None and agent.role == "worker":
            for engine in agent.engines:
                yield agent, engine
