# SPDX-License-Identifier: AGPL-3.0-or-later
"""Argon2id off the event loop, and bounded: a hash costs tens of milliseconds and 64 MiB, so unknown clients must not start many.

At most two run at once, in their own threads, and few wait. Further requests are refused immediately.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import threading
from base64 import b64encode
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from argon2.low_level import ARGON2_VERSION

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

    def unknown_hash(self) -> str:
        """Returns a hash that no password is known for. Verifying a password against it takes as long as against any other; making it
        takes nothing, while a true hash costs 0.2 s of a processor at each start and for each command."""
        made = self._hasher
        salt, digest = (b64encode(secrets.token_bytes(size)).rstrip(b"=").decode() for size in (made.salt_len, made.hash_len))
        return f"$argon2id$v={ARGON2_VERSION}$m={made.memory_cost},t={made.time_cost},p={made.parallelism}${salt}${digest}"

    async def hash(self, password: str) -> str:
        """Returns the hash to store. Raises TooMany."""
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
