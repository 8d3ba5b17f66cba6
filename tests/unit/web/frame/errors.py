# SPDX-License-Identifier: AGPL-3.0-or-later
"""Samples of the pages of errors, for the test that renders every template."""

from __future__ import annotations

import dataclasses
from typing import Final

from z4j.rules.charts.model import Series, TimeChart
from z4j.rules.errors.splits import CODE, MESSAGE, Split
from z4j.store.errors.error_groups import Action, ErrorGroup, Merged
from z4j.store.errors.error_splits import Part as SplitPart
from z4j.store.errors.top_groups import TopGroup
from z4j.store.tasks.tasks import TaskRow
from z4j.web.frame import tracebacks
from z4j.web.frame.render import Choice, Shell
from z4j.web.pages.error_panel import ErrorLine, ErrorPanel
from z4j.web.pages.errors.detail import SPANS, ErrorPage, NameShare, Part, Sample
from z4j.web.pages.errors.list import ErrorsPage, Line
from z4j.web.pages.errors.splits import Splits
from z4j.web.pages.tasks import list as task_list

HOUR_US: Final = 3_600_000_000


def group(now: int, evil: str) -> ErrorGroup:
    return ErrorGroup(
        7, evil, 1, evil, evil, evil, evil, now - 9 * HOUR_US, now - 5, 1_200, 3, 40, 12, "regressed", now - 9, evil, True, now, 5, 9, evil,
        evil, "https://wiki.example/?a=<b>&c", None,
    )  # fmt: skip


def full_list(shell: Shell, evil: str) -> ErrorsPage:
    """Every part of the list, with hostile names."""
    error = group(shell.now, evil)
    plain = dataclasses.replace(error, id=8, error_type="", function="", assigned_to="", failed=0, cured=0, state="ignored")
    lines = (
        Line(error, (1.0, 0.0, 5.0), evil, (evil, "b", "c"), (evil,), (evil,), (evil,), "12%"),
        Line(plain, (), "", (), (), (), (), ""),
    )
    tabs = (Choice("open", "/errors", True), Choice("all", "/errors?state=all"))
    narrowed = (("name", evil, "/errors"),)
    return ErrorsPage(
        shell, lines, "2 errors", tabs, narrowed, True, shell.now - HOUR_US, "/errors", "/errors?after=1-1", "/errors", "/errors.csv",
        "/errors.json", True,
    )  # fmt: skip


def no_errors(shell: Shell, *, is_narrowed: bool) -> ErrorsPage:
    """Nothing is listed."""
    return ErrorsPage(shell, (), "0 errors", (), (), False, None, "/errors", "", "", "/errors.csv", "/errors.json", is_narrowed)


def full_page(shell: Shell, row: TaskRow, line: task_list.Line, evil: str) -> ErrorPage:
    """Every part of the page of one error, with hostile names."""
    now, trace = (
        shell.now,
        tracebacks.read(evil, f'Traceback (most recent call last):\n  File "{evil}", line 3, in f\n    {evil}\nE: {evil}\n'),
    )
    chart = TimeChart(
        "Failures per hour", (now - HOUR_US, now), (Series("failed tasks", "failed", (1.0, 2.0)),), links=("/tasks", "/tasks")
    )
    return ErrorPage(
        shell, group(now, evil), chart, "/tasks?state=failed", "/tasks?error_group=7", "/tasks?error_group=7",
        (NameShare(evil, 9, "12%", "/tasks"),), (Part(evil, ((evil, 3, "/tasks"), (evil, 1, "")), 4),), 200,
        "/errors/7", "/errors/7?before=1-1#tasks", "/errors/7#tasks", (line,), (Sample(row, 0, now, trace), Sample(row, 1, now, trace)),
        (Action(now, evil, evil, evil), Action(now, "", "regressed", "")), (Merged(9, evil, evil),), splits(evil), (("9", evil),),
        ((evil, evil),), SPANS, True, True, (evil,),
    )  # fmt: skip


def splits(evil: str) -> Splits:
    part = SplitPart(8, evil, Split(MESSAGE, evil), True)
    return Splits(part, (part, part._replace(split=Split(CODE, evil), is_running=False)), ((evil, evil),), ((evil, evil),), 50)


def merged_page(shell: Shell, row: TaskRow, line: task_list.Line, evil: str) -> ErrorPage:
    """An error that is part of another one, and without anything else."""
    page = full_page(shell, row, line, evil)
    return dataclasses.replace(page, group=dataclasses.replace(page.group, merged_into=3, state="resolved"), is_open=False)


def empty_page(shell: Shell, row: TaskRow, line: task_list.Line, evil: str) -> ErrorPage:
    """An error whose tasks are gone, for somebody who may only read."""
    page = full_page(shell, row, line, evil)
    gone = dataclasses.replace(page.group, note="", runbook="", assigned_to="", state="ignored", ignore_until=None)
    return dataclasses.replace(
        page, group=gone, lines=(), samples=(), shares=(), parts=(), actions=(), merged=(), others=(), splits=Splits(None, (), (), (), 0),
        may_change=False, is_open=False,
        older_href="", newest_href="",
    )  # fmt: skip


def panel(now: int, evil: str) -> ErrorPanel:
    """Errors of a name, a queue or a worker."""
    group = TopGroup(7, evil, evil, "regressed", now, 9, 3)
    lines = (ErrorLine(group, "/tasks", "/tasks", evil), ErrorLine(group._replace(failed=0, function=""), "/tasks", "/tasks", ""))
    return ErrorPanel(lines, "stored failures", "/errors")


NO_ERRORS: Final = ErrorPanel((), "", "/errors")
