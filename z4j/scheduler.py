# SPDX-License-Identifier: AGPL-3.0-or-later
"""z4j's own scheduler: decides each due time once, and hands what is to run to an agent as a `run_task` command.

A due time is a row with a unique key, written before anything is sent, so a restart fires nothing twice and forgets nothing. A fire is
marked as handed over, durably, before its frame leaves, and goes to no other spool folder after that; the ledger there keeps it from
running twice. The clock is read again each time: one that jumps makes due times late, which the catch-up policy decides, or early,
which changes nothing, because they are decided already.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import uuid
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, Final

from z4j import clock
from z4j.background.duty import WHENEVER_S, Duties
from z4j.dispatch import command_frame, queue_proof
from z4j.hub import AgentLink, Hub, Need
from z4j.ingest import FIRE
from z4j.store import fires, schedules
from z4j.store.agents import read_proofs
from z4j.store.db import Connection, Store
from z4j.store.fires import OpenFire
from z4j.store.schedules import Due

SECOND: Final = 1_000_000
AT_ONCE: Final = 200
"""Schedules decided in one transaction: enough to share a commit, few enough that ingest does not wait."""
SKIP_AFTER: Final = 60 * SECOND
"""Later than this, a schedule that skips does not run any more."""
WAIT: Final = 24 * 3_600 * SECOND
"""How long a fire of a schedule that catches up waits for an agent."""
ANSWER: Final = 15 * 60 * SECOND
"""How long a fire may take from being handed over to the agent's answer."""
LISTED: Final = 200
"""Missed due times that are written one by one; of more, the last says how many there were."""
SLEEP_S: Final = 1.0
PUT_OFF: Final = 60 * SECOND
"""A schedule that cannot be decided is looked at again this much later, so that it does not hold up the others."""


