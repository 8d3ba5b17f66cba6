# SPDX-License-Identifier: Apache-2.0
"""The last runs of entries that operators changed or added, which beat's schedule file does not keep.

Beat removes entries that are not in the code from its file at every start (celery/beat.py: `merge_inplace`). Without this file a daily
interval that an operator created would start again with every restart, and a one-off could be sent twice. It is a small file in the spool
folder.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from z4j_agent.capture.guard import faults, let_through
from z4j_agent.capture.hooks import now
from z4j_agent.runtime.native_threads import ticks
from z4j_agent.spool.shared_file import SharedJson

EVERY_S: Final = 5.0
"""Seconds between two writes of runs; one-offs are always written before they are sent."""
MOST: Final = 2_000


class Memory:
    """Used by beat's thread alone. `path` is None if no file can be written; then the data is lost with the process."""

    def __init__(self, path: Path | None) -> None:
        self._file = SharedJson(path, _checked)
        self.runs: dict[str, list[Any]] = {}
        """Key → [rule, last run or start in microseconds UTC, runs]."""
        self.sent: dict[str, int] = {}
        """Key → the time, in microseconds UTC, of the one-off that was sent."""
        self._written_at = -EVERY_S
        self._is_dirty = False
        if (whole := self._file.read()) is not None:
            self.runs, self.sent = whole["runs"], whole["sent"]
        self.unknown_until = 0 if self._file.error is None else now()
        """Whether a one-off before this time was sent is unknown: it counts as sent, so that it is not sent twice."""

    def keep_runs(self, runs: dict[str, list[Any]]) -> None:
        """Sets the current runs, and writes them if RUNS_EVERY_S have passed."""
        if runs != self.runs:
            self.runs, self._is_dirty = runs, True
        if self._is_dirty and ticks() - self._written_at >= EVERY_S:
            self._write()

    def was_sent(self, key: str, at: int) -> bool:
        """Whether the one-off of this time was sent, or that is unknown."""
        return at < self.unknown_until or self.sent.get(key) == at

    def mark_sent(self, key: str, at: int) -> None:
        self.sent[key] = at
        while len(self.sent) > MOST:
            del self.sent[next(iter(self.sent))]
        self._write()

    def _write(self) -> None:
        """Writes the file. Never raises: without a file the data is kept in memory only, and a fault is reported."""
        self._written_at, self._is_dirty = ticks(), False
        try:
            self._file.replace({"runs": self.runs, "sent": self.sent})
        except Exception as error:
            let_through(error)
            faults.report("storing the runs of changed entries of beat", error)


def _checked(content: Any) -> dict[str, Any]:
    """Raises an exception of any type if the content was not written by an agent."""
    return {
        "runs": {str(key): [str(run[0]), int(run[1]), int(run[2])] for key, run in content["runs"].items()},
        "sent": {str(key): int(at) for key, at in content["sent"].items()},
    }
