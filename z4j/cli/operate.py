# SPDX-License-Identifier: AGPL-3.0-or-later
"""The words of `z4j task | queue | worker | plan | schedule`: clients of the API of a server that runs, here or elsewhere."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

from z4j.cli import plan, remote, schedule

Add = Callable[..., argparse.ArgumentParser]
ARGUMENTS = 'File with {"args": […], "kwargs": {…}} in JSON, or - for standard input: for values that no other user may see.'
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
    made.add_argument("--server", help="Address of the server. Default: Z4J_SERVER, else this installation's own")
    made.add_argument("--token", metavar="FILE", help="File that holds the API token, or - for standard input. Default: Z4J_API_TOKEN")
    made.add_argument("--json", action="store_true", help="Print what the API answers.")
    if asks:
        made.add_argument("--reason", default="", help="For the audit log.")
        made.add_argument("--no-wait", action="store_true", help="Do not wait for what becomes of it.")
    return made


def _filters(made: argparse.ArgumentParser) -> None:
    for name in remote.FILTERS:
        made.add_argument(f"--{name.replace('_', '-')}", help="Several joined by commas." if name == "state" else None)


def _tasks(add: Add) -> None:
    actions = add("task", "Tasks of a server that runs.").add_subparsers(required=True, metavar="ACTION")
    made = _remote(add("list", "List tasks, newest first.", remote.list_tasks, actions))
    _filters(made)
    made.add_argument("--limit", type=int, default=50)
    _remote(add("show", "Everything about one task, as JSON.", remote.show_task, actions)).add_argument("task", help="Row or task id.")
    words: tuple[tuple[str, str, str], ...] = (
        ("retry", "retry_task", "Run it again as it was, under a new task id."),
        ("edit", "edit_task", "Run it again with other arguments."),
        ("put-back", "restore_task", "Put a cancelled task back."),
        ("cancel", "cancel_task", "Keep a waiting task from running."),
        ("run-now", "release_task", "Have a delayed task run now."),
        ("prioritise", "prioritise_task", "Give a waiting task another place in its queue."),
        ("move", "move_task", "Put a waiting task into another queue."),
        ("stop", "terminate_task", "Stop a running task."),
    )
    for word, action, text in words:
        made = _remote(add(word, text, remote.act_on_task, actions), asks=True)
        made.set_defaults(action=action)
        made.add_argument("task", help="Row or task id.")
        if action == "prioritise_task":
            made.add_argument("level", choices=LEVELS)
        if action == "move_task":
            made.add_argument("queue")
        if action == "edit_task":
            made.add_argument("--arg", action="append", default=[], metavar="PLACE=JSON", help="A positional argument, from 0.")
            made.add_argument("--kwarg", action="append", default=[], metavar="NAME=JSON")
            made.add_argument("--arguments", metavar="FILE", help=ARGUMENTS)
    made = _remote(add("run", "Run a registered task.", remote.run_task, actions), asks=True)
    made.add_argument("name")
    made.add_argument("--app", required=True)
    made.add_argument("--engine", required=True)
    made.add_argument("--environment")
    made.add_argument("--queue")
    made.add_argument("--arg", action="append", default=[], metavar="JSON", help="A positional argument; repeat it.")
    made.add_argument("--kwarg", action="append", default=[], metavar="NAME=JSON")
    made.add_argument("--arguments", metavar="FILE", help=ARGUMENTS)


def _queues(add: Add) -> None:
    actions = add("queue", "Queues of a server that runs.").add_subparsers(required=True, metavar="ACTION")
    _remote(add("list", "List queues.", remote.list_queues, actions))
    for word, text in (
        ("pause", "Keep every worker from taking tasks out of it."),
        ("resume", "Let every worker go on."),
        ("peek", "Show what waits, in its order."),
        ("purge", "Take everything out; it can be put back for seven days."),
    ):
        made = _remote(add(word, text, remote.act_on_queue, actions), asks=True)
        made.set_defaults(action=f"{word}_queue")
        made.add_argument("queue")
        for name in ("app", "engine", "environment", "broker"):
            made.add_argument(f"--{name}", help="Where several queues have this name.")
        if word in ("peek", "purge"):
            made.add_argument("--place", choices=PLACES, default="waiting")
        if word == "purge":
            made.add_argument("--confirm", metavar="purge", required=True, help="The word purge.")


def _workers(add: Add) -> None:
    actions = add("worker", "Workers of a server that runs.").add_subparsers(required=True, metavar="ACTION")
    _remote(add("list", "List workers seen within a day.", remote.list_workers, actions))
    words: dict[str, tuple[str, str]] = {
        "shutdown": ("shutdown_worker", "Have it finish what it runs, and end."),
        "restart": ("restart_worker", "Have it finish what it runs, and begin anew."),
        "resize": ("resize_worker", "Have it grow or shrink."),
        "consume": ("consume_queue", "Have it take from a queue too."),
        "leave": ("leave_queue", "Have it take no more from a queue."),
    }
    for word, (action, text) in words.items():
        made = _remote(add(word, text, remote.act_on_worker, actions), asks=True)
        made.set_defaults(action=action)
        made.add_argument("worker")
        for name in ("app", "environment"):
            made.add_argument(f"--{name}", help="Where several workers have this name.")
        if word in ("shutdown", "restart"):
            made.add_argument("--confirm", metavar=word, required=True, help=f"The word {word}.")
        elif word == "resize":
            made.add_argument("by", type=int, help="How many more; negative for fewer.")
        else:
            made.add_argument("queue")


def _plans(add: Add) -> None:
    actions: Any = add("plan", "Bulk actions: freeze, look, execute.").add_subparsers(required=True, metavar="ACTION")
    _remote(add("list", "List plans, newest first.", plan.list_plans, actions))
    _remote(add("show", "A plan and its account.", plan.show_plan, actions)).add_argument("id", type=int)
    made = _remote(add("freeze", "Freeze a bulk action over what matches; nothing is done yet.", plan.freeze, actions), asks=True)
    made.add_argument("what", choices=PLANS)
    _filters(made)
    made.add_argument("--id", type=int, action="append", help="A row, instead of a filter; repeat it.")
    made.add_argument("--level", choices=LEVELS)
    made.add_argument("--to", metavar="QUEUE", help="The queue to move to.")
    made = _remote(add("execute", "Do what was frozen, and watch it.", plan.execute, actions), asks=True)
    made.add_argument("id", type=int)
    made.add_argument("digest", help="The hash that was shown, at least twelve digits of it.")
    made.add_argument("--pace", default="all", help="all, canary, or a number per minute such as 60/m. Default: all")
    made.add_argument("--limit", type=int, help="Share of failures in a hundred that stops a canary. Default: 20")
    for word, text in (
        ("pause", "Hand nothing more over."),
        ("resume", "Go on, and watch it."),
        ("abort", "End it; what waits is never done."),
        ("undo", "Freeze a plan that puts back what it took."),
    ):
        made = _remote(add(word, text, plan.change, actions), asks=True)
        made.set_defaults(change=word)
        made.add_argument("id", type=int)


def _schedules(add: Add) -> None:
    actions = add("schedule", "Schedules of every scheduler.").add_subparsers(required=True, metavar="ACTION")
    made = _remote(add("list", "List schedules, those due next first.", schedule.list_schedules, actions))
    for name in ("app", "environment", "scheduler"):
        made.add_argument(f"--{name}")
    _remote(add("show", "One schedule with its fires and edits, as JSON.", schedule.show, actions)).add_argument(
        "schedule", help="Row or name."
    )
    made = _remote(add("create", "Make a schedule of z4j's own, or of another scheduler.", schedule.create, actions), asks=True)
    made.add_argument("name")
    made.add_argument("--app", required=True)
    made.add_argument("--task", required=True)
    for name in ("engine", "environment", "scheduler"):
        made.add_argument(f"--{name}")
    made.add_argument("--catch-up", choices=("skip", "once", "all"))
    made.add_argument("--overlap", choices=("allow", "skip"))
    made.add_argument("--jitter", type=float, metavar="SECONDS")
    _rules(made)
    made = _remote(add("edit", "Change a schedule; what is not given stays.", schedule.edit, actions), asks=True)
    made.add_argument("schedule", help="Row or name.")
    made.add_argument("--name")
    made.add_argument("--task")
    _rules(made)
    for word, action, text in (
        ("enable", "enable", "Switch it on."),
        ("disable", "disable", "Switch it off; --reason is needed."),
        ("run", "fire", "Run it now; its next time stays."),
        ("delete", "delete", "Delete it."),
        ("revert", "revert", "Go back to what the application's code says."),
    ):
        made = _remote(add(word, text, schedule.act, actions), asks=True)
        made.set_defaults(action=action)
        made.add_argument("schedule", help="Row or name.")
        if word == "delete":
            made.add_argument("--confirm", metavar="delete", required=True, help="The word delete.")
    made = _remote(add("export", "Write z4j's own schedules as JSON.", schedule.export, actions))
    made.add_argument("target", nargs="?", default="-", help="File to write; it must not exist. Default: standard output")
    made.add_argument("--app")
    made = _remote(add("import", "Make schedules of z4j's own from elsewhere.", schedule.import_, actions), asks=True)
    made.add_argument("format", choices=("crontab", "json", "scheduler"))
    made.add_argument("source", help="A file, - for standard input, or the name of a scheduler.")
    for name in ("app", "environment", "engine", "task"):
        made.add_argument(f"--{name}")
    made.add_argument("--with-user", action="store_true", help="The crontab has a user before each command, as /etc/crontab has.")
    made.add_argument("--dry-run", action="store_true", help="Say what would be taken, and take nothing.")


def _rules(made: argparse.ArgumentParser) -> None:
    made.add_argument("--cron", metavar="EXPRESSION", help="Five fields, or six with the second in front.")
    made.add_argument("--every", metavar="INTERVAL", help="Seconds, or 5m, 2h, 1d.")
    made.add_argument("--at", metavar="TIME", help="Once, such as 2026-12-24T18:00.")
    made.add_argument("--timezone")
    made.add_argument("--queue")
    made.add_argument("--broker", help="Of a schedule of z4j's own, where the app has several.")
    made.add_argument("--arg", action="append", default=[], metavar="JSON", help="A positional argument; repeat it.")
    made.add_argument("--kwarg", action="append", default=[], metavar="NAME=JSON")
    made.add_argument("--arguments", metavar="FILE", help=ARGUMENTS)