class Scheduler:
    """One per server. `changed` is told the topics of `live`."""

    def __init__(self, store: Store, hub: Hub, changed: Callable[[Iterable[str]], None], duties: Duties | None = None) -> None:
        self.store = store
        self.hub = hub
        self.changed = changed
        duties = duties or Duties()
        self.duty = duties.add("own scheduler", SLEEP_S)
        self.single = duties.add("schedules that could not be decided", WHENEVER_S)
        self._woken = asyncio.Event()
        self._pause = SLEEP_S
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begins; what became due while no server ran is decided first."""
        self._task = asyncio.create_task(self.run())

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    def wake(self) -> None:
        """A schedule was changed: look when the next one is due."""
        self._woken.set()

    async def run(self) -> None:
        """Until cancelled. After an error of any kind it looks again; what is due stays due."""
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
        await self._hand_over(made)
        self.changed(("schedules",))
        return decided == AT_ONCE

    async def agent_connected(self, link: AgentLink) -> None:
        """What waits for an agent like this, and what its spool folder was handed and has not answered."""
        mine, again = [], []
        for fire in await fires.list_open(self.store, link.app_id):
            is_its = _concerns(fire, link) and self.hub.may_use_broker(link, _need(link.app_id, fire))
            if fire.outcome == "handed" and fire.spool == link.spool and is_its:
                again.append(fire)
            elif fire.outcome == "waiting":
                mine.append((link.app_id, fire))
        proofs = await read_proofs(self.store, link.app_id, {fire.task_name for fire in again})
        for fire in again:
            link.send(frame_of(fire, fire.expires_at, proofs, self._where(link, fire)))
        if mine:
            await self._hand_over(mine)

    async def brokers_learned(self, link: AgentLink) -> None:
        """An agent may take what it could not take when it connected."""
        waiting = [(link.app_id, fire) for fire in await fires.list_open(self.store, link.app_id) if fire.outcome == "waiting"]
        if waiting:
            await self._hand_over(waiting)

    # -- pieces --------------------------------------------------------------------------------------------------------
    async def _hand_over(self, waiting: list[tuple[int, OpenFire]]) -> None:
        """To one agent that can, each; what nobody can take waits."""
        found: dict[Need, AgentLink | None] = {}
        by_link: dict[tuple[int, str], tuple[AgentLink, list[OpenFire]]] = {}
        for app_id, fire in waiting:
            need = _need(app_id, fire)
            if need not in found:
                able, _ = self.hub.find(need)
                found[need] = able[0] if able else None
            link = found[need]
            if link is not None:
                by_link.setdefault((link.app_id, link.boot), (link, []))[1].append(fire)
        for link, listed in by_link.values():
            at = clock.now()
            ids = [fire.id for fire in listed]
            hand = partial(fires.hand_over, ids=ids, spool=link.spool, at=at, expires_at=at + ANSWER)
            mine = await self.store.write(hand, durable=True)
            handed = [fire for fire in listed if fire.id in mine]
            proofs = await read_proofs(self.store, link.app_id, {fire.task_name for fire in handed})
            for fire in handed:
                link.send(frame_of(fire, at + ANSWER, proofs, self._where(link, fire)))

    def _where(self, link: AgentLink, fire: OpenFire) -> dict[str, str]:
        """The broker by the name this agent has for it, and the proof of the queue."""
        proof = queue_proof(self.hub, link.app_id, fire.engine, {"queue": fire.queue}, link.environment)
        return proof | self.hub.broker_param(link, _need(link.app_id, fire))


def _need(app_id: int, fire: OpenFire) -> Need:
    return Need(app_id, fire.engine, "run_task", fire.environment, queue=fire.queue, broker=fire.broker)


def _concerns(fire: OpenFire, link: AgentLink) -> bool:
    """Agents of several engines and environments may share a spool folder."""
    return (fire.engine, "run_task") in link.capabilities and fire.environment in ("", link.environment)


def frame_of(fire: OpenFire, expires_at: int, proofs: Mapping[str, Mapping[str, str]], where: Mapping[str, str]) -> dict[str, Any]:
    """A fire as an agent is told it; `proofs` is task name → what `read_proofs` says of it, `where` says
    which broker is meant, and proves the queue."""
    params = {
        "name": fire.task_name, "args": json.loads(fire.args), "kwargs": json.loads(fire.kwargs), "new_id": fire.task_id,
        "queue": fire.queue, "proofs": proofs.get(fire.task_name, {}),
        **where,
    }  # fmt: skip
    return command_frame(f"{FIRE}{fire.task_id}", "run_task", fire.engine, expires_at, params)


def wake_of(id: int, due_at: int | None, jitter_us: int) -> int | None:
    """When a due time is acted on: later by a part of the jitter that is the same for the same due time, also after a restart."""
    if due_at is None or not jitter_us:
        return due_at
    draw = int.from_bytes(hashlib.sha256(f"{id}:{due_at}".encode()).digest()[:6])
    return due_at + draw % jitter_us


def decide(db: Connection, at: int) -> tuple[int, list[tuple[int, OpenFire]], list[Exception]]:
    """Decides the due times of up to `AT_ONCE` schedules. Returns how many schedules, what is to be handed over with its app, and why
    some could not be decided; those are put off, their due times stay due."""
    made: list[tuple[int, OpenFire]] = []
    failed: list[Exception] = []
    due = schedules.list_due(db, at, AT_ONCE)
    for of in due:
        try:
            with db.part():
                made += [(of.app_id, fire) for fire in _decide_one(db, of, at)]
        except Exception as error:
            if not db.in_transaction:
                raise
            failed.append(error)
            schedules.advance_own(db, of.id, of.next_at, at + PUT_OFF, None)
    return len(due), made, failed


def _decide_one(db: Connection, of: Due, at: int) -> list[OpenFire]:
    times, following = _times(of, at)
    taken = _taken(of, times, at)
    fired = [fire for due_at in taken if (fire := _fire(db, of, due_at, at)) is not None]
    _write_missed(db, of, times[: len(times) - len(taken)])
    last_at = at if fired else None
    schedules.advance_own(db, of.id, following, wake_of(of.id, following, of.jitter_us), last_at)
    return fired


def _times(of: Due, at: int) -> tuple[list[int], int | None]:
    """The due times that have come, oldest first, and the one after them. A jitter keeps the newest waiting for its moment."""
    times: list[int] = []
    due_at = of.next_at
    while due_at <= at:
        wake = wake_of(of.id, due_at, of.jitter_us)
        if wake is not None and wake > at:
            return times, due_at
        times.append(due_at)
        following = of.timing.after(due_at)
        if following is None:
            return times, None
        due_at = following
    return times, due_at


def _fire(db: Connection, of: Due, due_at: int, at: int) -> OpenFire | None:
    """A row for this due time; None where it was decided before, or is skipped."""
    if of.overlap == "skip" and (before := fires.is_running(db, of.id, of.app_id, of.engine, due_at)):
        fires.add_own(db, of.id, due_at, "skipped", error=f"the task of the fire before, {before}, has not ended")
        return None
    if of.error:
        fires.add_own(db, of.id, due_at, "failed", error=of.error[:500])
        return None
    task_id = str(uuid.uuid4())
    expires_at = due_at + SKIP_AFTER + of.jitter_us if of.catch_up == "skip" else at + WAIT
    id = fires.add_own(db, of.id, due_at, "waiting", task_id=task_id, expires_at=expires_at)
    if id is None:
        return None
    if of.catch_up != "all":
        fires.supersede(db, of.id, due_at)
    return OpenFire(
        id, of.id, due_at, "waiting", task_id, "", expires_at, of.environment, of.engine, of.task_name, of.args, of.kwargs, of.queue,
        of.catch_up, of.broker,
    )  # fmt: skip


def _taken(of: Due, times: list[int], at: int) -> list[int]:
    """Of the due times that have come, those that are run: all, or at most the newest."""
    if of.catch_up == "all" or not times:
        return times
    is_too_late = of.catch_up == "skip" and at - times[-1] > SKIP_AFTER + of.jitter_us
    return [] if is_too_late else times[-1:]


def _write_missed(db: Connection, of: Due, missed: list[int]) -> None:
    """Those that came and are not run."""
    late = "only the newest is caught up" if of.catch_up == "once" else "it was too late to run it, and it does not catch up"
    more = len(missed) - LISTED
    for number, due_at in enumerate(missed[-LISTED:]):
        said = f"{late}; so were {more:,} before it" if more > 0 and number == 0 else late
        fires.put_missed(db, of.id, due_at, said)
