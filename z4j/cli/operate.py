# SPDX-License-Identifier: AGPL-3.0-or-later
"""Arguments of `z4j task | queue | worker | plan | schedule`: API clients of a running server, local or remote."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

from z4j.cli import plan, remote, schedule

Add = Callable[..., argparse.ArgumentParser]
ARGUMENTS = 'JSON file with {"args": […], "kwargs": {…}}, or - for standard input. Use it for values that other users must not see.'
LEVELS = ("next", "high", "normal", "low")
PLACES = ("waiting", "delayed", "dead")
PLANS = ("retry_task", "cancel_task", "move_task", "prioritise_task", "release_task", "terminate_task", "delete_task")


def add_commands(add: Add) -> None:
    """The five commands and their actions."""
    _tasks(add)
    _queues(add)
    _workers(add)
    _plans(add)
    _schedules(add)


def _remote(made: argparse.ArgumentParser, *, asks: bool = False) -> argparse.ArgumentParser:
    made.add_argument("--server", help="Address of the server. Default: Z4J_SERVER, or the server of this installation")
    made.add_argument("--token", metavar="FILE", help="File that contains the API token, or - for standard input. Default: Z4J_API_TOKEN")
    made.add_argument("--json", action="store_true", help="Print the API response as JSON.")
    if asks:
        made.add_argument("--reason", default="", help="Reason to record in the audit log.")
        made.add_argument("--no-wait", action="store_true", help="Return immediately; do not wait for the result.")
    return made


def _filters(made: argparse.ArgumentParser) -> None:
    for name in remote.FILTERS:
        made.add_argument(f"--{name.replace('_', '-')}", help="One or more states, separated by commas." if name == "state" else None)


def _tasks(add: Add) -> None:
    actions = add("task", "Manage tasks on a running server.").add_subparsers(required=True, metavar="ACTION")
    made = _remote(add("list", "List tasks, newest first.", remote.list_tasks, actions))
    _filters(made)
    made.add_argument("--limit", type=int, default=50)
    _remote(add("show", "Show one task as JSON.", remote.show_task, actions)).add_argument("task", help="Row number or task ID.")
    words: tuple[tuple[str, str, str], ...] = (
        ("retry", "retry_task", "Run a task again unchanged, under a new task ID."),
        ("edit", "edit_task", "Run a task again with edited arguments."),
        ("put-back", "restore_task", "Restore a cancelled task."),
        ("cancel", "cancel_task", "Cancel a queued task."),
        ("run-now", "release_task", "Run a delayed task now."),
        ("prioritise", "prioritise_task", "Change the priority of a queued task."),
        ("move", "move_task", "Move a queued task to another queue."),
        ("stop", "terminate_task", "Stop a running task."),
    )
    for word, action, text in words:
        made = _remote(add(word, text, remote.act_on_task, actions), asks=True)
        made.set_defaults(action=action)
        made.add_argument("task", help="Row number or task ID.")
        if action == "prioritise_task":
            made.add_argument("level", choices=LEVELS)
        if action == "move_task":
            made.add_argument("queue")
        if action == "edit_task":
            made.add_argument(
                "--arg", action="append", default=[], metavar="PLACE=JSON", help="A positional argument; positions start at 0."
            )
            made.add_argument("--kwarg", action="append", default=[], metavar="NAME=JSON")
            made.add_argument("--arguments", metavar="FILE", help=ARGUMENTS)
    made = _remote(add("run", "Run a registered task.", remote.run_task, actions), asks=True)
    made.add_argument("name")
    made.add_argument("--app", required=True)
    made.add_argument("--engine", required=True)
    made.add_argument("--environment")
    made.add_argument("--queue")
    made.add_argument("--arg", action="append", default=[], metavar="JSON", help="A positional argument. Can be repeated.")
    made.add_argument("--kwarg", action="append", default=[], metavar="NAME=JSON")
    made.add_argument("--arguments", metavar="FILE", help=ARGUMENTS)


def _queues(add: Add) -> None:
    actions = add("queue", "Manage queues on a running server.").add_subparsers(required=True, metavar="ACTION")
    _remote(add("list", "List queues.", remote.list_queues, actions))
    for word, text in (
        ("pause", "Pause a queue: workers take no tasks from it."),
        ("resume", "Resume a paused queue."),
        ("peek", "Show the tasks in a queue, in order."),
        ("purge", "Remove all tasks from a queue. They can be restored for seven days."),
    ):
        made = _remote(add(word, text, remote.act_on_queue, actions), asks=True)
        made.set_defaults(action=f"{word}_queue")
        made.add_argument("queue")
        for name in ("app", "engine", "environment", "broker"):
            made.add_argument(f"--{name}", help="Required if several queues have this name.")
        if word in ("peek", "purge"):
            made.add_argument("--place", choices=PLACES, default="waiting")
        if word == "purge":
            made.add_argument("--confirm", metavar="purge", required=True, help="The word purge.")


def _workers(add: Add) -> None:
    actions = add("worker", "Manage workers on a running server.").add_subparsers(required=True, metavar="ACTION")
    _remote(add("list", "List workers seen in the last 24 hours.", remote.list_workers, actions))
    words: dict[str, tuple[str, str]] = {
        "shutdown": ("shutdown_worker", "Shut a worker down after its running tasks."),
        "restart": ("restart_worker", "Restart a worker after its running tasks."),
        "resize": ("resize_worker", "Change a worker's concurrency."),
        "consume": ("consume_queue", "Start consuming a queue."),
        "leave": ("leave_queue", "Stop consuming a queue."),
    }
    for word, (action, text) in words.items():
        made = _remote(add(word, text, remote.act_on_worker, actions), asks=True)
        made.set_defaults(action=action)
        made.add_argument("worker")
        for name in ("app", "environment"):
            made.add_argument(f"--{name}", help="Required if several workers have this name.")
        if word in ("shutdown", "restart"):
            made.add_argument("--confirm", metavar=word, required=True, help=f"The word {word}.")
        elif word == "resize":
            made.add_argument("by", type=int, help="Number of processes or threads to add; negative to remove.")
        else:
            made.add_argument("queue")


def _plans(add: Add) -> None:
    actions: Any = add("plan", "Bulk actions: freeze, preview, execute.").add_subparsers(required=True, metavar="ACTION")
    _remote(add("list", "List plans, newest first.", plan.list_plans, actions))
    _remote(add("show", "Show a plan and the results of its items.", plan.show_plan, actions)).add_argument("id", type=int)
    made = _remote(add("freeze", "Create a plan for the matching tasks. Nothing is executed yet.", plan.freeze, actions), asks=True)
    made.add_argument("what", choices=PLANS)
    _filters(made)
    made.add_argument("--id", type=int, action="append", help="Row number of a task, instead of a filter. Can be repeated.")
    made.add_argument("--level", choices=LEVELS)
    made.add_argument("--to", metavar="QUEUE", help="Destination queue.")
    made = _remote(add("execute", "Execute a plan and show its progress.", plan.execute, actions), asks=True)
    made.add_argument("id", type=int)
    made.add_argument("digest", help="Hash of the plan, at least its first 12 digits.")
    made.add_argument("--pace", default="all", help="all, canary, or a number per minute such as 60/m. Default: all")
    made.add_argument("--limit", type=int, help="Failure rate in percent at which a canary stops. Default: 20")
    for word, text in (
        ("pause", "Pause a plan: no more items are sent."),
        ("resume", "Resume a plan and show its progress."),
        ("abort", "Abort a plan. Items that were not sent are not executed."),
        ("undo", "Create a plan that restores the tasks this plan removed."),
    ):
        made = _remote(add(word, text, plan.change, actions), asks=True)
        made.set_defaults(change=word)
        made.add_argument("id", type=int)


def _schedules(add: Add) -> None:
    actions = add("schedule", "Manage the schedules of all schedulers.").add_subparsers(required=True, metavar="ACTION")
    made = _remote(add("list", "List schedules, next run first.", schedule.list_schedules, actions))
    for name in ("app", "environment", "scheduler"):
        made.add_argument(f"--{name}")
    _remote(add("show", "Show one schedule with its runs and changes, as JSON.", schedule.show, actions)).add_argument(
        "schedule", help="Row number or name."
    )
    made = _remote(add("create", "Create a schedule in z4j's scheduler or another scheduler.", schedule.create, actions), asks=True)
    made.add_argument("name")
    made.add_argument("--app", required=True)
    made.add_argument("--task", required=True)
    for name in ("engine", "environment", "scheduler"):
        made.add_argument(f"--{name}")
    made.add_argument("--catch-up", choices=("skip", "once", "all"))
    made.add_argument("--overlap", choices=("allow", "skip"))
    made.add_argument("--jitter", type=float, metavar="SECONDS")
    _rules(made)
    made = _remote(add("edit", "Change a schedule. Options that are not given stay unchanged.", schedule.edit, actions), asks=True)
    made.add_argument("schedule", help="Row number or name.")
    made.add_argument("--name")
    made.add_argument("--task")
    _rules(made)
    for word, action, text in (
        ("enable", "enable", "Enable a schedule."),
        ("disable", "disable", "Disable a schedule. --reason is required."),
        ("run", "fire", "Run a schedule now. Its next run does not change."),
        ("delete", "delete", "Delete a schedule."),
        ("revert", "revert", "Revert a schedule to the definition in the application's code."),
    ):
        made = _remote(add(word, text, schedule.act, actions), asks=True)
        made.set_defaults(action=action)
        made.add_argument("schedule", help="Row number or name.")
        if word == "delete":
            made.add_argument("--confirm", metavar="delete", required=True, help="The word delete.")
    made = _remote(add("export", "Write the schedules of z4j's scheduler as JSON.", schedule.export, actions))
    made.add_argument("target", nargs="?", default="-", help="File to write; it must not exist. Default: standard output")
    made.add_argument("--app")
    made = _remote(add("import", "Import schedules into z4j's scheduler.", schedule.import_, actions), asks=True)
    made.add_argument("format", choices=("crontab", "json", "scheduler"))
    made.add_argument("source", help="A file, - for standard input, or a scheduler name.")
    for name in ("app", "environment", "engine", "task"):
        made.add_argument(f"--{name}")
    made.add_argument("--with-user", action="store_true", help="The crontab has a user column, like /etc/crontab.")
    made.add_argument("--dry-run", action="store_true", help="Print what would be imported, without importing it.")


def _rules(made: argparse.ArgumentParser) -> None:
    made.add_argument("--cron", metavar="EXPRESSION", help="Five fields, or six with seconds first.")
    made.add_argument("--every", metavar="INTERVAL", help="Seconds, or a duration such as 5m, 2h or 1d.")
    made.add_argument("--at", metavar="TIME", help="Run once at this time, for example 2026-12-24T18:00.")
    made.add_argument("--timezone")
    made.add_argument("--queue")
    made.add_argument("--broker", help="Broker, for a schedule of z4j's scheduler in an app with several brokers.")
    made.add_argument("--arg", action="append", default=[], metavar="JSON", help="A positional argument. Can be repeated.")
    made.add_argument("--kwarg", action="append", default=[], metavar="NAME=JSON")
    made.add_argument("--arguments", metavar="FILE", help=ARGUMENTS)
