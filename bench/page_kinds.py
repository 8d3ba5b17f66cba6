# SPDX-License-Identifier: AGPL-3.0-or-later
"""Every page of the product and its `.json`, as `bench.pages` asks for them. The `.csv` and `limit=all` are whole tables and no pages."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Final, Literal
from urllib.parse import quote, urlencode

from bench.large_database import RARE, WORKERS
from bench.large_fill import CHILDREN, PLANS, SCHEDULES
from bench.traffic import NAMES, QUEUES
from z4j.rules.history.ranges import SPANS
from z4j.web.pages.tasks.filters import COLUMNS

SOME: Final = 300
"""Tasks of each kind whose ids are known."""


@dataclass(frozen=True, slots=True)
class Span:
    """What the database holds: the times of the first and last task, and the ids of some tasks and errors."""

    first: int
    last: int
    task_ids: list[str]
    rows: list[int]
    failed: list[int]
    parents: list[int]
    errors: list[int]


Group = Literal["list", "search", "text", "page"]
"""A list of tasks that is found soon; one that few tasks match, so that it ends at the deadline; a search for words; anything else."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of page: in words, and how its URL is made."""

    what: str
    path: Callable[[Random, Span], str]
    group: Group = "page"


@dataclass(frozen=True, slots=True)
class PageFigures:
    """One kind of page. `figure` is the p99 in milliseconds."""

    figure: float
    p50: float
    cpu: float
    complete: float
    rows: float
    statements: float


