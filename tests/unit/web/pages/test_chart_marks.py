# SPDX-License-Identifier: AGPL-3.0-or-later
"""Marks of charts."""

from __future__ import annotations

from z4j.store.fleet.releases import WorkerStart
from z4j.store.operations.commands import CommandRow
from z4j.web.pages import chart_marks


def command(action: str, at: int, task: int | None = None) -> CommandRow:
    return CommandRow(f"{at}", 1, "celery", action, task, "", {}, "", "done", {}, "ada", "", at, at, None, "", at)


def test_commands_of_the_range_are_marks_but_not_a_look_into_a_queue() -> None:
    rows = [command("pause_queue", 5), command("purge_queue", 9), command("peek_queue", 6), command("pause_queue", 4)]
    assert [(mark.at, mark.label, mark.href, mark.kind) for mark in chart_marks.action_marks(rows, 5, 9)] == [
        (5, "pause queue", "/changes?before=6", "action")
    ]


def test_commands_on_one_task_explain_nothing_about_many() -> None:
    rows = [command("pause_queue", 5), command("retry_task", 6, 3), command("run_task", 7)]
    assert [row.action for row in chart_marks.of_many(rows)] == ["pause_queue"]


def test_a_start_says_its_release_where_it_is_known() -> None:
    assert [mark.label for mark in chart_marks.start_marks([WorkerStart(1, 7, "2.0"), WorkerStart(2, 7, "")])] == [
        "started, 2.0",
        "started",
    ]
