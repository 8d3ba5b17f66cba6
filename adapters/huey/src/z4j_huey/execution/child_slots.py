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
import time
from typing import Any

SIZE = 2048
_HEAD = struct.Struct("<IHB")  # pid, length of the text, whether main was asked to stop it
_TORN = "a child's slot could not be read while it was written"


class Slots:
    """`count` slots, made before the fork. A slot is the child's pid and JSON of what it runs; without a text it is idle."""

    def __init__(self, count: int) -> None:
        self._memory = mmap.mmap(-1, SIZE * max(count, 1))
        self.count = count

    # -- in the child --------------------------------------------------------------------------------------------------
    def write(self, entry: list[Any] | None) -> None:
        """What this child runs from now on, None for nothing. Does nothing in a process that is no worker's child."""
        number = self._own()
        if number < 0:
            return
        start = number * SIZE
        text = b"" if entry is None else json.dumps(entry).encode("ascii")
        if len(text) > SIZE - _HEAD.size:  # only a name of more than a thousand characters; better nothing than half of it
            text = b""
        _HEAD.pack_into(self._memory, start, os.getpid(), 0, 0)
        self._memory[start + _HEAD.size : start + _HEAD.size + len(text)] = text
        _HEAD.pack_into(self._memory, start, os.getpid(), len(text), 0)

    def is_stop_asked(self) -> bool:
        """Whether it was main, for an operator, that interrupted what this child runs."""
        number = self._own()
        return number >= 0 and bool(_HEAD.unpack_from(self._memory, number * SIZE)[2])

    def _own(self) -> int:
        """The number of this child's slot: Huey names its workers `Worker-1` and on (huey/consumer.py); -1 for any other process."""
        name, _, number = multiprocessing.current_process().name.partition("-")
        if name != "Worker" or not number.isdigit() or not 0 < int(number) <= self.count:
            return -1
        return int(number) - 1

    # -- in main -------------------------------------------------------------------------------------------------------
    def read(self, number: int) -> tuple[int, list[Any] | None]:
        """(pid, entry) of one slot. Raises ValueError when its child was caught writing three times in a row."""
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
                    pass  # the next look finds it whole
            time.sleep(0.001)
        raise ValueError(_TORN)

    def ask_stop(self, number: int) -> None:
        """Tells the child of this slot that its next interrupt is an operator's."""
        pid, length, _ = _HEAD.unpack_from(self._memory, number * SIZE)
        _HEAD.pack_into(self._memory, number * SIZE, pid, length, 1)

    def clear(self, number: int) -> None:
        """Forgets what a dead child was at."""
        _HEAD.pack_into(self._memory, number * SIZE, 0, 0, 0)
