# SPDX-License-Identifier: Apache-2.0
"""Whose turn it is: of the agents that share a spool folder, one for each engine, its brokers and
environment asks how much waits.

Fifty workers of one queue need not ask the same thing every five seconds. The kernel gives a turn away the moment its holder dies.
Used by the agent's thread alone.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Collection
from pathlib import Path

from z4j_agent.settings import DEFAULT_ENVIRONMENT
from z4j_agent.wire import digest_of


class PollLease:
    """`folder` is the spool folder, or None where there is none; then every turn is ours."""

    def __init__(self, folder: Path | None, environment: str = DEFAULT_ENVIRONMENT) -> None:
        self._folder = folder
        self._suffix = "" if environment == DEFAULT_ENVIRONMENT else f"-{digest_of(environment)}"
        self._acquired: dict[str, int] = {}
        self._tried: dict[str, int] = {}
        """Descriptors that wait for their turn, so that a fork never meets one without a name."""

    def acquire(self, engine: str, brokers: Collection[str] = ()) -> bool:
        """Whether this process asks for this engine and these brokers. Never waits, never raises."""
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
        except OSError:  # no folder, no descriptor left: asking once too often does no harm
            return True
        self._acquired[engine] = self._tried.pop(engine)
        return True

    def give_up(self) -> None:
        """Lets other processes have their turn; also called in a forked child, which would keep a turn beyond the death of its parent."""
        for fd in (*self._acquired.values(), *self._tried.values()):
            with contextlib.suppress(OSError):
                os.close(fd)
        self._acquired, self._tried = {}, {}
