# SPDX-License-Identifier: AGPL-3.0-or-later
"""`z4j task …`: lists tasks, runs them, and requests actions on them, by the API."""

from __future__ import annotations

import argparse

from z4j.cli.common.client import FILTERS, Add, Client, client_of, filter_options, print_command, remote_options
from z4j.cli.common.output import print_json, print_table, say, when
from z4j.cli.common.secret import ARGUMENTS, arguments_of, pairs, read_arguments, warn_of_values
from z4j.exceptions import BadInput, NotFound
from z4j.settings import Settings
from z4j.text import JsonObject

LEVELS = ("next", "high", "normal", "low")
LOG_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50}


def add_commands(add: Add) -> None:
    """Adds `z4j task` and its actions."""
    actions = add("task", "Manage tasks on a running server.").add_subparsers(required=True, metavar="ACTION")
    made = remote_options(add("list", "List tasks, newest first.", list_tasks, actions))
    made.add_argument("query", nargs="*", help="A query, such as 'state:failed name:emails.* since:2h'. Options narrow further.")
    filter_options(made)
    made.add_argument("--limit", type=int, default=50)
    remote_options(add("show", "Show one task as JSON.", show_task, actions)).add_argument("task", help="Row number or task ID.")
    made = remote_options(add("logs", "Print the log lines of a task.", print_logs, actions))
    made.add_argument("task", help="Row number or task ID.")
    made.add_argument("--level", choices=LOG_LEVELS, help="Minimum level of the lines.")
    words: tuple[tuple[str, str, str], ...] = (
        ("retry", "retry_task", "Run a task again unchanged, under a new task ID."),
        ("edit", "edit_task", "Run a task again with edited arguments."),
        ("put-back", "restore_task", "Restore a cancelled task."),
        ("cancel", "cancel_task", "Cancel a queued task."),
        ("run-now", "release_task", "Run a delayed task now."),
        ("prioritise", "prioritise_task", "Change the priority of a queued task."),
        ("move", "move_task", "Move a queued task to another queue."),
        ("stop", "terminate_task", "Stop a running task."),
        ("stack", "inspect_task", "Show the stack of a running task: file, line and function of each frame."),
    )
    for word, action, text in words:
        made = remote_options(add(word, text, act_on_task, actions), asks=True)
        made.set_defaults(action=action)
        made.add_argument("task", help="Row number or task ID.")
        if action == "prioritise_task":
            made.add_argument("level", choices=LEVELS)
        if action == "move_task":
            made.add_argument("queue")
        if action == "edit_task":
            made.add_argument(
                "--arg", action="append", default=[], metavar="POSITION=JSON", help="A positional argument; positions start at 0."
            )
            made.add_argument("--kwarg", action="append", default=[], metavar="NAME=JSON")
            made.add_argument("--arguments", metavar="FILE", help=ARGUMENTS)
    made = remote_options(add("run", "Run a registered task.", run_task, actions), asks=True)
    made.add_argument("name")
    made.add_argument("--app", required=True)
    made.add_argument("--engine", required=True)
    made.add_argument("--environment")
    made.add_argument("--queue")
    made.add_argument("--arg", action="append", default=[], metavar="JSON", help="A positional argument. Can be repeated.")
    made.add_argument("--kwarg", action="append", default=[], metavar="NAME=JSON")
    made.add_argument("--arguments", metavar="FILE", help=ARGUMENTS)


def list_tasks(words: argparse.Namespace, settings: Settings) -> int:
    """Runs `z4j task list`."""
    filters = {name: getattr(words, name) for name in FILTERS} | {"q": " ".join([*words.query, words.q or ""]).strip() or None}
    answer = client_of(words, settings).get("/tasks", limit=words.limit, **filters)
    if words.json:
        print_json(answer)
        return 0
    rows = [
        (str(row["id"]), row["state"], row["engine"], row["queue"], row["name"], row["task_id"], when(row["last_at"]))
        for row in answer["tasks"]
    ]
    print_table(("row", "state", "engine", "queue", "task name", "task id", "updated"), rows)
    return 0


def show_task(words: argparse.Namespace, settings: Settings) -> int:
    """Runs `z4j task show`."""
    client = client_of(words, settings)
    print_json(client.get(f"/tasks/{_row_of(client, words.task)}"))
    return 0


def print_logs(words: argparse.Namespace, settings: Settings) -> int:
    """Runs `z4j task logs`."""
    client = client_of(words, settings)
    answer = client.get(f"/tasks/{_row_of(client, words.task)}/logs", level=words.level)
    if words.json:
        print_json(answer)
        return 0
    for run in answer["runs"]:
        say(f"attempt {run['attempt'] + 1} in {run['run']} on {run['host'] or 'an unknown host'}: {run['total']} lines")
        dropped = 0
        for line in run["lines"]:
            if line["dropped"] > dropped:
                say(f"  {line['dropped'] - dropped} lines dropped")
                dropped = line["dropped"]
            level = next((word for word, number in reversed(LOG_LEVELS.items()) if line["level"] >= number), "debug")
            say(f"  {when(line['at'])}  {level:8}  {line['logger']}  {line['message']}")
        if run["dropped"] > dropped:
            say(f"  {run['dropped'] - dropped} lines dropped")
    if not answer["runs"]:
        say("No log lines were recorded.")
    return 0


def act_on_task(words: argparse.Namespace, settings: Settings) -> int:
    """Runs `z4j task retry | cancel | stop | …`."""
    client = client_of(words, settings)
    body: JsonObject = {"action": words.action, "reason": words.reason}
    for name in ("level", "queue"):
        if getattr(words, name, None):
            body[name] = getattr(words, name)
    if words.action == "edit_task":
        args, kwargs = read_arguments(words.arguments)
        places, named = pairs(words.arg), pairs(words.kwarg)
        warn_of_values(list(places.values()), named, words.reason)
        given = {str(place): value for place, value in enumerate(args or ())}
        body["edit"] = {"args": given | places, "kwargs": (kwargs or {}) | named}
    else:
        warn_of_values([], {}, words.reason)
    return print_command(client, client.post(f"/tasks/{_row_of(client, words.task)}/actions", **body), words)


def run_task(words: argparse.Namespace, settings: Settings) -> int:
    """Runs `z4j task run`."""
    client = client_of(words, settings)
    args, kwargs = arguments_of(words)
    made = client.post(
        "/tasks", app=words.app, engine=words.engine, environment=words.environment or "", name=words.name,
        args=args, kwargs=kwargs, queue=words.queue or "", reason=words.reason,
    )  # fmt: skip
    return print_command(client, made, words)


def _row_of(client: Client, text: str) -> int:
    """The row of a task given by it, or by the engine's own id. Raises NotFound, or BadInput where several apps have the id."""
    if text.isascii() and text.isdecimal() and len(text) < 19:
        return int(text)
    tasks = client.get("/tasks", task_id=text)["tasks"]
    if not tasks:
        raise NotFound(f"No task with ID {text}.")
    if len(tasks) > 1:
        raise BadInput(
            f"{len(tasks)} tasks have the ID {text}. No changes were made.",
            "Use the row number instead; `z4j task list --task-id` shows it.",
        )
    return int(tasks[0]["id"])
