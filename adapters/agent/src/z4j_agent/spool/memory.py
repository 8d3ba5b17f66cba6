# SPDX-License-Identifier: Apache-2.0
"""The spool if no folder can be written: a socket pair whose reading end only the first process has.

Forked children inherit the writing end. It ends with its reader and has room for a few thousand records at most, so a file is preferred;
records that do not fit are counted and reported as a gap.
"""

from __future__ import annotations

import collections
import json
import socket
from collections.abc import Callable
from pathlib import Path

from z4j_agent.spool.shipper import GAP, Batch
from z4j_agent.wire import MAX_BATCH, split_records

KEEP_BYTES = 16 * 1024 * 1024
MAX_DATAGRAM = 128 * 1024


class MemorySpool:
    """Both halves of the spool: the methods of `Spool` and of `Shipper`. `origin` returns the origin record and must not raise. `bytes` is
    the size of the records that were received and not yet acknowledged; `dropped` and `dropped_total` count records."""

    folder: Path | None = None

    def __init__(self, origin: Callable[[], bytes]) -> None:
        self.dropped = 0
        self.dropped_total = 0
        self.bytes = 0
        self.is_holder = True
        self.is_elsewhere = False
        self._origin = origin
        self._open()

    def _open(self) -> None:
        self._reader, self._writer = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._writer.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 * 1024 * 1024)
        self._writer.setblocking(False)
        self._reader.setblocking(False)
        self._is_reader = True
        self._waiting: collections.deque[bytes] = collections.deque()
        """Items of one record or several: records that were appended together, and batches that are sent again."""
        self._sent: list[bytes] = []
        self._number = 0

    def append(self, records: bytes, count: int = 1) -> bool:
        """Sends one record, or `count` records in a row, to the process that reads. May be called in any thread; never waits. Returns
        False, and counts them as dropped, if the socket is full or closed or they are longer than MAX_DATAGRAM bytes. Never raises
        OSError."""
        try:
            if len(records) > MAX_DATAGRAM:
                raise OSError("too long for a datagram")
            self._writer.send(records)
        except OSError:
            self.dropped += count
            self.dropped_total += count
            return False
        return True

    def take_dropped(self) -> int:
        """Returns the number of records that were dropped since the last call."""
        dropped, self.dropped = self.dropped, 0
        return dropped

    def new_segment(self) -> None:
        """Appends the current origin; in a forked child with a connection of its own, creates a new socket pair first. Never raises
        OSError: if the child cannot create one, its records are refused and counted until the next call."""
        if not self._is_reader:
            self.close()
            try:
                self._open()
            except OSError:
                pass
            else:
                self.bytes = 0
        self.append(self._origin())

    def after_fork_in_child(self) -> None:
        """Called in a forked child, which only writes; its parent reads. Never raises OSError."""
        self._is_reader = False
        _close(self._reader)

    def close(self) -> None:
        """Closes the spool at the end of the process; later records are refused and counted. Never raises OSError."""
        _close(self._reader)
        _close(self._writer)

    # -- the reading half ----------------------------------------------------------------------------------------------
    def try_take(self) -> bool:
        """Returns True: no other process can send this spool."""
        return True

    def give_up(self) -> None:
        """Does nothing: no other process can send this spool."""

    def rewind(self) -> None:
        """Called in the agent's thread for a new connection: unacknowledged records are sent again, after the origin, which may have been
        dropped."""
        self._waiting.extendleft(reversed(self._sent))
        self._sent = []
        self._waiting.appendleft(self._origin())
        self.bytes += len(self._waiting[0])

    def next_batch(self) -> Batch | None:
        """Returns the oldest unsent records, at least one and otherwise up to MAX_BATCH bytes, or None. `Batch.end` is the number of the
        batch, not an offset. Called in the agent's thread. Never raises OSError."""
        self._receive()
        taken: list[bytes] = []
        size = 0
        while self._waiting and (not taken or size + len(self._waiting[0]) <= MAX_BATCH):
            record = self._waiting.popleft()
            taken.append(record)
            size += len(record)
        if not taken:
            return None
        data = b"".join(taken)
        self._sent.append(data)
        self._number += 1
        return Batch("memory", self._number, data)

    def acked(self, batch: Batch) -> None:
        """The server has committed this batch. Batches are acknowledged in the order in which they were sent."""
        if self._sent and self._sent[0] == batch.data:
            self.bytes -= len(self._sent.pop(0))

    def is_empty(self) -> bool:
        """Whether everything is acknowledged. May be called from any thread, so it only peeks. The parent waits for a child's writes."""
        if not self._is_reader:
            return True
        try:
            self._reader.recv(1, socket.MSG_PEEK)
        except OSError:
            return not self._waiting and not self._sent
        return False

    def tidy(self) -> None:
        """Drops and counts the oldest records while more than KEEP_BYTES are unacknowledged. Those that were sent and not acknowledged are
        kept. Called in the agent's thread."""
        while self.bytes > KEEP_BYTES and self._waiting:
            item = self._waiting.popleft()
            self.bytes -= len(item)
            new, reported = _count(item)
            self.dropped += new + reported
            self.dropped_total += new

    def _receive(self) -> None:
        while True:
            try:
                record = self._reader.recv(MAX_DATAGRAM)
            except OSError:
                return
            self._waiting.append(record)
            self.bytes += len(record)


def _count(item: bytes) -> tuple[int, int]:
    """Number of records in an item, without reports of earlier losses, and the losses that these report: they would be lost with it."""
    new = reported = 0
    for record in split_records(item):
        if record.startswith(GAP[1:]):
            reported += json.loads(record)[3]["count"]
        else:
            new += 1
    return new, reported


def _close(end: socket.socket) -> None:
    try:
        end.close()
    except OSError:
        pass  # the application has closed a descriptor that it did not open; without `contextlib`, whose pages each child would copy
