# SPDX-License-Identifier: AGPL-3.0-or-later
"""Runs z4j's own schedules: decides each due time once, and sends an agent a `run_task` command for each run.

A due time is a row with a unique key, written before anything is sent, so a restart fires nothing twice and forgets nothing. The outbox
sends it. The clock is read again each time. One that is set forward makes due times late, which `missed_runs` decides. After one
is set back, `undo_ahead` undoes what was decided ahead of time and has not run.
"""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from z4j import clock, logs
from z4j.agents.command_frames import OutgoingCommand
from z4j.agents.command_owner import Chosen, ExpiringOwner, Refused
from z4j.agents.connections import Need
from z4j.agents.outbox import Outbox
from z4j.duty_loop import WHENEVER_S, Duties, until_done
from z4j.exceptions import StoreError
from z4j.operations.missed_runs import SKIP_AFTER, times_to_run, write_missed
from z4j.rules.command_ids import CommandId
from z4j.rules.schedules.jitter import wake_of
from z4j.store.schedules import clock_set_back, fires, schedules
from z4j.store.schedules.fires import OpenFire
from z4j.store.schedules.schedules import Due
from z4j.store.sqlite.db import Connection

SECOND: Final = 1_000_000
AT_ONCE: Final = 200
"""Schedules decided in one transaction: enough to share a commit, few enough that ingest does not wait."""
WAIT: Final = 24 * 3_600 * SECOND
"""How long a fire of a schedule that catches up waits for an agent."""
ANSWER: Final = 15 * 60 * SECOND
"""How long a fire may take from being sent to the agent's result."""
SLEEP_S: Final = 1.0
TIMES_AT_ONCE: Final = 1_000
"""Due times of one schedule decided in one transaction: of a schedule by the second there are 260,000 after three days."""
PUT_OFF: Final = 60 * SECOND
"""A schedule that cannot be decided is retried after this time, so that it does not delay the others."""


class Scheduler(ExpiringOwner):
    """One per server. `changed` is called with the topics of `live`."""

    kind = "fire"

    def __init__(self, outbox: Outbox, changed: Callable[[Iterable[str]], None], duties: Duties | None = None) -> None:
        self.outbox = outbox
        self.store = outbox.store
        self.changed = changed
        self._unsent: set[int] = set()
        """Apps some of whose fires could not be marked."""
        outbox.register(self)
        duties = duties or Duties()
        self.duty = duties.add("own scheduler", SLEEP_S)
        self.single = duties.add("schedules that could not be decided", WHENEVER_S)
        self.ahead_duty = duties.add("due times after the clock was set back", WHENEVER_S)
        self._woken = asyncio.Event()
        self._pause = SLEEP_S
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begins; what became due while no server ran is decided first."""
        self._task = asyncio.create_task(self.run())

    async def stop(self) -> None:
        """Stops the scheduler."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    def wake(self) -> None:
        """Makes the scheduler look for the next due time again, after a schedule was changed."""
        self._woken.set()

    async def run(self) -> None:
        """Runs until cancelled. After an error it looks again; what is due stays due."""
        await until_done(self.ahead_duty, lambda: self.undo_ahead(clock.now()))
        while True:
            self._woken.clear()
            is_well = await self.duty.attempt(self._fire_all)
            try:
                async with asyncio.timeout(self._pause if is_well else self.duty.pause_s):
                    await (self._woken.wait() if is_well else asyncio.Event().wait())
            except TimeoutError:
                pass  # it is time to look

    async def _fire_all(self) -> None:
        self._pause = SLEEP_S
        is_more = True
        while is_more:
            is_more = await self.fire_due(clock.now())
        next_at = await schedules.next_wake(self.store)
        if next_at is not None:
            self._pause = min(SLEEP_S, max(0.0, (next_at - clock.now()) / SECOND))

    async def fire_due(self, at: int) -> bool:
        """Decides what is due and hands it over. True when there may be more."""
        if (next_at := await schedules.next_wake(self.store)) is None or next_at > at:
            return False
        decided, made, failed = await self.store.write(lambda db: decide(db, at), durable=True)
        for error in failed:
            self.single.failed(error)
        if decided and not failed and self.single.failing_since is not None and at - self.single.failing_since > 2 * PUT_OFF:
            self.single.succeeded()
        await self._deliver(made)
        self.changed(("schedules",))
        next_at = await schedules.next_wake(self.store)
        return next_at is not None and next_at <= at

    async def undo_ahead(self, at: int) -> int:
        """Decides again from `at` (microseconds UTC) where the clock was set back, also while no server ran. Returns how many schedules.

        Due times after `at` that were stored as missed are due again. Those that ran do not run again, except where a schedule runs at
        least hourly: that one continues by the new time (cron(8) makes the same distinction).
        """
        count = await self.store.write(lambda db: _undo_ahead(db, at), durable=True)
        if count:
            logs.due_times_taken_back(count)
            self.changed(("schedules",))
            self.wake()
        return count

    # -- called by the outbox -----------------------------------------------------------------------------------------------
    async def list_open(self, app_id: int, at: int) -> list[OutgoingCommand]:
        """Lists the fires of an app that wait or have no result yet."""
        return [command_of(app_id, fire, at) for fire in await fires.list_open(self.store, app_id)]

    async def list_waiting(self, app_id: int, at: int) -> list[OutgoingCommand]:
        """Lists waiting fires, only after a failure: fires without a connected agent may be many thousands, and are not read every few
        seconds."""
        if app_id not in self._unsent:
            return []
        self._unsent.discard(app_id)
        return [command for command in await self.list_open(app_id, at) if not command.spool]

    def mark(self, db: Connection, chosen: Sequence[Chosen], refused: Sequence[Refused], at: int) -> set[CommandId]:
        """Marks the fires as sent and ends the refused ones. Returns the ids that were still waiting."""
        by_spool: dict[str, list[str]] = {}
        for each in chosen:
            by_spool.setdefault(each.link.spool, []).append(each.command.id.owner)
        marked = {id for spool, ids in by_spool.items() for id in fires.mark_sent(db, ids, spool, at, at + ANSWER)}
        return {each.command.id for each in chosen if each.command.id.owner in marked}

    async def expire(self, at: int) -> None:
        """Ends fires without an agent or a result in time."""
        if await self.store.write(lambda db: fires.expire_own(db, at)):
            self.changed(("schedules",))

    # -- pieces --------------------------------------------------------------------------------------------------------
    async def _deliver(self, made: list[tuple[int, OpenFire]]) -> None:
        """Sends each fire to one agent; fires without an agent wait."""
        at = clock.now()
        try:
            await self.outbox.deliver(self, [command_of(app_id, fire, at) for app_id, fire in made], at)
        except StoreError:
            self._unsent |= {app_id for app_id, _ in made}
            raise


