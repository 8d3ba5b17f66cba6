# SPDX-License-Identifier: Apache-2.0
"""Stores the ID and status of each accepted command in a file of the spool folder, so that a redelivered command never runs twice."""

from __future__ import annotations

from pathlib import Path

from z4j_agent.spool.shared_file import SharedLines

ACCEPTED = "accepted"
_STATUSES = frozenset({ACCEPTED, "done", "unsupported", "refused", "failed"})


class Ledger:
    """Stores which commands were started and how they ended: `<id> <status>` lines, shared by all processes of a spool folder.

    Lines are read once: later calls read only the lines that were added since, so the cost of a command does not grow with their number.
    """

    def __init__(self, folder: Path | None) -> None:
        self._lines = None if folder is None else SharedLines(folder / "commands.ledger")
        self._known: dict[str, str] = {}

    def status(self, command_id: str) -> str | None:
        """Returns the last status written for this id, or None if it was never started here. Raises OSError if the ledger cannot be
        read."""
        if self._lines is not None:
            self._lines.read(self._take)
        return self._known.get(command_id)

    def _take(self, lines: list[bytes], is_other: bool) -> None:
        if is_other:
            self._known.clear()
        for line in lines:
            command_id, _, status = line.decode("utf-8", "replace").partition(" ")
            if status in _STATUSES:  # else torn by a full disk: such a command was not executed, or its result is unknown
                self._known[command_id] = status

    def write(self, command_id: str, status: str) -> None:
        """Writes the status of an id. Raises OSError if it cannot be written; then the command must not be executed. The newer half of a
        large file is kept: a command expires within hours, and a plan waits for the answers of a few hundred at most."""
        if self._lines is None:  # then a command comes again to this process only
            self._known[command_id] = status
        else:
            self._lines.append(f"{command_id} {status}".encode())
