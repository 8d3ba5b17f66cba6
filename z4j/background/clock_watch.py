# SPDX-License-Identifier: AGPL-3.0-or-later
"""Watches the wall clock of the machine: records when it was set, and lets duties that judge by age wait until it is steady."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final

from z4j import clock, logs
from z4j.background.server_events import Changed
from z4j.rules.clock_watch import WAIT_US, Step, TrustedTime, step_of, trust
from z4j.store.access.audit import AuditLog
from z4j.store.operations import trusted_time
from z4j.store.sqlite.db import Store

SETTLE_US: Final = 60_000_000
"""After a step, agents have this long to send a heartbeat with the new time, before any of them counts as silent."""
SAVE_US: Final = 60_000_000
SHOWN: Final = 5

Work = Callable[[int], Awaitable[object]]


class ClockWatch:
    """One per server. `on_step` is awaited with each step."""

    def __init__(self, store: Store, changed: Changed, log: AuditLog | None = None) -> None:
        self.store, self.changed, self.log = store, changed, log
        self.on_step: list[Callable[[Step], Awaitable[object]]] = []
        self.steps: deque[Step] = deque(maxlen=SHOWN)
        """The last steps, newest first."""
        self.trusted: TrustedTime | None = None
        self._wall, self._ticks = clock.now(), clock.ticks()
        self._new: list[Step] = []
        self._settles_at = 0
        self._trusted_ticks, self._saved_ticks = 0, -SAVE_US

    @property
    def held_us(self) -> int | None:
        """Running time (microseconds) until retention follows the wall clock, which is far ahead of it; None if it does."""
        return WAIT_US - self.trusted.waited_us if self.trusted is not None and self.trusted.waited_us else None

    def look(self) -> None:
        """Compares the clocks. Cheap: every duty that depends on it looks before it works."""
        wall, ticks = clock.now(), clock.ticks()
        step = step_of(wall, ticks, self._wall, self._ticks)
        self._wall, self._ticks = wall, ticks
        if step is not None:
            self.steps.appendleft(step)
            self._new.append(step)
            self._settles_at = ticks + SETTLE_US
            logs.clock_set(step.by_us)

    async def round(self, at: int) -> None:
        """Reports the steps since the last round: in the audit log, whose times jump with the clock, and to `on_step`."""
        self.look()
        while self._new:
            step = self._new[0]
            for report in self.on_step:
                await report(step)
            self._new.pop(0)
            self.changed(("strip",))
            if self.log is not None:
                seconds = round(step.by_us / 1_000_000)
                await self.log.note(
                    self.store,
                    at=clock.now(),
                    actor="system",
                    role="",
                    action="clock_step",
                    target="appliance",
                    detail={"seconds": seconds},
                )

    def when_steady(self, work: Work) -> Work:
        """Returns `work`, which does nothing for `SETTLE_US` after a step."""

        async def only_when_steady(at: int) -> object:
            self.look()
            return None if clock.ticks() < self._settles_at else await work(at)

        return only_when_steady

    async def trusted_at(self, at: int) -> int:
        """Returns the time (microseconds UTC) that retention measures ages with, see `rules.clock_watch`. It is stored once a minute."""
        ticks = clock.ticks()
        if self.trusted is None:
            self.trusted, self._trusted_ticks = await trusted_time.read_trusted(self.store), ticks
        before = self.trusted
        self.trusted = trusted = trust(before, at, ticks - self._trusted_ticks)
        self._trusted_ticks = ticks
        if trusted.waited_us and (before is None or not before.waited_us):
            logs.retention_waits((at - trusted.at) // 1_000_000)
        if ticks - self._saved_ticks >= SAVE_US:
            await self.store.note("the time that retention trusts", lambda db: trusted_time.put_trusted(db, trusted))
            self._saved_ticks = ticks
        return trusted.at
