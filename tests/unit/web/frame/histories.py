# SPDX-License-Identifier: AGPL-3.0-or-later
"""The pages of task names, full and empty, and the histories of a queue and of a worker, for `test_templates`."""

from __future__ import annotations

import dataclasses
from typing import Any

from tests.unit.web.frame import errors
from z4j.rules.charts.model import Mark
from z4j.rules.history.callers import Part as Filled
from z4j.rules.history.ranges import HEAT, SPANS, window
from z4j.rules.rollups import bucket_of
from z4j.store.fleet.agents import TaskNameRow
from z4j.store.rollups.queue_ledger import QueuedTask
from z4j.store.rollups.rollups import Histograms, QueueReport, Sums, WorkerSums
from z4j.store.rollups.series_history import History
from z4j.store.samples.name_sample import NameSample, SlowTask
from z4j.web.frame.render import Shell
from z4j.web.pages import history_charts as charts
from z4j.web.pages.names.detail import NamePage, Part, Registered, Total
from z4j.web.pages.names.list import NameLine, NamesPage
from z4j.web.pages.queues.history import FilledBy, QueueHistory
from z4j.web.pages.queues.ledger import Cell, LedgerLine, LedgerTable
from z4j.web.pages.tasks.filters import Filters
from z4j.web.pages.workers.history import WorkerHistory


def pages(shell: Shell, evil: str, now: int) -> list[tuple[str, str, Any]]:
    rows, marks = Filters(name=evil), (Mark(now - 600_000_000, evil, "/workers"),)
    full, empty = name_page(shell, evil, now, made(now), rows, marks), name_page(shell, evil, now, nothing(now), rows, ())
    bare = dataclasses.replace(
        empty, errors=errors.NO_ERRORS, releases=(), queues=(), sample=NameSample(0, False, (), ()), worker_hrefs=(), registered=(),
        left_out=0, may_run=False,
    )  # fmt: skip
    line = NameLine(evil, "/names/x", 5, "/tasks", 0.5, 3, "/tasks", 1, 5_000, None, 9, "/tasks", False)
    names = NamesPage(
        shell, (line, dataclasses.replace(line, bad=0)), charts.span_choices(lambda key: "/names", "24h"), evil, (("app", evil),), "/names",
        "/names.json", "/names?page=2", "/names",
    )  # fmt: skip
    return [
        ("a task name", "names/detail.html", full),
        ("a task name without tasks", "names/detail.html", bare),
        ("task names", "names/list.html", names),
        (
            "task names that are not read whole",
            "names/list.html",
            dataclasses.replace(names, lines=(dataclasses.replace(line, is_partial=True),)),
        ),
        ("no task names", "names/list.html", dataclasses.replace(names, lines=(), more_href="", first_href="")),
    ]


def name_page(shell: Shell, evil: str, now: int, history: History, rows: Filters, marks: tuple[Mark, ...]) -> NamePage:
    slow = SlowTask(7, evil, evil, "succeeded", 8_000_000, now)
    part = Part(evil, "/queues/x", "/tasks", Sums(succeeded=3), 2, "/tasks", now)
    registered = Registered(TaskNameRow("shop", evil, "celery", evil, "(order)", evil, evil, now), "/tasks/run")
    return NamePage(
        shell=shell, name=evil, here="/names/x", json_href="/history/name.json", tasks_href="/tasks", errors=errors.panel(now, evil),
        spans=charts.span_choices(lambda key: "/names/x", "90m"), totals=(Total("failed", 3, "/tasks", "failed"),),
        waits=charts.shares_of(history.waited), runtimes=charts.shares_of(history.ran),
        charts=(
            charts.rates(history, rows, evil, charts.COLUMNS_OF_NAME, marks), charts.percentiles(history, "ran", rows, marks),
        ),
        histograms=(charts.distribution(history, "ran", rows),),
        heat=charts.heat(window(HEAT, now), {at: each.ran for at, each in history.histograms.items()}, rows),
        releases=(part,), queues=(dataclasses.replace(part, href="", rows_href="", bad=0),),
        sample=NameSample(500, True, (slow,), ((evil, 3),)),
        worker_hrefs=((evil, 3, "/tasks"),), schedules=(), registered=(registered,), left_out=3, share=0.97, may_run=True,
    )  # fmt: skip


def made(now: int) -> History:
    found = window(SPANS["90m"], now)
    histograms = {found.slots[-3]: Histograms({bucket_of(90_000): 4, bucket_of(2_000_000): 1}, {bucket_of(10): 5})}
    return History(found, {found.slots[-3]: Sums(started=5, succeeded=4, failed=1)}, histograms, {}, 0, 0, 1.0)


def nothing(now: int) -> History:
    return History(window(SPANS["90m"], now), {}, {}, {}, None, 0, 1.0)


def of_queue(evil: str, now: int) -> QueueHistory:
    history, rows = made(now), Filters(queue=evil)
    reports = {history.window.slots[-1]: QueueReport(4, 4, 4, 9_000_000, 1, 2)}
    filled = (
        FilledBy(evil, "", Filled(100, 20, True), "/tasks", "/names/x"), FilledBy(evil, "schedule", Filled(3, None, False), "/schedules/1"),
        FilledBy("", "", Filled(1, 2, False), ""),
    )  # fmt: skip
    return QueueHistory(
        charts.span_choices(lambda key: "/queues/x", "90m"), "/history/queue.json", f"Drains in 5 min {evil}",
        (charts.depths(history.window, reports, rows, ()), charts.oldest(history.window, reports, rows, ())),
        filled, filled, 500, True, 40, 3, 0.9, errors.panel(now, evil),
    )  # fmt: skip


def ledger_of_queue(evil: str, now: int) -> LedgerTable:
    """One hour with every kind of cell, of a broker that is not reported, and with tasks that are unaccounted for."""
    lines = tuple(
        LedgerLine(
            now - number * 3_600_000_000, Cell(900, "/tasks?q=1"), Cell(800, "/tasks?q=2"), Cell(0), Cell(3), Cell(lost), Cell(2, "/tasks")
        )
        for number, lost in enumerate((None, 0, 3))
    )  # fmt: skip
    return LedgerTable(
        lines, lines, now, "", Cell(5, "/tasks?q=3"), 2, (QueuedTask(7, evil, evil, now), QueuedTask(8, evil, "", now)), True
    )


def of_worker(evil: str, now: int) -> WorkerHistory:
    found = window(SPANS["90m"], now)
    sums = {found.slots[-2]: WorkerSums(3, 1, 9_000_000)}
    marks = (Mark(now - 600_000_000, evil, kind="action"),)
    return WorkerHistory(
        charts.span_choices(lambda key: "/workers/x", "90m"), "/history/worker.json",
        charts.worker_charts(found, sums, Filters(worker=evil), 4, marks), 1,
    )  # fmt: skip
