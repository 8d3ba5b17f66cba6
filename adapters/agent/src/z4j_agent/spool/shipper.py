# SPDX-License-Identifier: Apache-2.0
"""The reading half of the spool: the process that holds `ship.lock` sends the contents of the segments and deletes acknowledged ones.

Bytes are sent unchanged, never decoded. The rule for deleting: the holder of `ship.lock` acquires the segment's own flock (so no process
has it open for writing) and finds no complete record after the acknowledged offset. Dead, rotated and exited writers are the same case.
No file is ever truncated.

Used by the agent's thread alone.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from z4j_agent.runtime.native_threads import ticks
from z4j_agent.spool.shared_file import replace_file
from z4j_agent.spool.spool import SEGMENT_SUFFIX
from z4j_agent.wire import MAX_BATCH, MAX_RECORD, RECORD_END, RECORD_START, encode_record

LOCK = "ship.lock"
GAP = RECORD_START + b'["gap",'
CURSOR_EVERY_S = 1.0
"""What was acknowledged since then is sent again after this process was killed, and counts once. Other processes of the folder read the
cursor to determine what is acknowledged (`is_empty`)."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Whole records of one segment, and the offset behind them in bytes. `data` is empty for a record that is too long to be sent."""

    segment: str
    end: int
    data: bytes


