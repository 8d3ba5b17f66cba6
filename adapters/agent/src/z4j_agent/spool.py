# SPDX-License-Identifier: Apache-2.0
"""The writing half of the spool: one append-only segment per process tree, one `write` per record.

Who may call it: any thread of any process that imported the agent, also in a forked child, also in a signal handler.
The append path takes no lock and opens nothing. Segments are RFC 7464 (see `wire`), so a torn record harms only itself.

A segment belongs to whoever holds an flock on it; forked children share the open file description and therefore the lock, so the
lock is free exactly when nobody can write any more. That is all the shipper needs to know before it deletes (`shipper.py`).
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import resource
import secrets
import stat
import threading
import time
from collections.abc import Callable
from pathlib import Path

SEGMENT_SUFFIX = ".seg"
ROTATE_BYTES = 1024 * 1024
"""A segment is left for a new one at this size, so that acked data can be deleted soon."""
CHECK_EVERY_S = 1.0
CHECK_EVERY_BYTES = 256 * 1024


class SpoolUnusable(Exception):
    """The folder cannot be used. The message says why; the caller tries the next place."""


def prepare_folder(folder: Path) -> None:
    """Makes `folder` ours alone (0700). Raises SpoolUnusable for a link, a foreign owner or a folder we cannot write."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        facts = os.lstat(folder)
    except OSError as error:
        raise SpoolUnusable(f"spool folder {folder} cannot be made: {error.strerror}") from error
    if not stat.S_ISDIR(facts.st_mode):
        raise SpoolUnusable(f"spool folder {folder} is a link or not a folder")
    if facts.st_uid != os.geteuid():
        raise SpoolUnusable(f"spool folder {folder} belongs to another user")
    if stat.S_IMODE(facts.st_mode) != 0o700:
        try:
            folder.chmod(0o700)
        except OSError as error:
            raise SpoolUnusable(f"spool folder {folder} cannot be made private: {error.strerror}") from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise SpoolUnusable(f"spool folder {folder} is not writable")


def _high_number(fd: int) -> int:
    """The same file under a high descriptor number, which a host's `closerange` and reuse of low numbers leave alone."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        high = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, min(512, max(3, soft // 2)))
    except OSError:
        return fd
    os.close(fd)
    return high


class Spool:
    """Appends records to the current segment of this process tree.

    `origin` gives the bytes of the origin record; it is asked for whenever a segment is opened.
    """

    def __init__(self, folder: Path, origin: Callable[[], bytes]) -> None:
        self.folder = folder
        self.dropped = 0
        """Records that could not be written; reported as a gap by the next append that works."""
        self._origin = origin
        self._fd = -1
        self._inode = 0
        self._written = 0
        self._unchecked = 0
        self._checked_at = 0.0
        self._rotating = threading.Lock()

    def append(self, record: bytes) -> bool:
        """Writes one record with one `write`. False when it could not be written; never raises OSError."""
        try:
            if self._fd < 0 or self._is_check_due(len(record)):
                self._ensure()
            try:
                os.write(self._fd, record)
            except OSError as error:
                if error.errno != 9:  # EBADF: the host closed what it did not open. Open another and write once more.
                    raise
                self._fd = -1
                self._ensure()
                os.write(self._fd, record)
        except OSError:
            self.dropped += 1
            return False
        self._written += len(record)
        if self._written >= ROTATE_BYTES:
            self._rotate()
        return True

    def after_fork_in_child(self) -> None:
        """The child goes on appending to the inherited descriptor; only the lock must be fresh."""
        self._rotating = threading.Lock()

    def new_segment(self) -> None:
        """Leaves the current segment, so that the next one begins with the present origin; opens one where there is none.

        Called before a worker forks, so that its children inherit an open segment instead of opening one each.
        """
        if self._fd >= 0:
            self._rotate()
            return
        try:
            self._ensure()
        except OSError:
            self.dropped += 1

    def close(self) -> None:
        """Gives up the segment. Later appends open a new one."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            with contextlib.suppress(OSError):
                os.close(fd)

    def take_dropped(self) -> int:
        """How many records were refused since the last call."""
        dropped, self.dropped = self.dropped, 0
        return dropped

    # -- segments ------------------------------------------------------------------------------------------------------
    def _is_check_due(self, size: int) -> bool:
        self._unchecked += size
        return self._unchecked >= CHECK_EVERY_BYTES or time.monotonic() - self._checked_at >= CHECK_EVERY_S

    def _ensure(self) -> None:
        """Opens a segment unless the descriptor still names ours: another inode or no link means it must not be written to."""
        self._unchecked, self._checked_at = 0, time.monotonic()
        if self._fd >= 0:
            try:
                facts = os.fstat(self._fd)
            except OSError:
                self._fd = -1  # closed by the host
            else:
                if facts.st_ino == self._inode and facts.st_nlink > 0:
                    self._written = facts.st_size
                    return
                if facts.st_ino == self._inode:  # ours, but unlinked: the folder was wiped
                    os.close(self._fd)
                self._fd = -1  # else the number belongs to the host now and is left alone
        self._fd, self._inode = self._open()
        self._written = 0

    def _open(self) -> tuple[int, int]:
        """A new segment under our flock, beginning with the origin record. Raises OSError."""
        while True:
            path = self.folder / f"{time.time_ns():020d}-{os.getpid()}-{secrets.token_hex(3)}{SEGMENT_SUFFIX}"
            try:
                fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            except FileExistsError:
                continue
            except FileNotFoundError:
                self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                continue
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:  # the shipper met the newborn first and is about to delete it
                os.close(fd)
                continue
            if os.fstat(fd).st_nlink == 0:
                os.close(fd)
                continue
            fd = _high_number(fd)
            os.write(fd, self._origin())
            return fd, os.fstat(fd).st_ino

    def _rotate(self) -> None:
        """Opens the next segment under the same number: a thread in the middle of `write` hits the old or the new file."""
        if not self._rotating.acquire(blocking=False):
            return
        try:
            if self._fd < 0:
                return
            fd, inode = self._open()
            os.dup2(fd, self._fd, inheritable=False)
            os.close(fd)
            self._inode, self._written = inode, 0
        except OSError:
            self._written = 0  # the segment just grows; the next round tries again
        finally:
            self._rotating.release()