def command_of(app_id: int, fire: OpenFire, at: int) -> OutgoingCommand:
    """Returns the command of a fire. Its id contains the id of the task that the fire creates, because an agent executes an id once and it
    must never be used again; the row id of a fire is used again after its schedule was deleted."""
    need = Need(app_id, fire.engine, "run_task", fire.environment, queue=fire.queue, broker=fire.broker)
    params = {
        "name": fire.task_name, "args": json.loads(fire.args), "kwargs": json.loads(fire.kwargs), "new_id": fire.task_id,
        "queue": fire.queue,
    }  # fmt: skip
    expires_at, spool = (fire.expires_at, fire.spool) if fire.outcome == "handed" else (at + ANSWER, "")
    return OutgoingCommand(CommandId("fire", fire.task_id), need, expires_at, params, task_name=fire.task_name, spool=spool)


def decide(db: Connection, at: int) -> tuple[int, list[tuple[int, OpenFire]], list[Exception]]:
    """Decides the due times of up to `AT_ONCE` schedules. Returns how many schedules, what is to be sent with its app, and why
    some could not be decided; those are put off, their due times stay due."""
    made: list[tuple[int, OpenFire]] = []
    failed: list[Exception] = []
    due = schedules.list_due(db, at, AT_ONCE)
    for schedule in due:
        try:
            with db.part():
                made += [(schedule.app_id, fire) for fire in _decide_one(db, schedule, at)]
        except Exception as error:
            if not db.in_transaction:
                raise
            failed.append(error)
            schedules.advance_own(db, schedule.id, schedule.next_at, at + PUT_OFF, None)
    return len(due), made, failed


def _undo_ahead(db: Connection, at: int) -> int:
    revived = clock_set_back.drop_ahead(db, at)
    count = 0
    for schedule in clock_set_back.list_ahead(db, at, revived):
        following = schedule.timing.after(at)
        if following is None or (schedule.next_at is not None and following >= schedule.next_at):
            continue
        if schedule.timing.is_hourly:
            clock_set_back.set_aside_ahead(db, schedule.id, at)
        clock_set_back.reset_next(db, schedule.id, following, wake_of(schedule.id, following, schedule.jitter_us))
        count += 1
    return count


def _decide_one(db: Connection, due: Due, at: int) -> list[OpenFire]:
    times, following = _times(due, at)
    is_more = following is not None and following <= at and len(times) == TIMES_AT_ONCE
    taken = times_to_run(due, times, at) if not is_more or due.catch_up == "all" else []
    fired = [fire for due_at in taken if (fire := _fire(db, due, due_at, at)) is not None]
    write_missed(db, due, times[: len(times) - len(taken)])
    last_at = at if fired else None
    schedules.advance_own(db, due.id, following, wake_of(due.id, following, due.jitter_us), last_at)
    return fired


def _times(due: Due, at: int) -> tuple[list[int], int | None]:
    """The due times that have come, oldest first, and the one after them. A jitter keeps the newest waiting for its moment."""
    times: list[int] = []
    due_at = due.next_at
    while due_at <= at and len(times) < TIMES_AT_ONCE:
        wake = wake_of(due.id, due_at, due.jitter_us)
        if wake is not None and wake > at:
            return times, due_at
        times.append(due_at)
        following = due.timing.after(due_at)
        if following is None:
            return times, None
        due_at = following
    return times, due_at


def _fire(db: Connection, due: Due, due_at: int, at: int) -> OpenFire | None:
    """A row for this due time; None where it was decided before, or is skipped."""
    if due.overlap == "skip" and (before := fires.is_running(db, due.id, due.app_id, due.engine, due_at)):
        fires.add_own(db, due.id, due_at, "skipped", error=f"the task of the previous fire, {before}, has not ended")
        return None
    if due.error:
        fires.add_own(db, due.id, due_at, "failed", error=due.error[:500])
        return None
    task_id = str(uuid.uuid4())
    expires_at = due_at + SKIP_AFTER + due.jitter_us if due.catch_up == "skip" else at + WAIT
    id = fires.add_own(db, due.id, due_at, "waiting", task_id=task_id, expires_at=expires_at)
    if id is None:
        return None
    if due.catch_up != "all":
        fires.supersede(db, due.id, due_at)
    return OpenFire(
        id, due.id, due_at, "waiting", task_id, "", expires_at, due.environment, due.engine, due.task_name, due.args, due.kwargs, due.queue,
        due.catch_up, due.broker,
    )  # fmt: skip
