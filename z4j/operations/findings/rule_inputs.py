# SPDX-License-Identifier: AGPL-3.0-or-later
"""Gathers the input of the rules. Earlier hours are read once an hour, the last hour at each evaluation."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from z4j.agents.connections import Hub
from z4j.rules.findings.activity import (
    LATEST_MIN,
    RECENT_MIN,
    Counts,
    Hour,
    NameActivity,
    QueueActivity,
    QueueMinute,
    taken_ahead,
    together,
)
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
"""Number of weeks whose same hour is compared with; until that many exist, the last day is used."""
AGENT_FRESH_US: Final = 120_000_000


class Earlier:
    """Some earlier hours with their description. The counts of a subject are added up once."""

    def __init__(self, hours: list[Steps], words: str) -> None:
        self.hours, self.words = hours, words
        self.subjects = {subject for hour in hours for subject in hour.counts}
        self._of_subject: dict[Subject, tuple[Hour, ...]] = {}

    def of_subject(self, subject: Subject) -> tuple[Hour, ...]:
        """Returns the hours of a subject, also those without tasks."""
        if subject not in self._of_subject:
            self._of_subject[subject] = tuple(_hour(hour, subject) for hour in self.hours)
        return self._of_subject[subject]


class Baseline(NamedTuple):
    """Earlier hours to compare with: the same hour of earlier weeks, and the last day for names that did not run then."""

    of: tuple[int, int | None]
    """The hour that they belong to, and the first counted hour."""
    weeks: Earlier = Earlier([], "")
    day: Earlier = Earlier([], "")

    def of_subject(self, subject: Subject) -> Earlier:
        """Returns the hours that a subject is compared with."""
        return self.weeks if subject in self.weeks.subjects else self.day

    @property
    def subjects(self) -> set[Subject]:
        """All subjects that ran in these hours."""
        return self.weeks.subjects | self.day.subjects


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
        workers = _workers(await agents.list_agents(self.store, since=at - AGENT_FRESH_US))
        found: dict[Subject, QueueActivity] = {}
        for row in await queues.list_queues(self.store, same=same):
            subject = (Scope(row.app, row.environment, row.engine), row.name)
            minutes, of_queue = steps.minutes.get(subject, {}), workers.get(subject, Workers())
            of_broker = QueueActivity(
                scope=subject[0], name=row.name, at=newest, depth=row.depth,
                oldest_us=None if row.oldest_at is None else max(at - row.oldest_at, 0), consumers=row.consumers, delayed=row.delayed,
                dead=row.dead, queued=steps.queued.get(subject, 0), running=row.running, concurrency=of_queue.concurrency,
                is_paused=paused_queues.find_pause(held, row) is not None,
                reported_us=None if row.seen_at is None else max(at - row.seen_at, 0),
                minutes=tuple(minutes.get(time, QueueMinute()) for time in range(first, newest + 1, MINUTE_US)),
                names=steps.names.get(subject, {}), ahead=of_queue.ahead,
            )  # fmt: skip
            found[subject] = of_broker if subject not in found else together(found[subject], of_broker)
        return list(found.values())


def _name(subject: Subject, newest: int, steps: Steps, earlier: Earlier) -> NameActivity:
    scope, name = subject
    times = range(newest - (MINUTES - 1) * MINUTE_US, newest + 1, MINUTE_US)
    counts, ran = steps.counts.get(subject, {}), steps.ran.get(subject, {})
    return NameActivity(
        scope=scope, name=name, at=newest, minutes=tuple(counts.get(time, Counts()) for time in times),
        ran=added(ran.get(time, {}) for time in times[-RECENT_MIN:]),
        latest_ran=added(ran.get(time, {}) for time in times[-LATEST_MIN:]),
        usual=earlier.of_subject(subject), usual_of=earlier.words,
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


class Workers(NamedTuple):
    """The concurrency of the connected workers of a queue, and how many tasks they may prefetch without a report."""

    concurrency: int = 0
    ahead: int = 0


def _workers(connected: Iterable[AgentRow]) -> dict[Subject, Workers]:
    found: dict[Subject, Workers] = {}
    for agent, engine in _working(connected):
        concurrency = agent.concurrency or 0
        for name in agent.queues:
            subject = (Scope(agent.app, agent.environment, engine), name)
            known = found.get(subject, Workers())
            found[subject] = Workers(known.concurrency + concurrency, known.ahead + taken_ahead(engine, concurrency, agent.options))
    return found


def _working(connected: Iterable[AgentRow]) -> Iterator[tuple[AgentRow, str]]:
    for agent in connected:
        if agent.left_at is None and agent.role == "worker":
            for engine in agent.engines:
                yield agent, engine
