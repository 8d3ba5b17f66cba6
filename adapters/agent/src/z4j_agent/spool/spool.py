# SPDX-License-Identifier: Apache-2.0
"""The writing half of the spool: one append-only segment per process tree, one `write` per record, or for records that are
captured together.

It may be called in any thread of any process that imported the agent, also in a forked child and in a signal handler.
The append path takes no lock and opens nothing. Segments are RFC 7464 (see `wire`), so a torn record affects only itself.

A segment belongs to the processes that hold an flock on it. Forked children share the open file description and therefore the lock, so
the lock is free exactly when no process can write. The shipper checks this before it deletes (`shipper.py`).
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import resource
import secrets
import stat
import threading
import time
from collections.abc import Callable
from pathlib import Path

from z4j_agent.runtime.native_threads import ticks
from z4j_agent.wire.kinds import RECORD_END

SEGMENT_SUFFIX = ".seg"
ROTATE_BYTES = 1024 * 1024
"""A new segment is started at this size, so that acknowledged data can be deleted soon."""
CHECK_EVERY_S = 1.0
CHECK_EVERY_BYTES = 256 * 1024


class SpoolUnusable(Exception):
    """The folder cannot be used. The message contains the reason; the caller tries the next location."""


def prepare_folder(folder: Path) -> None:
    """Creates `folder` if it is missing, and makes it accessible to this user only (0700). Raises SpoolUnusable for a link, another owner
    or a folder that cannot be written, and OSError if the folders above it cannot be examined."""
    try:
        _make_private(folder)
        facts = os.lstat(folder)
    except OSError as error:
        raise SpoolUnusable(f"spool folder {folder} cannot be created: {error.strerror}") from error
    if is_foreign(folder.parent):
        raise SpoolUnusable(f"spool folder {folder} is inside a folder of another user")
    if not stat.S_ISDIR(facts.st_mode):
        raise SpoolUnusable(f"spool folder {folder} is a link or a file")
    if facts.st_uid != os.geteuid():
        raise SpoolUnusable(f"spool folder {folder} belongs to another user")
    if stat.S_IMODE(facts.st_mode) != 0o700:
        try:
            folder.chmod(0o700)
        except OSError as error:
            raise SpoolUnusable(f"spool folder {folder} cannot be made private: {error.strerror}") from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise SpoolUnusable(f"spool folder {folder} is not writable")


def is_foreign(folder: Path) -> bool:
    """Whether the folder is in a location that any user can write, and belongs to another user. Raises OSError."""
    return _is_shared(folder.parent) and (os.path.islink(folder) or os.lstat(folder).st_uid != os.geteuid())


def _make_private(folder: Path) -> None:
    """Like `mkdir -p`, with access for this user only. Raises OSError."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    for path in reversed(missing):
        with contextlib.suppress(FileExistsError):
            path.mkdir(mode=0o700)


def _is_shared(folder: Path) -> bool:
    """Whether it is a folder like /tmp, in which any user can create files."""
    return bool(stat.S_IMODE(os.stat(folder).st_mode) & stat.S_IWOTH)


