# SPDX-License-Identifier: AGPL-3.0-or-later
"""Every page is rendered from its dataclass alone: a template that asks for more fails here (StrictUndefined)."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from tests.unit.web.frame import access, calling, errors, findings, inside_tasks, operating, scheduling
from z4j import resources
from z4j.operations.commands import AvailableAction
from z4j.rules.audit.checkpoints import Checkpoint
from z4j.rules.audit.entries import AuditRow
from z4j.rules.findings.news import News
from z4j.rules.queries.completion import Completion
from z4j.rules.queries.search_ranking import Candidate, Found
from z4j.rules.workflows.retries import RetryChoice
from z4j.rules.workflows.workflow_graph import WorkflowLink, WorkflowTask, make_workflow
from z4j.store.fleet.agents import AgentRow
from z4j.store.fleet.gaps import FaultRow, GapRow, RefusedRow
from z4j.store.fleet.queues import QueueRow
from z4j.store.fleet.workers import WorkerRow
from z4j.store.names.name_limits import CAUSE
from z4j.store.operations.commands import CommandRow
from z4j.store.tasks.attempts import AttemptRow
from z4j.store.tasks.tasks import Link, SameId, TaskRow
from z4j.store.workflows.workflow_tasks import WorkflowRead
from z4j.web.frame import tracebacks
from z4j.web.frame.render import Choice, ChoiceGroup, ErrorPage, Notice, Number, RailItem, RailLink, Shell, to_html
from z4j.web.frame.status_bar import StatusBarRegion
from z4j.web.pages.changes.audit_log import AuditLine, AuditPage
from z4j.web.pages.changes.commands import CommandsPage
from z4j.web.pages.component_gallery import TRACE, make_page
from z4j.web.pages.demo import ResetPage
from z4j.web.pages.find.page import FindPage
from z4j.web.pages.keyboard_shortcuts import KeysPage, groups
from z4j.web.pages.news import BACK, BellRegion, NewsPage
from z4j.web.pages.queues import list as queue_list
from z4j.web.pages.tasks import annotations as task_notes
from z4j.web.pages.tasks import compare as task_compare
from z4j.web.pages.tasks import completion as task_completion
from z4j.web.pages.tasks import detail as task_detail
from z4j.web.pages.tasks import facets as task_facets
from z4j.web.pages.tasks import list as task_list
from z4j.web.pages.tasks import saved_views
from z4j.web.pages.tasks.actions import Action, Field
from z4j.web.pages.tasks.filters import COLUMNS, Filters
from z4j.web.pages.tasks.workflow import WorkflowPage, make_view
from z4j.web.pages.workers import list as worker_list

NOW = 1_795_410_901_204_512
EVIL = "<script>alert(1)</script>\"'"
SHELL = Shell(
    now=NOW,
    theme="system",
    path="/tasks",
    user=EVIL,
    role="admin",
    rail=(RailItem("Tasks", "tasks", "/tasks", True, "t"),),
    chips=(ChoiceGroup("environment", (Choice(EVIL, "/tasks?environment=x"), Choice("staging", "/tasks", True))),),
    strip=(Number("failed / hour", "1,204", "/tasks?state=failed", "usual 31", "failed"),),
    strip_href="/strip",
    agents="14 of 15 agents",
    version="0.1.0",
    notice=Notice("good", EVIL, "/tasks/1"),
    zone="Asia/Kathmandu",
    unread=120,
    views=(RailLink(EVIL, "/tasks?q=x", True, EVIL, 12_418), RailLink("slow", "/tasks?q=y", False)),
)
ROW = TaskRow(
    id=7,
    app="shop",
    environment="production",
    engine="celery",
    task_id="b5a1f3c2-0000-4000-8000-000000000001",
    name=EVIL,
    queue=EVIL,
    worker=EVIL,
    state="failed",
    reason="time_limit",
    attempt=2,
    first_at=NOW,
    last_at=NOW,
    enqueued_at=NOW - 9_000_000,
    eta_at=NOW,
    received_at=NOW,
    started_at=NOW,
    ended_at=NOW,
    waited_us=5,
    runtime_us=None,
    args=EVIL,
    result=EVIL,
    error_type="ValueError",
    error=EVIL,
    cancel_asked_at=NOW,
    release="a1b2c3",
    flags=frozenset({"eager"}),
    label=EVIL,
)
RUN = AttemptRow(
    attempt=0,
    run="b.1",
    state="failed",
    received_at=NOW,
    started_at=NOW - 8_000_000,
    ended_at=NOW,
    runtime_us=8_000_000,
    eta_at=None,
    worker="w@h",
    host="h2",
    release="r",
    reason="",
    error_type="ValueError",
    error=EVIL,
    traceback=TRACE,
    flags=frozenset(),
)
COMMAND = CommandRow(
    id="c" * 32,
    app_id=1,
    engine="celery",
    action="retry_task",
    task=7,
    task_id=ROW.task_id,
    params={"name": EVIL},
    target="",
    status="failed",
    detail={"error": EVIL},
    asked_by=EVIL,
    reason=EVIL,
    created_at=NOW,
    expires_at=NOW,
    sent_at=None,
    spool="",
    ended_at=NOW,
)
AGENT = AgentRow(
    id=1, app_id=1, app="shop", boot="b", spool="s", host="h", pid=1, role="worker", worker=EVIL, seat="", began_at=NOW,
    environment="production", release="r", engines={"celery": "5.7"}, capabilities=[], allow="read", denied=[], seal_key="aa",
    app_seal_key="bb", agent_version="0.1", notes=[EVIL], worker_notes=["a note"], pool="prefork", concurrency=8, queues=["q"],
    running=[], spool_bytes=9_000_000, dropped=4, faults=2, is_shipper=True, clock_skew_us=9_000_000, connected_at=NOW, seen_at=NOW,
    left_at=None, left_reason="", is_orderly=False, options={EVIL: EVIL},
)  # fmt: skip
QUEUE = QueueRow(
    app="shop", environment="production", engine="celery", name=EVIL, broker=EVIL, depth=12_418, consumers=0, oldest_at=None, delayed=3,
    dead=None, seen_at=NOW - 10**9, scheduled=0, waiting=3, running=1, retrying=1, failed=1,
)  # fmt: skip
CAN = frozenset({("celery", "retry_task")})


def region(**changes: Any) -> task_list.Region:
    made = task_list.Region(
        now=NOW,
        lines=(task_list.line(ROW, Filters(), NOW, CAN),),
        facets=task_facets.facets(Filters(name=EVIL), None),
        summary="1 task",
        live_href="/tasks?top=1-1",
        news=200,
        news_href="/tasks",
        newer_href="/tasks?newer=1-1",
        older_href="/tasks?older=1-1",
        searched_to=NOW,
        is_filtered=True,
        clear_href="/tasks",
        is_new=False,
        has_app=True,
    )
    return dataclasses.replace(made, **changes)


def detail(**changes: Any) -> task_detail.DetailPage:
    made = task_detail.DetailPage(
        shell=SHELL,
        row=ROW,
        **inside_tasks.fields(EVIL, NOW),
        is_bad=True,
        is_masked=True,
        actions=(
            Action(AvailableAction("retry_task", "Retry", ""), "/tasks/7/retry", "r", "plain", "", ""),
            Action(AvailableAction("terminate_task", "Stop", ""), "/tasks/7/terminate", "s", "word", "stop", EVIL),
            Action(AvailableAction("cancel_task", "Cancel", EVIL), "/tasks/7/cancel", "c", "plain", "", ""),
            Action(AvailableAction("edit_task", "Edit", ""), "/tasks/7/edit", "e", "edit", "", EVIL, (Field(f"kw.{EVIL}", EVIL, EVIL),)),
            Action(AvailableAction("move_task", "Move", ""), "/tasks/7/move", "m", "queue", "", EVIL, (), ((EVIL, EVIL),)),
            Action(AvailableAction("prioritise_task", "Priority", ""), "/tasks/7/prioritise", "o", "level", "", "", (), (("next", EVIL),)),
        ),
        arguments=(("0", EVIL),),
        args=EVIL,
        result=EVIL,
        trace=tracebacks.read(EVIL, TRACE),
        error_group=7,
        attempts=(task_detail.Attempt(RUN, task_detail.trace_of(RUN)), task_detail.Attempt(RUN, None)),
        timeline=task_detail.timeline(ROW, [RUN], NOW),
        links=(task_detail.LinkGroup("retry-of", "Retry of", (Link(None, EVIL, "", ""), Link(3, "x", EVIL, "failed"))),),
        commands=(COMMAND,),
        original="not stored",
        sent=(("route", EVIL),),
        schedule=(3, EVIL, NOW),
        name_href="/tasks",
        label_href="/tasks",
        blocked=EVIL,
        notes=(task_notes.NotesOfAttempt(1, (task_notes.Field(EVIL, EVIL, "/tasks"),), 2, task_notes.ProgressBar(9, 1_000, EVIL)),),
        ids=(task_notes.Field("trace", EVIL, "/tasks"),),
        tools=(task_notes.ToolLink(EVIL, "https://tools.example/1"),),
        queue_href="/tasks",
        worker_href="/tasks",
        same_id=task_detail.Executions(2, 3, tuple((n, SameId(n + 5, NOW, s)) for n, s in enumerate(("failed", "running", "queued"), 1))),
    )
    return dataclasses.replace(made, **changes)


AUDIT = AuditRow(1, NOW, EVIL, "admin", "retry_task", EVIL, "refused", "{}", "127.0.0.1", "k", b"m")
WORKER_ROW = WorkerRow(EVIL, "shop", "production", "connected", AGENT, 2)
WORKER = worker_list.line(WORKER_ROW)
TASKS = task_list.TasksPage(SHELL, EVIL, region(), "/tasks.json", "/tasks.csv", True, (("name", EVIL),))
BARE = dataclasses.replace(
    ROW,
    name="",
    queue="",
    worker="",
    args="",
    result="",
    error="",
    error_type="",
    enqueued_at=None,
    eta_at=None,
    received_at=None,
    started_at=None,
    ended_at=None,
    waited_us=None,
    cancel_asked_at=None,
    release="",
    state="queued",
    reason="",
    flags=frozenset(),
)


NEWS = News(NOW, "plan", EVIL, EVIL, "/plans/1", "done")
SIGNED = Checkpoint(3, 7, NOW, b"d" * 32, b"p" * 32, "k", b"s")


WORKFLOW = WorkflowRead(
    make_workflow(
        [WorkflowTask(1, EVIL, EVIL, EVIL, "failed", NOW, 5), WorkflowTask(2, EVIL, "", EVIL, "queued", NOW)],
        [WorkflowLink(1, 2, "parent"), WorkflowLink(1, 2, "retry_of")],
    ),
    is_complete=False,
)

PAGES: tuple[tuple[str, str, Any], ...] = (
    *operating.pages(SHELL, EVIL, NOW, queue_list.line(QUEUE, NOW, is_paused=True), WORKER_ROW, COMMAND),
    *scheduling.pages(SHELL, EVIL, NOW),
    *access.pages(SHELL, EVIL, NOW),
    *calling.pages(SHELL, EVIL, NOW),
    ("tasks", "tasks/list.html", TASKS),
    ("tasks region", "tasks/_region.html", task_list.TasksRegion(region())),
    (
        "tasks wrong query",
        "tasks/list.html",
        dataclasses.replace(TASKS, region=None, wrong=task_list.WrongWord(EVIL, EVIL, EVIL, EVIL, EVIL)),
    ),
    (
        "tasks with every column",
        "tasks/list.html",
        dataclasses.replace(
            TASKS,
            region=region(headings=tuple(task_list.Heading(name, word, "/tasks") for name, word in COLUMNS.items()), note=EVIL),
            columns=(("ran", "ran", True),),
            completions=(Completion(EVIL, EVIL),),
        ),
    ),
    (
        "views",
        "tasks/saved_views.html",
        saved_views.ViewsPage(
            SHELL,
            (
                saved_views.ViewLine(1, EVIL, EVIL, EVIL, "/tasks", 3, is_shared=True, may_change=False),
                saved_views.ViewLine(2, EVIL, "", "", "/tasks", None, is_shared=False, may_change=True),
            ),
            EVIL,
            EVIL,
            "/tasks",
            may_share=True,
        ),
    ),
    ("find", "find/page.html", FindPage(SHELL, EVIL, (Found(Candidate("name", EVIL, "/names/x", EVIL), 0),))),
    ("find nothing", "find/page.html", FindPage(SHELL, EVIL, ())),
    ("keys", "keyboard_shortcuts/page.html", KeysPage(SHELL, groups("admin"))),
    (
        "news",
        "news/page.html",
        NewsPage(SHELL, (NEWS,), (NEWS._replace(text=""),), NOW, "Friday 18:02", "1 plan finished", 14, tuple(BACK.items())),
    ),
    ("news none", "news/page.html", NewsPage(SHELL, (), (), NOW, "Friday 18:02", "", 14, tuple(BACK.items()))),
    ("bell", "_bell.html", BellRegion(3)),
    ("views none", "tasks/saved_views.html", saved_views.ViewsPage(SHELL, (), "", "", "/tasks", may_share=False)),
    (
        "compare",
        "tasks/compare.html",
        task_compare.ComparePage(
            SHELL,
            ROW,
            ROW,
            (task_compare.PairGroup(EVIL, (task_compare.Pair(EVIL, EVIL, "", True, True), task_compare.Pair(EVIL, EVIL, EVIL, False))),),
            1,
        ),
    ),
    ("completions", "tasks/_completions.html", task_completion.Completions((Completion(EVIL, EVIL),))),
    ("tasks new", "tasks/list.html", dataclasses.replace(TASKS, region=region(lines=(), is_new=True, has_app=False))),
    ("tasks new with an app", "tasks/list.html", dataclasses.replace(TASKS, region=region(lines=(), is_new=True))),
    ("tasks sparse", "tasks/list.html", dataclasses.replace(TASKS, region=region(lines=()))),
    ("tasks none", "tasks/list.html", dataclasses.replace(TASKS, region=region(lines=(), searched_to=None, older_href="", newer_href=""))),
    ("task", "tasks/detail.html", detail()),
    ("task unreadable arguments", "tasks/_detail.html", detail(arguments=())),
    ("task of a workflow", "tasks/_detail.html", detail(workflow=make_view(WORKFLOW, 2))),
    ("log of a task", "tasks/logs.html", inside_tasks.page(SHELL, ROW, EVIL, NOW)),
    (
        "workflow",
        "tasks/workflow.html",
        WorkflowPage(SHELL, 2, EVIL, make_view(WORKFLOW, 2), 2, frozenset({1, 2}), RetryChoice((2,), 3), may_retry=True),
    ),
    (
        "task bare",
        "tasks/detail.html",
        detail(
            row=BARE,
            actions=(),
            arguments=(),
            args="",
            result="",
            trace=None,
            attempts=(),
            timeline=None,
            links=(),
            commands=(),
            sent=(),
        ),
    ),
    (
        "workers",
        "workers/list.html",
        worker_list.WorkersPage(
            SHELL,
            (WORKER,),
            "1 connected",
            "/workers?after=x",
            "/workers",
            (GapRow("shop", NOW, 3, 90, NOW, NOW, "spool full"),),
            (
                worker_list.refused(RefusedRow("shop", "from_the_future", 3, NOW)),
                worker_list.refused(RefusedRow("shop", f"{CAUSE}name", 3, NOW)),
            ),
            (FaultRow("shop", NOW, "spool", EVIL, 1),),
            "/workers",
            False,
        ),
    ),
    ("workers none", "workers/list.html", worker_list.WorkersPage(SHELL, (), "", "", "", (), (), (), "/workers", False)),
    ("workers none here", "workers/list.html", worker_list.WorkersPage(SHELL, (), "", "", "", (), (), (), "/workers", True)),
    (
        "queues",
        "queues/list.html",
        queue_list.QueuesPage(SHELL, (queue_list.line(QUEUE, NOW),), "1 queue", "/queues?after=x", "/queues", "/queues", False),
    ),
    (
        "queues of one name",
        "queues/list.html",
        queue_list.QueuesPage(
            SHELL,
            (queue_list.line(dataclasses.replace(QUEUE, is_in_several_brokers=True), NOW, is_counted=False),),
            "1 queue",
            "",
            "",
            "/queues",
            False,
        ),
    ),
    ("errors", "errors/list.html", errors.full_list(SHELL, EVIL)),
    ("errors none", "errors/list.html", errors.no_errors(SHELL, is_narrowed=False)),
    ("errors none here", "errors/list.html", errors.no_errors(SHELL, is_narrowed=True)),
    ("an error", "errors/detail.html", errors.full_page(SHELL, ROW, task_list.line(ROW, Filters(), NOW, CAN), EVIL)),
    ("an error that is merged", "errors/detail.html", errors.merged_page(SHELL, ROW, task_list.line(ROW, Filters(), NOW, CAN), EVIL)),
    ("an error without tasks", "errors/detail.html", errors.empty_page(SHELL, ROW, task_list.line(ROW, Filters(), NOW, CAN), EVIL)),
    ("now", "now/page.html", findings.full(SHELL, COMMAND, EVIL)),
    ("now, all well", "now/page.html", findings.calm(SHELL, is_stale=False)),
    ("now, unknown", "now/page.html", findings.calm(SHELL, is_stale=True)),
    ("queues none", "queues/list.html", queue_list.QueuesPage(SHELL, (), "", "", "", "/queues", False)),
    ("queues none here", "queues/list.html", queue_list.QueuesPage(SHELL, (), "", "", "", "/queues", True)),
    (
        "changes",
        "changes/commands.html",
        CommandsPage(SHELL, (COMMAND, dataclasses.replace(COMMAND, task=None)), "/changes?before=1", "/changes", True),
    ),
    ("changes none", "changes/commands.html", CommandsPage(SHELL, (), "", "/changes", False)),
    ("audit", "changes/audit_log.html", AuditPage(SHELL, (AuditLine(AUDIT, EVIL),), "/changes/audit?before=1", EVIL, EVIL, SIGNED)),
    ("audit none", "changes/audit_log.html", AuditPage(SHELL, (), "")),
    ("error", "error.html", ErrorPage("dark", "Not found", 404, EVIL, EVIL, "abc")),
    ("patterns", "component_gallery.html", make_page(SHELL)),
    ("reset of a demo", "demo/reset.html", ResetPage("dark", "/login?code=x")),
    ("faults of a demo", "demo/faults.html", findings.faults(SHELL, EVIL)),
    ("strip", "_status_bar.html", StatusBarRegion(SHELL.strip)),
)


@pytest.mark.parametrize("is_demo", [False, True], ids=["real", "demo"])
@pytest.mark.parametrize(("template", "page"), [(template, page) for _, template, page in PAGES], ids=[name for name, _, _ in PAGES])
def test_page_renders_from_its_dataclass_and_escapes(template: str, page: Any, *, is_demo: bool) -> None:
    html = to_html(template, page, is_demo=is_demo)
    assert "<script>alert" not in html
    assert "None" not in html.replace("data-none", "")
    if not template.startswith(("_", "tasks/_", "schedules/_")):
        assert html.lstrip().lower().startswith("<!doctype html>")
        assert html.count("<h1") == 1
        assert html.count("<main") == 1
        assert ('class="chip demo"' in html) is is_demo, "every page of a demo says so, and no other"


def test_every_template_is_rendered_here() -> None:
    folder = resources.templates()
    pages = {file.relative_to(folder).as_posix() for file in Path(folder).rglob("*.html")}
    parts = {name for name in pages if name.rpartition("/")[2].startswith("_") or name.startswith("macros/")} | {
        "base.html",
        "auth/frame.html",
    }
    assert pages - parts <= {template for _, template, _ in PAGES}


def test_words_are_calm() -> None:
    for name, template, page in PAGES:
        text = to_html(template, page).lower()
        assert "oops" not in text, name
        assert "successfully" not in text, name


def test_notes_of_a_worker_are_sentences() -> None:
    assert len(WORKER.notes) == 9
    assert all(note.endswith(".") for note in WORKER.notes if note not in (EVIL, "a note"))


def test_timeline_fills_the_bar() -> None:
    again = dataclasses.replace(RUN, attempt=1, started_at=NOW + 20_000_000, ended_at=NOW + 30_000_000)
    bar = task_detail.timeline(ROW, [RUN, again], NOW + 30_000_000)
    assert bar is not None
    assert [part.word for part in bar.parts] == ["waited", "ran, failed", "waited for retry", "ran, failed"]
    assert all(0 <= part.x <= 1000 and part.x + part.width <= 1000 for part in bar.parts)
    assert task_detail.timeline(dataclasses.replace(ROW, first_at=NOW, enqueued_at=NOW), [], NOW) is None
