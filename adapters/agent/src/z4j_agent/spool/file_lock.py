# SPDX-License-Identifier: Apache-2.0
"""A short lock between the threads and processes of a spool folder, for changes that read a shared file before they write it.

It is an flock on `change.lock`, one for the whole folder: changes are made by commands, and take less than a millisecond.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from z4j_agent.runtime.native_threads import SLEEP, ticks

LOCK: Final = "change.lock"
WAIT_S: Final = 0.5
EVERY_S: Final = 0.001
_open: set[int] = set()
"""Descriptors of this process's locks, for a child that is forked in the middle of a change by another thread."""


@contextlib.contextmanager
def change_lock(folder: Path) -> Iterator[None]:
    """Holds the lock of a spool folder; not reentrant. Waits at most WAIT_S seconds, then raises OSError (ETIMEDOUT): another process was
    stopped in the middle of a change. Raises OSError, too, if the lock cannot be opened. Call it in the agent's thread, or where a change
    is rare."""
    fd = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600)
    _open.add(fd)
    try:
        _acquire(fd)
        try:
            yield
        finally:
            with contextlib.suppress(OSError):
                fcntl.flock(fd, fcntl.LOCK_UN)  # a forked child that has the same open file would hold it beyond `close`
    finally:
        _open.discard(fd)
        with contextlib.suppress(OSError):  # the application has closed it
            os.close(fd)


def _acquire(fd: int) -> None:
    ends = ticks() + WAIT_S
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if ticks() >= ends:
                raise OSError(errno.ETIMEDOUT, "another process is changing the files of the spool folder; try again") from None
            SLEEP(EVERY_S)
        else:
            return


def after_fork_in_child() -> None:
    """Closes inherited locks in a forked child, which would hold them beyond the death of its parent. Never raises."""
    while _open:
        try:
            os.close(_open.pop())
        except OSError:
            pass  # the application has closed it; without `contextlib`, whose pages each child would copy
