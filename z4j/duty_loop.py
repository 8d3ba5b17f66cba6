# SPDX-License-Identifier: AGPL-3.0-or-later
"""Runs one background duty in a loop: an error of any kind is logged once per cause, retried with backoff, and never ends the loop.

`Duties` lists the state of all of them for /healthz, `z4j doctor` and the appliance page.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import Final

from z4j import clock, logs
from z4j.exceptions import StoreError, cause_of, describe

LONGEST_PAUSE_S: Final = 60.0
STALLED_US: Final = 120_000_000
"""A round that takes longer than this, or a duty that has not run for this long beyond its interval, is reported as stalled."""
LOG_AGAIN_US: Final = 3_600_000_000
"""A cause that stays is logged again once an hour, so that it is in the log of today."""
CAUSES: Final = 20
WHENEVER_S: Final = 1e9
"""The interval of work that comes when it comes: it is never late."""
_NUMBERS = re.compile(r"[0-9a-f]*\d[0-9a-f]*")


class Duty:
    """State of one duty. Times are microseconds UTC; `error` may name files and is for people who are signed in, `cause` is for anyone."""

    def __init__(self, name: str, every_s: float) -> None:
        self.name = name
        self.every_s = every_s
        self.ran_at: int | None = None
        self.succeeded_at: int | None = None
        self.failing_since: int | None = None
        self.failures = 0
        """Rounds in a row that failed."""
        self.error = ""
        self.cause = ""
        self._logged: dict[str, int] = {}
        self._is_running = False
        self._ticks = clock.ticks()
        """When it last ran, or was added, by the clock that is never set."""

    async def attempt(self, work: Callable[[], Awaitable[object]]) -> bool:
        """Runs one round. Returns whether it succeeded; raises nothing but a cancellation."""
        self.ran_at, self._ticks = clock.now(), clock.ticks()
        self._is_running = True
        try:
            await work()
        except Exception as error:
            self.failed(error)
            return False
        finally:
            self._is_running = False
        self.succeeded()
        return True

    def succeeded(self) -> None:
        """Notes a round that went well. Call it directly where the work has a loop of its own."""
        self.ran_at = self.succeeded_at = clock.now()
        self._ticks = clock.ticks()
        if self.failing_since is not None:
            logs.duty_recovered(self.name, self.failures, max(self.succeeded_at - self.failing_since, 0) // 1_000_000)
            self.failing_since, self.failures, self.error, self.cause = None, 0, "", ""
            self._logged.clear()

    def failed(self, error: Exception) -> None:
        """Notes a round that failed, and logs it unless the same cause was logged already."""
        self.ran_at, at = clock.now(), clock.ticks()
        self._ticks = at
        self.failing_since = self.failing_since or self.ran_at
        self.failures += 1
        self.error, self.cause = describe(error), cause_of(error)
        kind = f"{type(error).__name__} {_NUMBERS.sub('#', str(error))[:200]}"
        if at - self._logged.get(kind, -LOG_AGAIN_US) < LOG_AGAIN_US:
            return
        if len(self._logged) >= CAUSES:
            if at - max(self._logged.values()) < LOG_AGAIN_US // CAUSES:
                return
            self._logged.clear()
        self._logged[kind] = at
        logs.duty_failed(self.name, self.error, self.pause_s, None if isinstance(error, StoreError) else error)

    @property
    def pause_s(self) -> float:
        """Seconds until the next round: the interval, doubled with each failure up to a minute."""
        return (
            self.every_s
            if not self.failures
            else max(self.every_s, min(LONGEST_PAUSE_S, max(self.every_s, 0.5) * 2 ** min(self.failures, 10)))
        )

    @property
    def state(self) -> str:
        """`ok`, `failing`, `stalled`, or `waiting` before the first round."""
        if self.failing_since is not None:
            return "failing"
        if clock.ticks() - self._ticks > STALLED_US + int(self.every_s * 1_000_000):
            return "stalled"
        return "ok" if self.succeeded_at is not None else "waiting"


class Duties:
    """Every duty of one server, in the order they were added."""

    def __init__(self) -> None:
        self._by_name: dict[str, Duty] = {}

    def add(self, name: str, every_s: float) -> Duty:
        """Returns the duty of that name, which the first call creates."""
        return self._by_name.setdefault(name, Duty(name, every_s))

    def remove(self, name: str) -> None:
        """Removes a duty that is done and has no state any longer."""
        self._by_name.pop(name, None)

    def all(self) -> list[Duty]:
        """Returns all duties."""
        return list(self._by_name.values())

    @property
    def unhealthy(self) -> list[Duty]:
        """Those that fail or have stalled."""
        return [duty for duty in self._by_name.values() if duty.state in ("failing", "stalled")]


async def repeat(duty: Duty, work: Callable[[int], Awaitable[object]]) -> None:
    """Runs `work(now)` at the duty's interval until cancelled."""
    while True:
        await asyncio.sleep(clock.pause_s(duty.pause_s))
        await duty.attempt(lambda: work(clock.now()))


async def until_done(duty: Duty, work: Callable[[], Awaitable[object]]) -> None:
    """Runs `work` until it has succeeded once."""
    while not await duty.attempt(work):  # noqa: ASYNC110 -- nobody sets an event when a disk has room again
        await asyncio.sleep(duty.pause_s)
