# SPDX-License-Identifier: Apache-2.0
"""What the children of a consumer run now, in memory they share with its main process.

A child of `multiprocessing` cannot be queried, and the agent's thread runs only in main. So each child writes what it runs into
a slot of its own, two short writes a task; main reads them for its heartbeats, and sees in them what a killed child was at.
"""

from __future__ import annotations

import json
import mmap
import multiprocessing
import os
import struct
import time
from typing import Any

SIZE = 2048
_HEAD = struct.Struct("<IHB")  # pid, length of the text, whether main was asked to stop it
_TORN = "a child's slot could not be read while it was written"


class Slots:
    """`count` slots, created before the fork. A slot contains the child's pid and its run as JSON; without a text the child is idle."""

    def __init__(self, count: int) -> None:
        self._memory = mmap.mmap(-1, SIZE * max(count, 1))
        self.count = count

    # -- in the child --------------------------------------------------------------------------------------------------
    def write(self, entry: list[Any] | None) -> None:
        """Writes the current run of this child, None for none. Does nothing in a process that is not a worker's child."""
        number = self._own()
        if number < 0:
            return
        start = number * SIZE
        text = b"" if entry is None else json.dumps(entry).encode("ascii")
        if len(text) > SIZE - _HEAD.size:  # only with a name of more than a thousand characters; an empty slot is better than half a text
            text = b""
        _HEAD.pack_into(self._memory, start, os.getpid(), 0, 0)
        self._memory[start + _HEAD.size : start + _HEAD.size + len(text)] = text
        _HEAD.pack_into(self._memory, start, os.getpid(), len(text), 0)

    def is_stop_asked(self) -> bool:
        """Whether the main process interrupted this child's run for an operator."""
        number = self._own()
        return number >= 0 and bool(_HEAD.unpack_from(self._memory, number * SIZE)[2])

    def _own(self) -> int:
        """The number of this child's slot: Huey names its workers `Worker-1` and on (huey/consumer.py); -1 in any other process."""
        name, _, number = multiprocessing.current_process().name.partition("-")
        if name != "Worker" or not number.isdigit() or not 0 < int(number) <= self.count:
            return -1
        return int(number) - 1

    # -- in main -------------------------------------------------------------------------------------------------------
    def read(self, number: int) -> tuple[int, list[Any] | None]:
        """(pid, entry) of one slot. Raises ValueError if its child was writing it at three reads in a row."""
        for _ in range(3):
            pid, length, _ = _HEAD.unpack_from(self._memory, number * SIZE)
            if not length:
                return pid, None
            start = number * SIZE + _HEAD.size
            text = bytes(self._memory[start : start + length])
            if (pid, length) == _HEAD.unpack_from(self._memory, number * SIZE)[:2]:
                try:
                    return pid, json.loads(text)
                except ValueError:
                    pass  # the next read finds it complete
            time.sleep(0.001)
        raise ValueError(_TORN)

    def ask_stop(self, number: int) -> None:
        """Marks the next interrupt of this slot's child as an operator's."""
        pid, length, _ = _HEAD.unpack_from(self._memory, number * SIZE)
        _HEAD.pack_into(self._memory, number * SIZE, pid, length, 1)

    def clear(self, number: int) -> None:
        """Clears the slot of a dead child."""
        _HEAD.pack_into(self._memory, number * SIZE, 0, 0, 0)