def span_of(db: sqlite3.Connection, tasks: int) -> Span:
    """Reads the identifiers that the pages need; the same for every run."""
    first, last = db.execute("SELECT min(first_at), max(first_at) FROM task").fetchone()
    chance = Random(1)
    rows = [chance.randrange(1, tasks) for _ in range(SOME)]
    ids = [db.execute("SELECT hex(task_id) FROM task WHERE id = ?", (id,)).fetchone()[0].lower() for id in rows]
    failed = [row[0] for row in db.execute("SELECT id FROM task WHERE state = 11 ORDER BY first_at DESC LIMIT ?", (SOME,))]
    errors = [row[0] for row in db.execute("SELECT id FROM error_group ORDER BY id")]
    parents = [tasks // CHILDREN * CHILDREN - CHILDREN * (1 + chance.randrange(1_000)) for _ in range(SOME)]
    return Span(first, last, [f"{id[:8]}-{id[8:12]}-{id[12:16]}-{id[16:20]}-{id[20:]}" for id in ids], rows, failed, parents, errors)


def _deep(chance: Random, span: Span) -> str:
    return f"older={chance.randrange(span.first + (span.last - span.first) // 20, span.last)}-0"


def _pair(name: int) -> str:
    return f"/tasks?queue={QUEUES[name % len(QUEUES)]}&name={NAMES[name]}"


def _q(text: str) -> Callable[[Random, Span], str]:
    return lambda chance, span: f"/tasks?{urlencode({'q': text}, safe=',:*')}"


def _at(path: str) -> Callable[[Random, Span], str]:
    return lambda chance, span: path


PLACE: Final = {"app": "shop", "environment": "production", "engine": "celery"}

LISTS: Final[dict[str, Kind]] = {
    "newest": Kind("tasks", _at("/tasks"), "list"),
    "deep": Kind("tasks from a random moment on", lambda chance, span: f"/tasks?{_deep(chance, span)}", "list"),
    "state": Kind("failed tasks", _at("/tasks?state=failed"), "list"),
    "waiting": Kind("queued and received tasks", _at("/tasks?state=queued,received"), "list"),
    "name": Kind("tasks of one name", lambda chance, span: f"/tasks?name={chance.choice(NAMES)}", "list"),
    "name_deep": Kind("tasks of one name, deep", lambda chance, span: f"/tasks?name={chance.choice(NAMES)}&{_deep(chance, span)}", "list"),
    "pair": Kind("tasks of a queue and name", lambda chance, span: _pair(chance.randrange(len(NAMES))), "list"),
    "worker": Kind("tasks of one worker", lambda chance, span: f"/tasks?worker=worker{chance.randrange(WORKERS)}@shop", "list"),
    "name_failed": Kind(
        "failed tasks of one name: 1 in 1,600", lambda chance, span: f"/tasks?name={chance.choice(NAMES[:RARE])}&state=failed", "list"
    ),
    "columns": Kind("tasks with every column", _at(f"/tasks?columns={','.join(COLUMNS)}"), "list"),
    "task_id": Kind("tasks with a task ID", lambda chance, span: f"/tasks?task_id={chance.choice(span.task_ids)}", "list"),
    "tasks_json": Kind("tasks.json", _at("/tasks.json"), "list"),
    "rare": Kind("failed tasks of one name: 1 in 200,000", _at(f"/tasks?name={NAMES[RARE]}&state=failed"), "search"),
    "rare_deep": Kind("the same, deep", lambda chance, span: f"/tasks?name={NAMES[RARE]}&state=failed&{_deep(chance, span)}", "search"),
    "longest": Kind("tasks by their runtime", _q("order:ran"), "search"),
}
TEXTS: Final[dict[str, Kind]] = {
    "word": Kind("a word of every task", _q("order"), "text"),
    "word_rare": Kind("a word of 1 task in 200,000", lambda chance, span: _q(f"customer{chance.randrange(200_000)}")(chance, span), "text"),
    "word_missing": Kind("a word of no task", _q("neverthere"), "text"),
    "two_words": Kind("two words of 1 task in 30", _q("eu customer*"), "text"),
    "phrase": Kind("a phrase of 1 task in 280", _q('"no such parcels"'), "text"),
    "not_word": Kind("a word, and one that is missing", _q("order -eu"), "text"),
    "word_failed": Kind("a word of failed tasks of one name", _q(f"refunds state:failed name:{NAMES[2]}"), "text"),
    "argument": Kind(
        "an argument of 1 task in 20,000", lambda chance, span: _q(f"args.user_id:{chance.randrange(20_000)}")(chance, span), "text"
    ),
    "argument_start": Kind("an argument that begins so", _q("args.email:customer12345*"), "text"),
}
PAGES: Final[dict[str, Kind]] = {
    **{f"now_{key}": Kind(f"Now, {key}", _at(f"/?range={key}")) for key in ("90m", "24h", "7d")},
    "now_json": Kind("now.json", _at("/now.json")),
    "strip": Kind("the strip of numbers alone", _at("/strip")),
    "task": Kind("a task", lambda chance, span: f"/tasks/{chance.choice(span.rows)}"),
    "task_failed": Kind("a failed task", lambda chance, span: f"/tasks/{chance.choice(span.failed)}"),
    "task_parent": Kind("a task with 29 children", lambda chance, span: f"/tasks/{chance.choice(span.parents)}"),
    "task_json": Kind("a task, .json", lambda chance, span: f"/tasks/{chance.choice(span.failed)}.json"),
    "workflow": Kind("a workflow of 30 tasks", lambda chance, span: f"/tasks/{chance.choice(span.parents)}/workflow"),
    "workflow_json": Kind("the same, .json", lambda chance, span: f"/tasks/{chance.choice(span.parents)}/workflow.json"),
    "compare": Kind(
        "two tasks side by side", lambda chance, span: f"/tasks/compare?a={chance.choice(span.rows)}&b={chance.choice(span.failed)}"
    ),
    "complete": Kind("completion of a name", _at("/tasks/complete?q=name:shop")),
    "views": Kind("saved views", _at("/tasks/views")),
    "run": Kind("form: run a task", _at("/tasks/run")),
    **{f"names_{key}": Kind(f"task names, {key}", _at(f"/names?range={key}")) for key in SPANS},
    "names_json": Kind("names.json, 24h", _at("/names.json?range=24h")),
    **{
        f"name_{key}": Kind(f"a task name, {key}", lambda chance, span, key=key: f"/names/{chance.choice(NAMES)}?range={key}")  # type: ignore[misc]
        for key in SPANS
    },
    "name_json": Kind("a task name, .json, 24h", lambda chance, span: f"/history/name.json?range=24h&name={chance.choice(NAMES)}"),
    "queues": Kind("queues", _at("/queues")),
    "queues_json": Kind("queues.json", _at("/queues.json")),
    **{
        f"queue_{key}": Kind(
            f"a queue, {key}",
            lambda chance, span, key=key: f"/queues/{chance.choice(QUEUES)}?{urlencode(PLACE | {'range': key})}",  # type: ignore[misc]
        )
        for key in SPANS
    },
    "queue_json": Kind(
        "a queue, .json, 24h",
        lambda chance, span: f"/history/queue.json?{urlencode(PLACE | {'queue': chance.choice(QUEUES), 'range': '24h'})}",
    ),
    "workers": Kind("workers", _at("/workers")),
    "workers_json": Kind("workers.json", _at("/workers.json")),
    **{
        f"worker_{key}": Kind(
            f"a worker, {key}",
            lambda chance, span, key=key: (  # type: ignore[misc]
                f"/workers/{quote(f'worker{chance.randrange(WORKERS)}@shop', safe='')}?app=shop&environment=production&range={key}"
            ),
        )
        for key in SPANS
    },
    "worker_json": Kind("a worker, .json, 24h", _at("/history/worker.json?worker=worker1@shop&app=shop&environment=production&range=24h")),
    "errors": Kind("errors", _at("/errors")),
    "errors_json": Kind("errors.json", _at("/errors.json")),
    "error": Kind("an error", lambda chance, span: f"/errors/{chance.choice(span.errors)}"),
    "error_json": Kind("an error, .json", lambda chance, span: f"/errors/{chance.choice(span.errors)}.json"),
    "schedules": Kind(f"{SCHEDULES} schedules", _at("/schedules")),
    "schedules_json": Kind("schedules.json", _at("/schedules.json")),
    "calendar": Kind("calendar of schedules", _at("/schedules/calendar")),
    "schedule": Kind("a schedule", lambda chance, span: f"/schedules/{chance.randrange(1, SCHEDULES + 1)}"),
    "schedule_json": Kind("a schedule, .json", lambda chance, span: f"/schedules/{chance.randrange(1, SCHEDULES + 1)}.json"),
    "schedule_new": Kind("form: a new schedule", _at("/schedules/new")),
    "releases": Kind("releases", _at("/releases")),
    "releases_json": Kind("releases.json", _at("/releases.json")),
    "release": Kind("a release", _at("/releases/2026.11.3?app=shop&environment=production")),
    "alerts": Kind("alerts", _at("/alerts")),
    "alerts_json": Kind("alerts.json", _at("/alerts.json")),
    "alert_rules": Kind("rules of alerts", _at("/alerts/rules")),
    "alert_rule_new": Kind("form: a new rule", _at("/alerts/rules/new")),
    "alert_channels": Kind("channels of alerts", _at("/alerts/channels")),
    "alert_messages": Kind("messages of alerts", _at("/alerts/messages")),
    "maintenance": Kind("maintenance", _at("/alerts/maintenance")),
    "plans": Kind("plans", _at("/plans")),
    "plan": Kind("a plan", lambda chance, span: f"/plans/{chance.randrange(1, PLANS + 1)}"),
    "plan_new": Kind("form: a new plan", lambda chance, span: f"/plans/new?state=failed&name={chance.choice(NAMES)}"),
    "changes": Kind("commands", _at("/changes")),
    "changes_json": Kind("changes.json", _at("/changes.json")),
    "audit": Kind("audit log", _at("/changes/audit")),
    "audit_json": Kind("audit.json", _at("/changes/audit.json")),
    "appliance": Kind("appliance", _at("/settings/appliance")),
    "apps": Kind("apps", _at("/settings/apps")),
    "tokens": Kind("tokens", _at("/settings/tokens")),
    "users": Kind("users", _at("/settings/users")),
    "account": Kind("your account", _at("/settings/account")),
    "connect": Kind("connect an app", _at("/connect")),
    "patterns": Kind("gallery of components", _at("/patterns")),
}
KINDS: Final[dict[str, Kind]] = LISTS | TEXTS | PAGES


def is_complete(text: str) -> bool:
    """Whether the search behind an answer did not stop at its deadline. What the heading of a full page says is no sign of it."""
    return not re.search(r'earched back to <time|Searched back to|"searched_to": ?\d', text)


def rows_in(kind: Kind, text: str) -> int:
    """How many rows an answer shows: tasks of a list, else rows of tables, items of lists, points of charts; of JSON, the longest list."""
    if text.startswith("{"):
        return max((len(value) for value in json.loads(text).values() if isinstance(value, list)), default=1)
    if kind.group != "page":
        return len(set(re.findall(r'href="/tasks/(\d+)', text)))
    return len(re.findall(r'<tr\b|<li\b|<dt\b|class="hit"|<option\b|<input\b', text))