def _high_number(fd: int) -> int:
    """Duplicates a descriptor to a high number, which an application's `closerange` and reuse of low numbers do not affect."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        high = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, min(512, max(3, soft // 2)))
    except OSError:
        return fd
    os.close(fd)
    return high


class Spool:
    """Appends records to the current segment of this process tree.

    `origin` returns the bytes of the origin record; it is called whenever a segment is opened and must not raise."""

    def __init__(self, folder: Path, origin: Callable[[], bytes]) -> None:
        self.folder = folder
        self.dropped = 0
        """Records that could not be written; reported as a gap by the next append that works."""
        self.dropped_total = 0
        """The same since the process's start."""
        self._origin = origin
        self._fd = -1
        self._inode = 0
        self._written = 0
        self._unchecked = 0
        self._checked_at = 0.0
        self._changing = threading.Lock()
        """Acquired without waiting, by code that opens or replaces the segment. Append does not need it."""

    def append(self, records: bytes, count: int = 1) -> bool:
        """Writes one record, or `count` records in a row, as `encode_record` returns them, with one `write`. May be called in any thread,
        forked child or signal handler. Returns False if they could not be written completely, and counts the missing ones in `dropped`;
        never raises OSError."""
        try:
            self._unchecked += len(records)
            if self._fd < 0 or self._unchecked >= CHECK_EVERY_BYTES or ticks() - self._checked_at >= CHECK_EVERY_S:
                self._ensure()
            try:
                written = os.write(self._fd, records) if self._fd >= 0 else self._write_aside(records)
            except OSError as error:
                if (
                    error.errno != errno.EBADF
                ):  # EBADF: the application closed a descriptor that it did not open. Open another, write once more.
                    raise
                self._ensure()
                written = os.write(self._fd, records) if self._fd >= 0 else self._write_aside(records)
        except OSError:
            written = -1
        if written != len(records):  # nothing, or a torn record, which readers skip
            lost = count - records[: max(written, 0)].count(RECORD_END)
            self.dropped += lost
            self.dropped_total += lost
            return False
        self._written += written
        if self._written >= ROTATE_BYTES:
            self._rotate()
        return True

    def after_fork_in_child(self) -> None:
        """Called in a forked child, which appends to the inherited descriptor. It needs a new lock if a thread of its parent holds it."""
        if self._changing.locked():
            self._changing = threading.Lock()

    def new_segment(self) -> None:
        """Ends the current segment, so that the next one begins with the current origin; opens one if there is none. Never raises OSError.

        Called before a worker forks, so that its children inherit an open segment instead of opening one each."""
        if self._fd >= 0:
            self._rotate()
            return
        with contextlib.suppress(OSError):  # the next append tries again, and counts it if that fails too
            self._ensure()

    def close(self) -> None:
        """Closes the segment. Later appends open a new one. Never raises OSError."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            with contextlib.suppress(OSError):
                if os.fstat(fd).st_ino == self._inode:  # else the number belongs to the application now
                    os.close(fd)

    def take_dropped(self) -> int:
        """Returns the number of records that were refused since the last call."""
        dropped, self.dropped = self.dropped, 0
        return dropped

    # -- segments ------------------------------------------------------------------------------------------------------
    def _ensure(self) -> None:
        """Opens a segment unless the descriptor still refers to the current one: with another inode or without a link it must not be
        written.

        Does nothing while another thread does it (then there may be no segment yet, see `_write_aside`). Raises OSError.

        """
        if not self._changing.acquire(blocking=False):
            return
        try:
            self._unchecked, self._checked_at = 0, ticks()
            if self._fd >= 0 and self._is_ours():
                return
            self._fd = -1
            fd, inode = self._open()
            self._written, self._inode, self._fd = 0, inode, fd
        finally:
            self._changing.release()

    def _is_ours(self) -> bool:
        try:
            facts = os.fstat(self._fd)
        except OSError:
            return False  # closed by the application
        if facts.st_ino != self._inode:
            return False  # the number belongs to the application now and is not used
        if facts.st_nlink > 0:
            self._written = facts.st_size
            return True
        os.close(self._fd)  # the agent's, but unlinked: the folder was deleted
        return False

    def _write_aside(self, records: bytes) -> int:
        """Writes a segment for these records only, in a thread (or signal handler) that appends while the first segment is being opened."""
        fd, _ = self._open()
        try:
            return os.write(fd, records)
        finally:
            os.close(fd)

    def _open(self) -> tuple[int, int]:
        """Creates a segment under its flock, beginning with the origin record. Raises OSError."""
        while True:
            path = self.folder / f"{time.time_ns():020d}-{os.getpid()}-{secrets.token_hex(3)}{SEGMENT_SUFFIX}"
            try:
                fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            except FileExistsError:
                continue
            except FileNotFoundError:
                _make_private(self.folder)
                continue
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.fstat(fd).st_nlink == 0:
                    raise BlockingIOError
                fd = _high_number(fd)
                origin = self._origin()
                if os.write(fd, origin) != len(origin):
                    raise OSError(errno.ENOSPC, "the origin was not written completely")
                return fd, os.fstat(fd).st_ino
            except BlockingIOError:  # the shipper found the new segment first and has deleted it, or is about to
                os.close(fd)
            except OSError:
                os.close(fd)
                raise

    def _rotate(self) -> None:
        """Opens the next segment under the same number: a thread in the middle of `write` writes to the old or the new file."""
        if not self._changing.acquire(blocking=False):
            return
        try:
            if self._fd < 0 or not self._is_ours():
                self._fd = -1  # the next append opens another
                return
            fd, inode = self._open()
            os.dup2(fd, self._fd, inheritable=False)
            os.close(fd)
            self._inode, self._written = inode, 0
        except OSError:
            self._written = 0  # the segment grows; the next call tries again
        finally:
            self._changing.release()
