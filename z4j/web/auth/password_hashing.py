# SPDX-License-Identifier: AGPL-3.0-or-later
"""Argon2id off the event loop, and bounded: a hash costs tens of milliseconds and 64 MiB, so unknown clients must not start many.

At most two run at once, in their own threads, and few wait. Further requests are refused immediately.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from z4j.exceptions import TooMany

T = TypeVar("T")

RUNNING: Final = 2
WAITING: Final = 8
NICE: Final = 15


class PasswordHashing:
    """One per process."""

    def __init__(self, hasher: PasswordHasher) -> None:
        self._hasher = hasher
        self._threads = ThreadPoolExecutor(RUNNING, "z4j-argon2", initializer=_be_nice)
        self._pending = 0
        self.started = 0
        """How many hashes and verifications were started, for tests."""

    def hash_now(self, password: str) -> str:
        """The hash, in this thread: only while the server starts."""
        return self._hasher.hash(password)

    async def hash(self, password: str) -> str:
        """The hash to store. Raises TooMany."""
        return await self._run(WAITING, self._hasher.hash, password)

    async def verify(self, hashed: str, password: str, *, may_wait: bool = False) -> bool:
        """Whether it is the password. Raises TooMany; `may_wait`: only for a person who has signed in before, at a higher limit."""
        return await self._run(2 * WAITING if may_wait else WAITING, self._verify, hashed, password)

    def _verify(self, hashed: str, password: str) -> bool:
        try:
            return self._hasher.verify(hashed, password)
        except (VerificationError, InvalidHashError):
            return False

    async def _run(self, waiting: int, fn: Callable[..., T], *args: Any) -> T:
        if self._pending >= RUNNING + waiting:
            raise TooMany("Too many passwords are being checked. No changes were made.", "Try again in a few seconds.")
        self._pending += 1
        self.started += 1
        running = asyncio.get_running_loop().run_in_executor(self._threads, fn, *args)
        # Counted down when the thread is done: a caller that goes away does not end the hash.
        running.add_done_callback(self._done)
        return await asyncio.shield(running)

    def _done(self, running: asyncio.Future[Any]) -> None:
        self._pending -= 1
        if not running.cancelled():
            running.exception()  # its caller may have gone away


def _be_nice() -> None:
    """Lowers the priority below that of pages and agents: the threads that Argon2 starts inherit it and would else occupy every core."""
    with contextlib.suppress(OSError, AttributeError):  # only Linux sets the priority of one thread
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)
