# SPDX-License-Identifier: Apache-2.0
"""What the children of a consumer run now, in memory they share with its main process.

A child of `multiprocessing` cannot be asked anything, and the agent's thread lives in main only. So each child writes what it runs into
a slot of its own, two short writes a task; main reads them for its heartbeats, and sees in them what a killed child was at.
"""

from __future__ import annotations

import json
import mmap
import multiprocessing
import os
import struct
from pathlib import Path
from typing import Any

SIZE = 1024
_HEAD = struct.Struct("<IH")


class Slots:
    """`count` slots, made before the fork. A slot is the child's pid, a length, and JSON of that length; length 0 is idle."""

    def __init__(self, count: int) -> None:
        self._memory = mmap.mmap(-1, SIZE * (count + 1))
        self._count = count

    def write(self, entry: list[Any] | None) -> None:
        """What this child runs from now on, None for nothing. Does nothing in a process that is no child of a consumer."""
        offset = self._own()
        if offset < 0:
            return
        text = b"" if entry is None else json.dumps(entry).encode()
        if len(text) > SIZE - _HEAD.size:
            return
        self._memory[offset + _HEAD.size : offset + _HEAD.size + len(text)] = text
        _HEAD.pack_into(self._memory, offset, os.getpid(), len(text))

    def read(self) -> list[tuple[int, list[Any]]]:
        """(pid, entry) of every child that runs something. Raises ValueError when one was caught in the middle of its writing."""
        found = []
        for number in range(self._count):
            pid, length = _HEAD.unpack_from(self._memory, number * SIZE)
            if length:
                start = number * SIZE + _HEAD.size
                found.append((pid, json.loads(bytes(self._memory[start : start + length]))))
        return found

    def clear(self, pid: int) -> None:
        """Forgets what a dead child was at."""
        for number in range(self._count):
            if _HEAD.unpack_from(self._memory, number * SIZE)[0] == pid:
                _HEAD.pack_into(self._memory, number * SIZE, 0, 0)

    def _own(self) -> int:
        """The offset of this child's slot: Huey names its workers `Worker-1` and on (huey/consumer.py), -1 for any other process."""
        name, _, number = multiprocessing.current_process().name.partition("-")
        if name != "Worker" or not number.isdigit() or int(number) > self._count:
            return -1
        return (int(number) - 1) * SIZE


def is_alive(pid: int) -> bool:
    """Whether a process lives; one that is dead and not yet waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][:1] not in ("Z", "X", "")
    except OSError:
        return False
