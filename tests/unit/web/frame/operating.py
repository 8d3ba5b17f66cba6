# SPDX-License-Identifier: AGPL-3.0-or-later
"""The pages of plans, of one queue, of one worker and of running a task, full and empty, for `test_templates`."""

from __future__ import annotations

import dataclasses
from typing import Any

from tests.unit.web.frame import errors, histories
from z4j.rules.task_signatures import parse
from z4j.store.fleet.agents import TaskNameRow
from z4j.store.fleet.paused_queues import PausedQueueRow
from z4j.store.fleet.workers import WorkerRow
from z4j.store.operations.commands import CommandRow
from z4j.store.operations.plans import GroupRow, ItemRow, PlanRow, Sample
from z4j.web.frame.render import Choice, Shell
from z4j.web.pages import plans
from z4j.web.pages.queues import detail as queue_detail
from z4j.web.pages.queues.list import QueueLine
from z4j.web.pages.tasks import run
from z4j.web.pages.workers import detail as worker_detail
from z4j.wire.frames import RunningItem

ACCOUNT = dict.fromkeys(plans.STATES, 0) | {"done": 700, "changed": 3, "waiting": 297}


def pages(shell: Shell, evil: str, now: int, line: QueueLine, of: WorkerRow, command: CommandRow) -> list[tuple[str, str, Any]]:
    sample: Sample = {
        "id": 1,
        "task_id": evil,
        "name": evil,
        "engine": "celery",
        "queue": evil,
        "state": "failed",
        "args": evil,
        "error_type": evil,
    }
    row = PlanRow(
        7, "k" * 16, "move_task", {"queue": evil}, "state=failed", evil, evil, "frozen", "d" * 64, 1_000, {evil: 12}, [sample], 90_000_000,
        "{}", evil, "", now, None, None,
    )  # fmt: skip
    frozen = plan_page(shell, row, now, can=frozenset({"execute"}), shares=())
    ran = dataclasses.replace(row, status="running", started_at=now, pace='{"per_minute": 60, "is_canary": false, "limit": 20}')
    running = plan_page(shell, ran, now, shares=plans.shares(ran, ACCOUNT), can=frozenset({"pause", "abort", "undo"}), state="running")
    here = queue_detail.QueuePage(
        shell, line, PausedQueueRow(1, "shop", 1, "production", "celery", evil, now, evil, evil, None),
        (PausedQueueRow(2, "shop", 1, "production", "celery", evil, now, evil, evil, None, evil),),
        (Choice("Waiting", "/queues/x", True),), "waiting",
        queue_detail.Peeked(
            "waiting", now, False, "", ({"task_id": evil, "name": evil, "args": evil, "enqueued_at": now, "due_at": None},),
        ),
        (queue_detail.QueueCommand(
            dataclasses.replace(command, action="purge_queue", queue=evil, detail={"tasks": 5, "error": evil}), True, 3,
        ),),
        dict.fromkeys(queue_detail.ACTIONS, "") | {"peek_queue": evil}, (("queue", evil),), "/queues/x", "/plans/new",
        histories.of_queue(evil, now), histories.ledger_of_queue(evil, now),
    )  # fmt: skip
    this = worker_detail.WorkerPage(
        shell, of, (worker_detail.CurrentTask(RunningItem("celery", evil, 0, evil, evil, now, 7), "/tasks", 5_000_000),), (evil,), evil,
        dict.fromkeys(worker_detail.ACTIONS, ""), dict.fromkeys(worker_detail.ACTIONS, evil),
        ((evil, evil),), ((evil, "/queues/x"),), (command,), "/tasks", "/tasks",
        histories.of_worker(evil, now), errors.panel(now, evil),
    )  # fmt: skip
    name = TaskNameRow("shop", evil, "celery", evil, "(order, *rest, fast=False)", evil, evil, now)
    form = run.RunPage(
        shell, (run.Choice(name, "/tasks/run", True),), 3, evil, name, parse(name.signature), "",
        {"of.order": evil, "notice": evil},
    )  # fmt: skip
    return [
        *histories.pages(shell, evil, now),
        ("plan new", "plans/new.html", plans.NewPage(
            shell, evil, "3 tasks", (("name", evil),), (("retry_task", "Retry"), ("prioritise_task", "P"), ("move_task", "Move")),
            (("next", evil),), ((evil, evil),), "/tasks",
        )),
        ("plan frozen", "plans/detail.html", frozen),
        ("plan of nothing", "plans/detail.html", dataclasses.replace(frozen, plan=dataclasses.replace(row, items=0), can=frozenset())),
        ("plan of a viewer", "plans/detail.html", dataclasses.replace(frozen, may_act=False)),
        ("plan running", "plans/detail.html", running),
        ("plan without such items", "plans/detail.html", dataclasses.replace(running, items=(), status="failed", undone=9)),
        ("plans", "plans/list.html", plans.PlansPage(shell, (row,), (plans.title_of(row),), ("scheduled",), "/plans?before=1", True)),
        ("plans none", "plans/list.html", plans.PlansPage(shell, (), (), (), "", False)),
        ("queue", "queues/detail.html", here),
        ("queue of one broker of two", "queues/detail.html", dataclasses.replace(
            here, line=dataclasses.replace(line, row=dataclasses.replace(line.row, broker=evil, is_in_several_brokers=True))
        )),
        ("queue unseen", "queues/detail.html", dataclasses.replace(here, pause=None, peeked=None, commands=())),
        ("queue asked", "queues/detail.html", dataclasses.replace(here, peeked=queue_detail.Peeked("waiting", now, True, "", ()))),
        (
            "queue empty", "queues/detail.html",
            dataclasses.replace(here, peeked=queue_detail.Peeked("dead", now, False, "", ()), section="dead"),
        ),
        ("queue refused", "queues/detail.html", dataclasses.replace(here, peeked=queue_detail.Peeked("dead", now, False, evil, ()))),
        ("worker", "workers/detail.html", this),
        ("worker idle", "workers/detail.html", dataclasses.replace(this, tasks=(), notes=(), commands=())),
        ("worker gone", "workers/detail.html", dataclasses.replace(
            this, tasks=(), row=dataclasses.replace(of, state="left"), why_not=dict.fromkeys(worker_detail.ACTIONS, evil)
        )),
        ("run", "tasks/run.html", form),
        ("run in a broker", "tasks/run.html", dataclasses.replace(form, brokers=(("", "default broker of the task"), (evil, evil)))),
        ("run unreadable", "tasks/run.html", dataclasses.replace(form, parameters=(), why_not=evil)),
        ("run nothing chosen", "tasks/run.html", dataclasses.replace(form, chosen=None, parameters=None, values={})),
        ("run none found", "tasks/run.html", dataclasses.replace(form, chosen=None, choices=(), values={})),
        ("run none", "tasks/run.html", dataclasses.replace(form, chosen=None, choices=(), wanted="", values={})),
    ]  # fmt: skip


def plan_page(shell: Shell, row: PlanRow, now: int, **more: Any) -> plans.PlanPage:
    evil = row.author
    given: dict[str, Any] = {
        "shell": shell, "plan": row, "title": plans.title_of(row), "state": "scheduled", "verb": "Move", "ended": 703,
        "groups": (GroupRow(0, 1, "shop", "production", "celery", evil, evil, 5),), "more_groups": 2,
        "excluded": tuple(row.excluded.items()),
        "items": (ItemRow(1, 1, evil, "done", now, evil, "celery", evil, evil),), "item_states": plans.STATES, "status": "",
        "after_href": "/plans/7?after=1", "list_href": "/tasks?state=failed", "pace": "60 a minute", "may_act": True, "undone": None,
    }  # fmt: skip
    return plans.PlanPage(**(given | more))