class Shipper:
    """`folder` is the spool folder; `limit` its maximum size in bytes, above which the oldest segments are dropped. `report` appends a
    record to the spool and returns whether it was written; it receives the records of gaps."""

    def __init__(self, folder: Path, limit: int, report: Callable[[bytes], bool]) -> None:
        self.folder = folder
        self.limit = limit
        self.bytes = 0
        """Unacknowledged bytes in the folder at the last `tidy`."""
        self.lock_fd = -1
        self._lock_inode = 0
        """Of the file that was opened as `lock_fd`: an application that closes all descriptors may have the number now."""
        self.is_holder = False
        self.is_elsewhere = False
        """Whether another process sends this folder."""
        self._report = report
        self._read: dict[str, int] = {}
        self._acked: dict[str, int] = {}
        self._is_cursor_stale = False
        self._cursor_saved_at = 0.0

    # -- the lock ------------------------------------------------------------------------------------------------------
    def try_take(self) -> bool:
        """Acquires the lock. Returns whether this process sends this folder. The kernel releases the lock as soon as its holder dies.
        Never raises."""
        if self.is_holder:
            return True
        try:
            if not self._is_lock_open():
                self.lock_fd = os.open(
                    self.folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600
                )  # kept open while another process holds the lock, so that a fork never inherits an unlisted descriptor
                self._lock_inode = os.fstat(self.lock_fd).st_ino
            fcntl.flock(self.lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not self._is_lock_current():
                self.give_up()
                return False
        except BlockingIOError:
            self.is_elsewhere = True
            return False
        except OSError:  # the folder is gone; the next append creates it again
            return False
        self._acked = self._load_cursor()
        self._read = dict(self._acked)
        self.is_holder, self.is_elsewhere = True, False
        return True

    def give_up(self) -> None:
        """Releases the lock: another process sends the unacknowledged records again. Never raises."""
        if self.is_holder:
            self._save_cursor()
        self.is_holder = False
        self._close_lock()

    def after_fork_in_child(self) -> None:
        """Closes the lock in a forked child, which would hold it beyond the death of its parent."""
        self.is_holder = self.is_elsewhere = False
        self._close_lock()

    def _close_lock(self) -> None:
        fd = self.lock_fd if self._is_lock_open() else -1
        self.lock_fd = -1
        if fd >= 0:
            try:
                os.close(fd)
            except OSError:
                pass  # without `contextlib`, whose pages each child would copy

    def _is_lock_open(self) -> bool:
        """Whether `lock_fd` is the file that was opened, and not closed or the application's."""
        try:
            return self.lock_fd >= 0 and os.fstat(self.lock_fd).st_ino == self._lock_inode
        except OSError:
            return False

    def _is_lock_current(self) -> bool:
        """Whether the locked file is still the one that others would lock: the folder may have been deleted."""
        try:
            return os.stat(self.folder / LOCK).st_ino == os.fstat(self.lock_fd).st_ino
        except OSError:
            return False

    # -- reading -------------------------------------------------------------------------------------------------------
    def rewind(self) -> None:
        """Makes unacknowledged records be sent again: call it for every new connection."""
        self._read = dict(self._acked)

    def next_batch(self) -> Batch | None:
        """Returns the oldest unsent records, or None: up to MAX_BATCH bytes, or MAX_RECORD + 2 if the first record is longer than that. A
        batch with empty `data` replaces a record that is too long to be sent, whose gap was reported: acknowledge it without sending.
        Raises OSError if the folder cannot be read, or no other records are unsent than those of a segment that cannot."""
        unreadable: OSError | None = None
        for path in self._segments():
            try:
                if self._size(path) > self._read.get(path.name, 0) and (batch := self._cut(path)) is not None:
                    self._read[batch.segment] = batch.end
                    return batch
            except OSError as error:
                unreadable = unreadable or error
        if unreadable is not None:
            raise unreadable
        return None

    def acked(self, batch: Batch) -> None:
        """Stores that the server has committed everything up to the end of this batch. The cursor on disk is saved every CURSOR_EVERY_S at
        most. Never raises OSError."""
        self._acked[batch.segment] = max(batch.end, self._acked.get(batch.segment, 0))
        self._is_cursor_stale = True
        if ticks() - self._cursor_saved_at >= CURSOR_EVERY_S:
            self._save_cursor()

    def is_empty(self) -> bool:
        """Whether everything that was captured is acknowledged. If another process sends, its cursor is used. May be called in any thread.
        Raises OSError if the folder or a segment cannot be read."""
        acked = self._acked if self.is_holder else self._load_cursor()
        return all(self._rest(path, acked.get(path.name, 0)) == 0 for path in self._segments())

    def tidy(self) -> None:
        """Deletes finished segments, enforces the size limit, saves the cursor. Cheap; call it about once a second, in the process that
        holds the lock. Raises OSError if the folder cannot be read, or, after all of that, for a segment that cannot be read or deleted."""
        if not self._is_lock_current():
            self.give_up()
            return
        total = unacked = 0
        segments = self._segments()
        unreadable: OSError | None = None
        for path in segments:
            size = self._size(path)
            try:
                if self._rest(path, self._acked.get(path.name, 0)) == 0 and self._delete_if_free(path):
                    continue
            except OSError as error:
                unreadable = unreadable or error
            total += size
            unacked += max(0, size - self._acked.get(path.name, 0))
        self.bytes = unacked
        for path in segments:
            if total <= self.limit:
                break
            try:
                total -= self._give_up_segment(path)
            except OSError as error:
                unreadable = unreadable or error
        for gone in [name for name in self._acked if not (self.folder / name).exists()]:
            self._acked.pop(gone, None)
            self._read.pop(gone, None)
        self._save_cursor()
        if unreadable is not None:
            raise unreadable

    # -- pieces --------------------------------------------------------------------------------------------------------
    def _segments(self) -> list[Path]:
        """Segments, the oldest first: names begin with the time of their creation."""
        try:
            with os.scandir(self.folder) as entries:
                names = sorted(entry.name for entry in entries if entry.name.endswith(SEGMENT_SUFFIX))
        except FileNotFoundError:
            return []
        return [self.folder / name for name in names]

    @staticmethod
    def _size(path: Path) -> int:
        try:
            return path.stat().st_size
        except FileNotFoundError:
            return 0

    def _cut(self, path: Path) -> Batch | None:
        """Whole records from the read offset on, up to MAX_BATCH bytes. If the first record is longer, up to MAX_RECORD + 2 bytes, with
        those behind it that fit; if it is longer than that, it is skipped. Raises OSError."""
        offset = self._read.get(path.name, 0)
        with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
            for size in (MAX_BATCH, MAX_RECORD + 2):
                data = os.pread(file.fileno(), size, offset)
                end = data.rfind(RECORD_END) + 1
                if end:
                    return Batch(path.name, offset + end, data[:end])
                if len(data) < size:
                    return None  # a torn record; its writer may still be writing
            return self._skip(path, file.fileno(), offset)
        return None

    def _skip(self, path: Path, fd: int, offset: int) -> Batch | None:
        """Skips one record above MAX_RECORD and reports it as a gap."""
        start = offset
        while data := os.pread(fd, MAX_BATCH, offset):
            end = data.find(RECORD_END) + 1
            if end:
                self._gap(f"{path.name}:{start}", 1, offset + end - start, "a record was too large")
                return Batch(path.name, offset + end, b"")
            offset += len(data)
        return None

    @staticmethod
    def _rest(path: Path, offset: int) -> int:
        """Bytes of complete records behind `offset`; 0 if there are none, for example after a torn record of a dead writer."""
        with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
            while data := os.pread(file.fileno(), MAX_BATCH, offset):
                if end := data.rfind(RECORD_END) + 1:
                    return end
                offset += len(data)
        return 0

    def _delete_if_free(self, path: Path) -> bool:
        """Deletes a segment that no process can write to. The second check under its lock covers a last write."""
        with self._locked(path) as fd:
            if fd < 0 or self._rest(path, self._acked.get(path.name, 0)):
                return False
            path.unlink(missing_ok=True)
            return True

    @staticmethod
    @contextlib.contextmanager
    def _locked(path: Path) -> Iterator[int]:
        """Opens a segment under its flock; -1 while a process may still write to it, or if it is gone."""
        try:
            fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:
            yield -1
            return
        try:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield -1
            else:
                yield fd
        finally:
            os.close(fd)

    def _give_up_segment(self, path: Path) -> int:
        """Drops one of the oldest segments because the folder is full, and reports the loss. Returns the freed bytes. Raises OSError.

        A segment that a process may still write to stays: its writer would not notice, and there is at most one for each process.
        """
        with self._locked(path) as fd:
            if fd < 0:
                return 0
            offset, size = self._acked.get(path.name, 0), os.fstat(fd).st_size
            count, gaps = _count(fd, offset)
            facts = (path.name, count, size - offset, "the spool was full")
            untold = [gap for gap in gaps if not self._report(gap)]  # earlier losses must not be lost with this segment
            is_reported = self._gap(*facts)
            path.unlink(missing_ok=True)
            if not is_reported:  # the disk was too full for the report; now there is room
                self._gap(*facts)
            for gap in untold:
                self._report(gap)
            return size

    def _gap(self, key: str, count: int, size: int, cause: str) -> bool:
        """Reports a gap. Idempotent by its key: the same loss reported twice is one loss."""
        opened = key.partition("-")[0]
        first_at = int(opened) // 1000 if opened.isdigit() else 0
        at = time.time_ns() // 1000
        facts = {"count": count, "bytes": size, "first_at": first_at, "last_at": at, "cause": cause}
        return self._report(encode_record(["gap", key, at, facts]))

    def _load_cursor(self) -> dict[str, int]:
        try:
            loaded = json.loads((self.folder / "cursor").read_bytes())
        except (OSError, ValueError):
            return {}  # without a cursor everything still arrives, but more of it twice
        if not isinstance(loaded, dict):
            return {}
        return {str(name): offset for name, offset in loaded.items() if isinstance(offset, int) and offset >= 0}

    def _save_cursor(self) -> None:
        if not self._is_cursor_stale:
            return
        self._cursor_saved_at = ticks()
        try:  # only the holder of the lock writes it
            replace_file(self.folder / "cursor", json.dumps(self._acked).encode())
        except OSError:
            return  # a full disk: the cursor is an optimisation only
        self._is_cursor_stale = False


def _count(fd: int, offset: int) -> tuple[int, list[bytes]]:
    """Number of records after `offset`, and those among them that report earlier losses, which are not counted."""
    count, torn = 0, b""
    gaps: list[bytes] = []
    while data := os.pread(fd, MAX_BATCH, offset):
        *records, torn = (torn + data).split(RECORD_END)
        whole = [record[max(0, record.rfind(RECORD_START)) :] for record in records]  # a torn one may be before it
        reported = [record + RECORD_END for record in whole if record.startswith(GAP)]
        count, gaps, offset = count + len(records) - len(reported), gaps + reported, offset + len(data)
    return count, gaps
