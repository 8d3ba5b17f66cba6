# SPDX-License-Identifier: Apache-2.0
"""What the schedule file of beat does not keep of the entries that operators changed or added: when they ran.

Beat drops from its file, at every start, what the code does not say (celery/beat.py: `merge_inplace`). Without this a daily interval
that an operator made would begin anew with every restart, and a one-off could be sent twice. One small file in the spool folder.
"""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import Any, Final

from z4j_agent.guard import faults, let_through
from z4j_agent.native import ticks

EVERY_S: Final = 5.0
"""How often runs are written at most; one-offs always, before they are sent."""
MOST: Final = 2_000


class Memory:
    """Used by beat's thread alone. `path` is None where nothing can be written; then it is forgotten with the process."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self.runs: dict[str, list[Any]] = {}
        """Key → [rule, last run or beginning in microseconds UTC, runs]."""
        self.sent: dict[str, int] = {}
        """Key → the time, microseconds UTC, of the one-off that was sent."""
        self._written_at = -EVERY_S
        self._is_dirty = False
        if path is None:
            return
        with contextlib.suppress(OSError, ValueError, AttributeError, TypeError):  # none yet, or none that can be read
            said = json.loads(path.read_bytes())
            self.runs = {str(key): [str(of[0]), int(of[1]), int(of[2])] for key, of in said["runs"].items()}
            self.sent = {str(key): int(at) for key, at in said["sent"].items()}

    def keep_runs(self, runs: dict[str, list[Any]]) -> None:
        """All there are now; written when it is time."""
        if runs != self.runs:
            self.runs, self._is_dirty = runs, True
        if self._is_dirty and ticks() - self._written_at >= EVERY_S:
            self._write()

    def mark_sent(self, key: str, at: int) -> None:
        self.sent[key] = at
        while len(self.sent) > MOST:
            del self.sent[next(iter(self.sent))]
        self._write()

    def _write(self) -> None:
        """Never raises: what cannot be written is kept in memory only, and reported."""
        self._written_at, self._is_dirty = ticks(), False
        if self._path is None:
            return
        fresh = self._path.with_name(f"{self._path.name}.{os.getpid()}")
        try:
            fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            with os.fdopen(fd, "wb") as file:
                file.write(json.dumps({"runs": self.runs, "sent": self.sent}).encode())
            fresh.replace(self._path)
        except Exception as error:
            let_through(error)
            faults.report("keeping when changed entries of beat ran", error)
