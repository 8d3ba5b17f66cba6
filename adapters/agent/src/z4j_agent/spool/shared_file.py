# SPDX-License-Identifier: Apache-2.0
"""Small files of the spool folder that several processes share: a JSON value that is replaced whole, and lines that are only added.

The same rules apply to all of them:

- A file is created with mode 0600. Links are not followed. A pipe or a device instead of a file is refused without waiting.
- A value is replaced atomically: a reader sees the old value or the new one, never a part of one.
- A value that cannot be read or is broken is *unknown*, never empty: what was read from it before stays in force, and the problem is
  reported once as a fault. Reading a value never raises; reading lines raises OSError.
- Writing raises OSError. A value is then unchanged. A line may have been written in part; the next one begins on a line of its own.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import secrets
import stat
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

from z4j_agent.capture.guard import faults, let_through
from z4j_agent.spool.file_lock import change_lock

T = TypeVar("T")
Stamp = tuple[int, int, int]
MAX_BYTES: Final = 64 * 1024 * 1024
"""A larger file was not written by an agent."""
KEEP_BYTES: Final = 1024 * 1024
"""A file of lines that has grown beyond this loses its older half."""


def open_shared(path: Path, how: int) -> int:
    """Opens a plain file and returns its descriptor. `how` are flags of `os.open`; a new file has mode 0600. Raises OSError, also for a
    link, and for a pipe, on which the application could wait."""
    fd = os.open(path, how | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    return fd


def replace_file(path: Path, content: bytes) -> Stamp:
    """Replaces the content of a file atomically, and returns its stamp: (mtime in nanoseconds, size in bytes, inode). Raises OSError; then
    no temporary file is left."""
    # The name is random, not the process id: two containers that share the folder may have equal ids.
    fresh = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    try:
        with os.fdopen(open_shared(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL), "wb") as file:
            file.write(content)
            file.flush()
            stamp = _stamp_of(os.fstat(file.fileno()))  # before the file has its name: another process may replace it at once
        fresh.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            fresh.unlink(missing_ok=True)
        raise
    return stamp


def _stamp_of(facts: os.stat_result) -> Stamp:
    return facts.st_mtime_ns, facts.st_size, facts.st_ino


class SharedJson(Generic[T]):
    """`parse` converts the JSON value to the caller's type, and raises an exception of any type for a value of another form. `dump` is
    the reverse, `decode` reads JSON from the bytes. `path` is None without a spool folder: then the value is in memory, for this process
    alone."""

    def __init__(
        self,
        path: Path | None,
        parse: Callable[[Any], T],
        dump: Callable[[T], Any] = lambda value: value,
        decode: Callable[[bytes], Any] = json.loads,
    ) -> None:
        self._path = path
        self._parse, self._dump, self._decode = parse, dump, decode
        self._value: T | None = None
        self._stamp: Stamp | None = None
        """Stamp of the version that was read last; None if there was no file."""
        self._bad: Stamp | None = None
        """Stamp of a version whose content is broken, so that it is not read again at every call."""
        self.error: Exception | None = None
        """Why the content is unknown. None if it is known, also if there is no file."""

    def changed(self) -> bool:
        """Whether `read` would return another value than the last time. Costs one `stat`. Never raises."""
        before = self._stamp
        self.read()
        return self._stamp != before

    def read(self) -> T | None:
        """Returns the value; None if there is no file. While the content is unknown, see `error`, the last value that was read, or None.
        Costs one `stat` while the file is unchanged. Never raises."""
        if self._path is None:
            return self._value
        try:
            stamp = _stamp_of(os.lstat(self._path))
            if stamp == self._stamp:
                self.error = None
            elif stamp != self._bad:
                self._load(self._path)
        except (FileNotFoundError, NotADirectoryError):
            self._value = self._stamp = self.error = None
        except OSError as error:
            self._report(error)
        return self._value

    def _load(self, path: Path) -> None:
        with os.fdopen(open_shared(path, os.O_RDONLY), "rb") as file:
            stamp, content = _stamp_of(os.fstat(file.fileno())), file.read(MAX_BYTES + 1)
        try:
            if len(content) > MAX_BYTES:
                raise ValueError(f"more than {MAX_BYTES} bytes")
            value = self._parse(self._decode(content))
        except Exception as error:  # any exception of a parser
            let_through(error)
            self._bad = stamp
            self._report(error)
        else:
            self._value, self._stamp, self.error = value, stamp, None

    def _report(self, error: Exception) -> None:
        """Reports an error once until the file can be read again: it may be read before every task."""
        if type(error) is not type(self.error) or str(error) != str(self.error):
            faults.report(f"reading {self._path.name if self._path else 'a shared file'}", error)
        self.error = error

    def replace(self, value: T) -> None:
        """Writes a value to the file, and stores it in memory. Raises OSError if it cannot be written, and an exception of `dump` or
        TypeError for a value without a JSON form; then file and memory are unchanged."""
        if self._path is not None:
            self._stamp = replace_file(self._path, json.dumps(self._dump(value)).encode() + b"\n")
        self._value, self.error = value, None

    def remove(self) -> None:
        """Deletes the file and the value in memory; `read` returns None afterwards. Raises OSError if the file cannot be deleted."""
        if self._path is not None:
            self._path.unlink(missing_ok=True)
        self._value = self._stamp = self.error = None


class SharedLines:
    """Lines that any process adds atomically, and that each process reads once. The older half is dropped when the file becomes large."""

    def __init__(self, path: Path, *, is_created: bool = False) -> None:
        """`is_created`: the first read creates the file, so that the next ones need not look for it."""
        self._path = path
        self._flags = os.O_RDONLY | (os.O_CREAT if is_created else 0)
        self._seen = 0, 0
        """Inode and size of the file when it was read last."""
        self._position = 0
        """Offset up to which it was read: the last line may be torn."""
        self._fd, self._inode = -1, (0, 0)
        """A descriptor of the file with its device and inode. Its `fstat` takes a fifth of the time of a `stat` of the path."""
        self._opening = threading.Lock()
        """Acquired without waiting. In a child that was forked meanwhile it stays locked, and each read costs a `stat`."""

    def append(self, line: bytes) -> None:
        """Adds a line, given without its end and without line breaks, with one `write`. Above KEEP_BYTES the file is then replaced by its
        newer half; if that fails, the file grows, and a fault is counted. Raises OSError if the line could not be written completely. May
        wait for another process (`change_lock`)."""
        with contextlib.ExitStack() as stack:
            try:  # a line that another process adds while the file is replaced would be lost
                stack.enter_context(change_lock(self._path.parent))
                is_locked = True
            except OSError as error:  # a process that was stopped has the lock, and no other one replaces the file meanwhile
                faults.report(f"locking {self._path.name}", error)
                is_locked = False
            if self._write(line) > KEEP_BYTES and is_locked:
                try:
                    self._drop_older_half()
                except OSError as error:
                    faults.report(f"shortening {self._path.name}", error)

    def _write(self, line: bytes) -> int:
        """Adds a line. Returns the size of the file before. Raises OSError."""
        fd = open_shared(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT)
        try:
            size = os.fstat(fd).st_size
            is_torn = bool(size) and os.pread(fd, 1, size - 1) != b"\n"  # a full disk, or a process that was killed
            line = b"\n" * is_torn + line + b"\n"
            if os.write(fd, line) != len(line):
                raise OSError(errno.ENOSPC, "the line could not be written completely", str(self._path))
        finally:
            os.close(fd)
        return size

    def _drop_older_half(self) -> None:
        with os.fdopen(open_shared(self._path, os.O_RDONLY), "rb") as file:
            replace_file(self._path, file.read()[-KEEP_BYTES // 2 :].partition(b"\n")[2])

    def read(self, take: Callable[[list[bytes], bool], None]) -> None:
        """Calls `take(lines, is_other)` with the complete lines, without their ends, that were added since the last call. `is_other`: the
        file was replaced, shortened or removed, or is read for the first time, and `lines` are all that it contains. Without a change it
        costs one `fstat`, and `take` is not called. Raises OSError, and the exceptions of `take`; then the same lines are read again."""
        try:
            facts = self._facts()
        except (FileNotFoundError, NotADirectoryError):
            if self._seen[0]:
                take([], True)
            self._seen, self._position = (0, 0), 0
            return
        if (facts.st_ino, facts.st_size) == self._seen:
            return
        with os.fdopen(open_shared(self._path, os.O_RDONLY), "rb") as file:
            facts = os.fstat(file.fileno())
            is_other = facts.st_ino != self._seen[0] or facts.st_size < self._position
            position = 0 if is_other else self._position
            file.seek(position)
            content = file.read()
        whole = content.rfind(b"\n") + 1  # the last line may be incomplete
        take(content[:whole].split(b"\n")[:-1], is_other)
        # Only now: if another thread finds nothing new, all lines must have been processed.
        self._seen, self._position = (facts.st_ino, position + len(content)), position + whole

    def _facts(self) -> os.stat_result:
        """Of the file as it is now: appending changes its size, and replacing or removing it leaves an inode without a link. Raises
        OSError."""
        if self._fd >= 0:
            try:
                facts = os.fstat(self._fd)
            except OSError:  # the application has closed a descriptor that it did not open
                self._fd = -1
            else:
                is_ours = (facts.st_dev, facts.st_ino) == self._inode  # else the application has the number now
                if is_ours and facts.st_nlink:
                    return facts
                self._forget(self._fd, is_ours=is_ours)
        self._open()
        return os.lstat(self._path)

    def _forget(self, fd: int, *, is_ours: bool) -> None:
        if self._opening.acquire(blocking=False):
            try:
                if self._fd == fd:
                    self._fd = -1
                    if is_ours:
                        os.close(fd)
            finally:
                self._opening.release()

    def _open(self) -> None:
        """Opens the file for `_facts`; without a descriptor, or while another thread opens one, each read costs a `stat` of the path."""
        if self._fd < 0 and self._opening.acquire(blocking=False):
            try:
                if self._fd < 0:
                    fd = open_shared(self._path, self._flags)
                    facts = os.fstat(fd)
                    self._inode, self._fd = (facts.st_dev, facts.st_ino), fd
            except OSError:
                pass
            finally:
                self._opening.release()
