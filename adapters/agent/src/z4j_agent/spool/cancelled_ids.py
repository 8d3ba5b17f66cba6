# SPDX-License-Identifier: Apache-2.0
"""IDs of cancelled tasks, in a file of the spool folder that all workers of this host read."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

from z4j_agent.capture.guard import faults
from z4j_agent.spool.shared_file import SharedLines


class CancelledIds:
    """IDs of tasks that no worker of this spool folder may run, for engines that cannot revoke a task. Each is one line of JSON, because
    an ID may contain any character. A check costs one `fstat`. The oldest may be dropped: z4j repeats an open cancellation to every
    worker that connects."""

    def __init__(self, path: Path, *, is_permitted: bool = True) -> None:
        """If the owner does not permit cancellations, the file has no effect."""
        self._lines = SharedLines(path, is_created=True)
        self._is_permitted = is_permitted
        self._name = path.name
        self._ids: set[str] = set()

    def add(self, task_id: str, broker: str = "") -> None:
        """Adds an ID for that broker, "" for any. Raises OSError if it cannot be written: then it is in memory, for this process alone."""
        entry = _entry(task_id, broker)
        if self._is_permitted and self._holds(entry):
            return
        self._ids.add(entry)
        self._lines.append(json.dumps(entry).encode("ascii"))

    def has_any(self) -> bool:
        """Whether any ID was added: for a caller whose broker's identity takes time. Never raises."""
        return self._is_permitted and self._has_read()

    def has(self, task_id: str, broker: str = "") -> bool:
        """Whether the ID of a task in this broker was added. Never raises."""
        return self._is_permitted and (self._holds(task_id) or (bool(broker) and _entry(task_id, broker) in self._ids))

    def _holds(self, entry: str) -> bool:
        return self._has_read() and entry in self._ids

    def _has_read(self) -> bool:
        """Reads new IDs. Returns whether there are any."""
        try:
            self._lines.read(self._take)
        except OSError as error:
            faults.report(f"reading {self._name}", error)
        return bool(self._ids)

    def _take(self, lines: list[bytes], is_other: bool) -> None:
        """Reads new IDs. Earlier ones stay in memory, also if the file was shortened or removed."""
        for line in lines:
            with contextlib.suppress(ValueError):  # a line torn by a full disk
                self._ids.add(str(json.loads(line)))


def _entry(task_id: str, broker: str) -> str:
    """The key of an ID in a broker: two brokers may have tasks with the same ID."""
    return f"{broker}\0{task_id}" if broker else task_id
