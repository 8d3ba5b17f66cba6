# SPDX-License-Identifier: Apache-2.0
"""Lease for polling queue depths: of the agents that share a spool folder, one polls for each engine, its brokers and its environment.

Fifty workers of one queue need not send the same request every five seconds. The kernel releases a lease as soon as its holder dies.
Used by the agent's thread alone.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Collection
from pathlib import Path

from z4j_agent.settings import DEFAULT_ENVIRONMENT
from z4j_agent.wire import digest_of


class PollLease:
    """`folder` is the spool folder, or None without one; then this process has every lease."""

    def __init__(self, folder: Path | None, environment: str = DEFAULT_ENVIRONMENT) -> None:
        self._folder = folder
        self._suffix = "" if environment == DEFAULT_ENVIRONMENT else f"-{digest_of(environment)}"
        self._acquired: dict[str, int] = {}
        self._tried: dict[str, int] = {}
        """Descriptors of leases that another process holds, kept so that a fork never inherits an unlisted one."""

    def acquire(self, engine: str, brokers: Collection[str] = ()) -> bool:
        """Acquires the lease for this engine and these brokers. Returns whether this process has it. Never waits, never raises."""
        engine += f"-{digest_of(' '.join(sorted(brokers)))}" if brokers else ""
        if self._folder is None or engine in self._acquired:
            return True
        try:
            fd = self._tried.get(engine, -1)
            if fd < 0:
                path = self._folder / f"turn-{engine}{self._suffix}.lock"
                fd = self._tried[engine] = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:  # no folder, no descriptor left: polling once too often does no harm
            return True
        self._acquired[engine] = self._tried.pop(engine)
        return True

    def give_up(self) -> None:
        """Releases all leases. Also called in a forked child, which would hold them beyond the death of its parent."""
        for fd in (*self._acquired.values(), *self._tried.values()):
            try:
                os.close(fd)
            except OSError:
                pass  # the application has closed it
        self._acquired, self._tried = {}, {}
