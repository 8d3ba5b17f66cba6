# SPDX-License-Identifier: Apache-2.0
"""Which tasks no worker of this host and user shall run.

Dramatiq cannot revoke a task, and a delayed message waits in the memory of one of its worker processes. So the ids stand in a file of
the spool folder, which every worker process looks at: one `stat` for each task, and nothing more while nobody cancels.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

KEEP_BYTES = 1024 * 1024
NAME = "dramatiq.cancelled"


class Skips:
    """Ids of cancelled tasks, one a line. The oldest may be forgotten: z4j repeats an open cancellation to every worker that connects."""

    def __init__(self, folder: Path, *, is_permitted: bool = True) -> None:
        self._path = folder / NAME
        self._is_permitted = is_permitted
        """Whether the owner permits cancelling; what was cancelled before that changed runs again."""
        self._stamp: tuple[int, int] = (0, 0)
        self._ids: frozenset[str] = frozenset()

    def add(self, task_id: str) -> None:
        """Known to this process from now on, and to the others of the folder. Raises OSError when these could not be told."""
        if task_id in self:
            return
        self._ids |= {task_id}
        line = json.dumps(task_id).encode("ascii") + b"\n"
        fd = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            os.write(fd, line)
            size = os.fstat(fd).st_size
        finally:
            os.close(fd)
        if size > KEEP_BYTES:
            fresh = self._path.with_suffix(f".{os.getpid()}")
            fresh.write_bytes(self._path.read_bytes()[-KEEP_BYTES // 2 :].partition(b"\n")[2])
            fresh.replace(self._path)

    def __contains__(self, task_id: str) -> bool:
        if not self._is_permitted:
            return False
        try:
            facts = os.stat(self._path)
        except OSError:  # no such file: nobody has cancelled anything
            return task_id in self._ids
        stamp = facts.st_mtime_ns, facts.st_size
        if stamp != self._stamp:
            self._ids |= {_id_in(line) for line in self._path.read_bytes().splitlines()}
            self._stamp = stamp
        return task_id in self._ids


def _id_in(line: bytes) -> str:
    try:
        return str(json.loads(line))
    except ValueError:  # torn by a full disk
        return ""
