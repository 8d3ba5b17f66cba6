# SPDX-License-Identifier: AGPL-3.0-or-later
"""The cause of one finding of each kind, as records and frames of agents: each in an app of its own, minute by minute.

A cause is called once for each minute, before the server looks. It is not there at first, then it is, then it has ended.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from tests.support.database import SECOND, origin, task
from z4j.agents.ingest import ingest_batch
from z4j.rules.rollups import DAY_US, MINUTE_US
from z4j.store.fleet import agents, gaps, queues
from z4j.store.names.name_limits import intern
from z4j.store.schedules import overdue, schedules
from z4j.store.sqlite.db import Connection, Store
from z4j.wire.frames import Discovery, Heartbeat, Hello, RunningItem, Schedules, TaskItem, WorkerFacts, decode_frame
from z4j_agent import wire

BEGIN, END = 3, 26
"""The first minute with the cause, and the first one without it."""
RUN: Final = "w.7"
_ids = itertools.count()


@dataclass
class App:
    """An app with one worker `w`, and the minute that ends at `at` (microseconds UTC). `number` counts the minutes."""

    store: Store
    name: str
    id: int
    at: int = 0
    number: int = 0
    waiting: list[tuple[str, int]] = field(default_factory=list)
    """Tasks in the queue, with the times of their enqueues."""

    @property
    def is_on(self) -> bool:
        return BEGIN <= self.number < END

    @property
    def is_first(self) -> bool:
        return self.number == 0

    @property
    def begins(self) -> bool:
        return self.number == BEGIN

    @property
    def ends(self) -> bool:
        return self.number == END

    async def send(self, *records: list[Any]) -> None:
        done = await ingest_batch(self.store, self.id, b"".join(map(wire.encode_record, (origin("w", at=self.at), *records))), at=self.at)
        assert not done.refused, done.refused

    async def run(
        self, count: int, *, failed: int = 0, ms: int = 200, waited_s: int = 1, at: int | None = None, apart: int = SECOND
    ) -> None:  # fmt: skip
        """Runs that began in this minute, from the enqueue to the end; each failure has an error type of its own."""
        records = []
        for number in range(count):
            id, begun = f"t{next(_ids)}", (at or self.at - MINUTE_US) + number * apart
            started = begun + waited_s * SECOND
            records += [task("enqueued", id, begun, run=RUN), task("started", id, started, run=RUN)]
            end: tuple[Any, ...]
            if number < failed:
                end = ("failed", None, started, ms * 1_000, "exception", f"Error{id}", "bad", f"Traceback of {id}")
            else:
                end = ("succeeded", None, started, ms * 1_000, "ok")
            records.append(task(end[0], id, started + ms * 1_000, *end[1:], run=RUN))
        await self.send(*records)

    async def usual_day(self, per_hour: int, ms: int, until: int = 0) -> None:
        """A day of runs that all succeeded."""
        count = 24 * per_hour
        await self.run(count, ms=ms, at=self.at - until - DAY_US, apart=DAY_US // count)

    async def enqueue(self, count: int) -> None:
        new = [(f"q{next(_ids)}", self.at - MINUTE_US + n * SECOND // 10) for n in range(count)]
        self.waiting += new
        await self.send(*(task("enqueued", id, at, run=RUN) for id, at in new))

    async def take(self, count: int) -> None:
        """Runs the oldest tasks of the queue."""
        taken, self.waiting = self.waiting[:count], self.waiting[count:]
        begun = self.at - 30 * SECOND
        records = [
            record for id, _ in taken
            for record in (task("started", id, begun, run=RUN), task("succeeded", id, begun + SECOND, None, begun, SECOND, "ok", run=RUN))
        ]  # fmt: skip
        await self.send(*records)

    async def report(self, *, depth: int | None = None, consumers: int = 2, dead: int = 0) -> None:
        """What the broker has: the tasks that wait, unless another number is given."""
        depth = len(self.waiting) if depth is None else depth
        oldest = self.waiting[0][1] if self.waiting and depth else None
        seen = [("celery", "work", "", depth, consumers, oldest, 0, dead)]
        at = self.at - SECOND

        def work(db: Connection) -> None:
            queues.record(db, self.id, intern(db, self.id, "environment", "production"), seen, at)

        await self.store.write(work)

    async def connect(self, boot: str, skew: int = 0, **changes: Any) -> None:
        fields: dict[str, Any] = {
            "protocol": 1, "agent_version": "1", "boot": boot, "spool": boot, "host": f"{self.name}-1", "pid": 7, "role": "worker",
            "worker": boot, "environment": "production", "release": "1.0", "engines": {"celery": "5.7"}, "capabilities": [],
            "allow": "all", "denied": [], "shipper": True, "at": self.at,
        }  # fmt: skip
        hello = Hello(**(fields | changes))
        await self.store.write(partial(agents.record_hello, app_id=self.id, hello=hello, at=self.at, skew=skew))

    async def discover(self, boot: str, *names: str) -> None:
        found = Discovery("celery", [TaskItem(name) for name in names], [], WorkerFacts(boot, "prefork", 4, ["work"]))
        await self.store.write(partial(agents.record_discovery, app_id=self.id, boot=boot, discovery=found, at=self.at))

    async def beat(self, boot: str, *running: RunningItem, spool_bytes: int = 0) -> None:
        beat = Heartbeat(self.at, list(running), spool_bytes, 0, 0, True)
        await self.store.write(partial(agents.record_heartbeat, app_id=self.id, boot=boot, beat=beat, at=self.at))

    async def leave(self, boot: str, *, is_orderly: bool = False) -> None:
        await self.store.write(
            partial(agents.record_left, app_id=self.id, boot=boot, at=self.at, reason="gone", is_orderly=is_orderly)
        )  # fmt: skip


Cause = Callable[[App], Awaitable[None]]


# -- tasks -----------------------------------------------------------------------------------------------------------------
async def error(app: App) -> None:
    await app.run(10)
    if app.is_on:
        ids = [f"e{next(_ids)}" for _ in range(5)]
        fields = (None, app.at - 20 * SECOND, SECOND, "exception", "ValueError", "bad", "Traceback of one place")
        await app.send(*(task("failed", id, app.at - 10 * SECOND, *fields, run=RUN) for id in ids))


async def failing_more(app: App) -> None:
    await app.run(10, failed=5 if app.is_on else 0)


async def retries(app: App) -> None:
    await app.run(10)
    if app.is_on:
        at = app.at - 20 * SECOND
        fields = (at, SECOND, at + SECOND, "exception", "ConnectionError", "away", "Traceback")
        for id in [f"r{next(_ids)}" for _ in range(12)]:
            await app.send(task("started", id, at, run=RUN), task("retried", id, at + SECOND, *fields, run=RUN))
            await app.send(task("started", id, at + 2 * SECOND, attempt=1, run=RUN))


async def slow(app: App) -> None:
    if app.is_first:
        await app.usual_day(20, 200)
    await app.run(5, ms=5_000 if app.is_on else 200)


async def quick(app: App) -> None:
    if app.is_first:
        await app.usual_day(20, 2_000)
    await app.run(5, ms=1 if app.is_on else 2_000)


async def seldom(app: App) -> None:
    """It has not run for a while; what ran before leaves the last hour."""
    if app.is_first:
        await app.usual_day(30, 200, until=38 * MINUTE_US)
    if app.number >= END:
        await app.run(5)


async def stuck(app: App) -> None:
    if app.is_first:
        await app.usual_day(20, 1_000)
        await app.connect("w")
    began = app.at - (app.number - BEGIN + 1) * MINUTE_US
    running = [RunningItem("celery", "long", 0, "shop.ship", "work", began)] if app.is_on else []
    await app.beat("w", *running)


async def killed(app: App) -> None:
    if app.is_on:
        await app.send(task("lost", f"l{next(_ids)}", app.at - 10 * SECOND, "child_killed", "signal 9 (SIGKILL)", run=RUN))
    else:
        await app.run(5)


async def unregistered(app: App) -> None:
    if app.is_on:
        await app.send(task("rejected", f"x{next(_ids)}", app.at - 10 * SECOND, None, None, "unknown_task", "?", run=RUN))


# -- queues ----------------------------------------------------------------------------------------------------------------
async def backlog(app: App) -> None:
    await app.enqueue(60 if app.is_on else 10)
    await app.take(10 if app.is_on else len(app.waiting))
    await app.report()


async def unserved_queue(app: App) -> None:
    await app.enqueue(5)
    if not app.is_on:
        await app.take(len(app.waiting))
    await app.report(consumers=0 if app.is_on else 2)


async def dead_letters(app: App) -> None:
    await app.run(2)
    await app.report(dead=12 if app.is_on else 0)


async def broker_loss(app: App) -> None:
    """The broker has lost forty tasks; later they are sent again, and run."""
    if app.number == BEGIN - 1:
        await app.enqueue(40)
    if app.ends:
        await app.take(len(app.waiting))
    await app.report(depth=0 if app.is_on else None)


async def unaccounted(app: App) -> None:
    """Five tasks are not in the broker, which is too few for a loss that is seen at once."""
    if app.begins:
        await app.enqueue(5)
    if app.ends:
        await app.take(len(app.waiting))
    await app.report(depth=0)


# -- schedules -------------------------------------------------------------------------------------------------------------
def _listing(app: App, count: int) -> Schedules:
    """Interval entries that are due at the beginning of each minute."""
    due = app.at // MINUTE_US * MINUTE_US + (0 if app.is_first else MINUTE_US)
    entries = [
        {"key": f"every-{n}", "name": f"every-{n}", "kind": "interval", "expression": "60", "timezone": "UTC", "task_name": "shop.ship",
         "args": "[]", "kwargs": "{}", "next_at": due, "is_code": True}
        for n in range(count)
    ]  # fmt: skip
    found = decode_frame(
        json.dumps(
            {
                "type": "schedules", "scheduler": "celery_beat", "engine": "celery", "store": "code", "is_firing": True,
                "tick_us": 5 * SECOND, "timezone": "UTC", "can_create": True, "applied": "", "failed": {}, "notes": [], "is_cut": False,
                "entries": entries,
            }
        )
    )  # fmt: skip
    assert isinstance(found, Schedules)
    return found


async def _begin_beat(app: App, boot: str, count: int) -> None:
    await app.connect(boot, role="scheduler", worker=f"beat@{boot}")
    await app.store.write(partial(schedules.record_schedules, app_id=app.id, boot=boot, listing=_listing(app, count), at=app.at))


async def _fire(app: App, count: int, *, boot: str = "w", outcome: str = "sent", late_s: int = 1, minutes_ago: int = 0) -> None:
    due = app.at // MINUTE_US * MINUTE_US - minutes_ago * MINUTE_US
    for number in range(count):
        what = {
            "scheduler": "celery_beat", "schedule": f"every-{number}", "due_at": due, "task_id": f"f{next(_ids)}", "outcome": outcome,
            "error": "" if outcome == "sent" else "ConnectionError: the broker is away",
        }  # fmt: skip
        await app.send(origin(boot, at=app.at), ["fired", f"{boot}.7", due + late_s * SECOND, what])


async def _schedule(app: App, count: int, state: str) -> None:
    if app.is_first:
        await _begin_beat(app, "w", count)
    if not app.is_on:
        await _fire(app, count)
    elif state == "failed":
        await _fire(app, count, outcome="failed")
    elif state == "late" and not app.begins:
        await _fire(app, count, late_s=30, minutes_ago=1)
    at = app.at
    await app.store.write(lambda db: overdue.write_missed(db, at))


async def _silent_scheduler(app: App) -> None:
    if app.is_first or app.ends:
        await _begin_beat(app, f"b{app.number}", 1)
    if app.is_on:
        if app.begins:
            await app.leave("b0")
    else:
        await _fire(app, 1, boot="b0" if app.number < BEGIN else f"b{END}")
    at = app.at
    await app.store.write(lambda db: overdue.write_missed(db, at))


async def _doubled(app: App) -> None:
    if app.is_first or app.begins:
        await _begin_beat(app, f"b{app.number}", 1)
    if app.ends:
        await app.leave(f"b{BEGIN}", is_orderly=True)
    await _fire(app, 1, boot="b0")
    if app.is_on:
        await _fire(app, 1, boot=f"b{BEGIN}")


# -- processes -------------------------------------------------------------------------------------------------------------
async def silent_host(app: App) -> None:
    if app.is_first or app.ends:
        await app.connect("w")
    if app.begins:
        await app.leave("w")
    if not app.is_on:
        await app.beat("w")


async def restarts(app: App) -> None:
    """A worker that is killed and started again each minute, until it stays."""
    if app.is_first or app.is_on:
        if not app.is_first:
            await app.leave("w0" if app.begins else f"w{app.number - 1}")
        await app.connect(f"w{app.number}", worker="media")
    await app.beat(f"w{0 if app.number < BEGIN else min(app.number, END - 1)}")


async def different_workers(app: App) -> None:
    for boot, release in (("w", "1.0"), ("other", "2.0")):
        if app.begins:
            await app.connect(boot, release=release)
            await app.discover(boot, "shop.ship")
        if app.is_on:
            await app.beat(boot)
    if app.ends:
        await app.leave("other", is_orderly=True)


async def clock(app: App) -> None:
    if app.is_first or app.begins or app.ends:
        await app.connect("w", skew=5 * SECOND if app.is_on else 0)


async def behind(app: App) -> None:
    if app.is_first:
        await app.connect("w")
    await app.beat("w", spool_bytes=5_000_000 if app.is_on else 0)


async def dropped_events(app: App) -> None:
    if app.begins:
        lost = {"count": 7, "bytes": 70, "first_at": app.at - SECOND, "last_at": app.at, "cause": "spool_full"}
        await app.send(["gap", "g1", app.at, lost])


async def refused_events(app: App) -> None:
    if app.begins:
        await app.store.write(partial(gaps.record_refused, app_id=app.id, refused={"malformed": 2}, at=app.at))


async def agent_faults(app: App) -> None:
    if app.begins:
        await app.send(["fault", RUN, app.at, {"where": "capture", "error": "KeyError: 'x'", "count": 2}])


CAUSES: Final[dict[str, Cause]] = {
    "error": error, "failing_more": failing_more, "retries": retries, "slow": slow, "quick": quick, "seldom": seldom, "stuck": stuck,
    "killed": killed, "unregistered": unregistered, "backlog": backlog, "unserved_queue": unserved_queue, "dead_letters": dead_letters,
    "broker_loss": broker_loss, "unaccounted": unaccounted,
    "missed_schedule": lambda app: _schedule(app, 1, "missed"), "missed_schedules": lambda app: _schedule(app, 5, "missed"),
    "failed_schedule": lambda app: _schedule(app, 1, "failed"), "failed_schedules": lambda app: _schedule(app, 5, "failed"),
    "late_schedule": lambda app: _schedule(app, 1, "late"), "late_schedules": lambda app: _schedule(app, 5, "late"),
    "silent_scheduler": _silent_scheduler, "doubled_schedules": _doubled,
    "silent_host": silent_host, "restarts": restarts, "different_workers": different_workers, "clock": clock, "behind": behind,
    "dropped_events": dropped_events, "refused_events": refused_events, "agent_faults": agent_faults,
}  # fmt: skip
"""By the kind of the finding."""
