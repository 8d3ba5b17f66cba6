# SPDX-License-Identifier: AGPL-3.0-or-later
"""`z4j plan …`: create a plan, show it, execute it, and follow its progress."""

from __future__ import annotations

import argparse
import sys
import time
from typing import TypedDict

from z4j.cli.common.client import FILTERS, Add, Client, client_of, filter_options, remote_options
from z4j.cli.common.output import print_json, print_table, redraw, say, when
from z4j.cli.task import LEVELS
from z4j.settings import Settings

POLL_S = 0.5
BAR = 30
OVER = ("done", "aborted", "paused")
ACTIONS = ("retry_task", "cancel_task", "move_task", "prioritise_task", "release_task", "terminate_task", "delete_task")


class Plan(TypedDict):
    """A plan. `digest` is its hash in hex digits; `excluded` is reason to number of tasks."""

    id: int
    action: str
    status: str
    items: int
    digest: str
    note: str
    excluded: dict[str, int]


class Group(TypedDict):
    """The items of a plan with the same engine, queue and task name."""

    engine: str
    queue: str
    name: str
    items: int


class PlanAnswer(TypedDict):
    """A plan with the number of its items by status, as `GET /plans/{id}` returns it."""

    plan: Plan
    account: dict[str, int]
    groups: list[Group]


def add_commands(add: Add) -> None:
    """Adds `z4j plan` and its actions."""
    actions = add("plan", "Bulk actions: create a plan, check its preview, execute it.").add_subparsers(required=True, metavar="ACTION")
    remote_options(add("list", "List plans, newest first.", list_plans, actions))
    remote_options(add("show", "Show a plan and the results of its items.", show_plan, actions)).add_argument("id", type=int)
    made = remote_options(add("freeze", "Create a plan for the matching tasks. Nothing is executed yet.", freeze, actions), asks=True)
    made.add_argument("what", choices=ACTIONS)
    filter_options(made)
    made.add_argument("--id", type=int, action="append", help="Row number of a task, instead of a filter. Can be repeated.")
    made.add_argument("--level", choices=LEVELS)
    made.add_argument("--to", metavar="QUEUE", help="Destination queue.")
    made = remote_options(add("execute", "Execute a plan and show its progress.", execute, actions), asks=True)
    made.add_argument("id", type=int)
    made.add_argument("digest", help="Digest of the plan, at least its first 12 characters.")
    made.add_argument("--pace", default="all", help="all, canary, or a number per minute such as 60/m. Default: all")
    made.add_argument("--limit", type=int, help="Failure rate in percent at which a canary stops. Default: 20")
    for word, text in (
        ("pause", "Pause a plan: no more items are sent."),
        ("resume", "Resume a plan and show its progress."),
        ("abort", "Abort a plan. Items that were not sent are not executed."),
        ("undo", "Create a plan that restores the tasks this plan removed."),
    ):
        made = remote_options(add(word, text, change, actions), asks=True)
        made.set_defaults(change=word)
        made.add_argument("id", type=int)


def list_plans(words: argparse.Namespace, settings: Settings) -> int:
    """Runs `z4j plan list`."""
    answer = client_of(words, settings).get("/plans")
    if words.json:
        print_json(answer)
        return 0
    rows = [
        (
            str(plan["id"]),
            plan["status"],
            plan["action"].replace("_", " "),
            f"{plan['items']:,}",
            plan["author"],
            when(plan["created_at"]),
            plan["source"],
        )
        for plan in answer["plans"]
    ]
    print_table(("plan", "status", "action", "items", "author", "created", "source"), rows)
    return 0


def show_plan(words: argparse.Namespace, settings: Settings) -> int:
    """Runs `z4j plan show`."""
    _print_plan(client_of(words, settings).get(f"/plans/{words.id}"), words)
    return 0


def freeze(words: argparse.Namespace, settings: Settings) -> int:
    """Runs `z4j plan freeze`."""
    asked = {name: getattr(words, name) for name in FILTERS if getattr(words, name)}
    answer = client_of(words, settings).post(
        "/plans", action=words.what, filter=asked, ids=words.id or None, level=words.level, queue=words.to, reason=words.reason
    )
    _print_plan(answer, words)
    if not words.json:
        plan = answer["plan"]
        say(f"\nThis plan has not been executed. To execute it: z4j plan execute {plan['id']} {plan['digest'][:12]}")
    return 0


def execute(words: argparse.Namespace, settings: Settings) -> int:
    """Runs `z4j plan execute`, which requires at least the first 12 digits of the plan's hash."""
    client = client_of(words, settings)
    plan = client.get(f"/plans/{words.id}")["plan"]
    is_same = len(words.digest) >= 12 and plan["digest"].startswith(words.digest)
    client.post(f"/plans/{words.id}/execute", digest=plan["digest"] if is_same else words.digest, pace=words.pace, limit=words.limit)
    return _watch(client, words)


def change(words: argparse.Namespace, settings: Settings) -> int:
    """Runs `z4j plan pause | resume | abort | undo`."""
    client = client_of(words, settings)
    answer = client.post(f"/plans/{words.id}/{words.change}")
    if words.change == "resume":
        return _watch(client, words)
    _print_plan(answer, words)
    return 0


def _watch(client: Client, words: argparse.Namespace) -> int:
    """Follows a plan until it ends, with a progress bar on a terminal. Returns 0 if every item is done, otherwise 1."""
    while True:
        answer: PlanAnswer = client.get(f"/plans/{words.id}")
        plan, account = answer["plan"], answer["account"]
        is_over = plan["status"] in OVER and not account["sent"]
        if sys.stderr.isatty() and not words.json:
            ended = plan["items"] - account["waiting"] - account["sent"]
            full = BAR * ended // max(plan["items"], 1)
            redraw(f"{'█' * full}{'░' * (BAR - full)} {ended:,} of {plan['items']:,} {plan['note']}")
        if is_over or words.no_wait:
            break
        time.sleep(POLL_S)
    if sys.stderr.isatty() and not words.json:
        say("", is_error=True)
    _print_plan(answer, words)
    return 0 if account["done"] == plan["items"] or words.no_wait else 1


def _print_plan(answer: PlanAnswer, words: argparse.Namespace) -> None:
    if words.json:
        print_json(answer)
        return
    plan = answer["plan"]
    say(f"plan {plan['id']}: {plan['action'].replace('_', ' ')}, {plan['items']:,} tasks, {plan['status']}. {plan['note']}".rstrip())
    say(f"digest {plan['digest']}")
    if plan["excluded"]:
        say("skipped: " + "; ".join(f"{count:,} because {why}" for why, count in plan["excluded"].items()))
    counts = {word: count for word, count in answer["account"].items() if count}
    say("results: " + ", ".join(f"{count:,} {word}" for word, count in counts.items()))
    groups = [(group["engine"], group["queue"], group["name"], f"{group['items']:,}") for group in answer["groups"][:20]]
    if groups:
        print_table(("engine", "queue", "task name", "tasks"), groups)
