# SPDX-License-Identifier: AGPL-3.0-or-later
"""What happened inside a task, for the test of templates: every text is `evil`."""

from __future__ import annotations

from typing import Any

from z4j.store.tasks.tasks import TaskRow
from z4j.web.frame.render import Shell
from z4j.web.pages.tasks.detail import StackView
from z4j.web.pages.tasks.logs import Line, LogPage, LogView, RunView


def log_of(evil: str, now: int) -> LogView:
    run = RunView(0, evil, evil, 3, 2, (Line(now, "error", "failed", evil, evil, 2),), "/tasks/7/logs?run=1")
    return LogView((run,), "", (("all", "/tasks/7", True), ("error", "/tasks/7?level=error", False)), "/tasks/7/logs", "/tasks/7")


def fields(evil: str, now: int) -> dict[str, Any]:
    """Of a DetailPage."""
    return {"log": log_of(evil, now), "stack": StackView(((evil, evil),), "thread", now), "usage": (("CPU time", "1 s", evil),)}


def page(shell: Shell, row: TaskRow, evil: str, now: int) -> LogPage:
    return LogPage(shell, row, log_of(evil, now))
