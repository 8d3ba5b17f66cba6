# SPDX-License-Identifier: AGPL-3.0-or-later
"""`z4j task | queue | worker …`: the API on the command line. Plans: see plan.py."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from typing import Any

from z4j.cli.client import client_of, print_command
from z4j.cli.output import print_json, say
from z4j.cli.secret import read_arguments, warn_of_values
from z4j.cli.table import print_table, when
from z4j.exceptions import BadInput, NotFound
from z4j.rules.paused_queues import is_paused
from z4j.settings import Settings

FILTERS = ("state", "name", "queue", "engine", "worker", "app", "environment", "since", "until", "task_id", "label")


def list_tasks(words: argparse.Namespace, settings: Settings) -> int:
    """`z4j task list`."""
    answer = client_of(words, settings).get("/tasks", limit=words.limit, **{name: getattr(words, name) for name in FILTERS})
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
    """`z4j task show`."""
    client = client_of(words, settings)
    print_json(client.get(f"/tasks/{_row_of(client, words.task)}"))
    return 0


def act_on_task(words: argparse.Namespace, settings: Settings) -> int:
    """`z4j task retry | cancel | stop | …`."""
    client = client_of(words, settings)
    body: dict[str, Any] = {"action": words.action, "reason": words.reason}
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
    """`z4j task run`."""
    client = client_of(words, settings)
    args, kwargs = arguments_of(words)
    made = client.post(
        "/tasks", app=words.app, engine=words.engine, environment=words.environment or "", name=words.name,
        args=args, kwargs=kwargs, queue=words.queue or "", reason=words.reason,
    )  # fmt: skip
    return print_command(client, made, words)


def arguments_of(words: argparse.Namespace) -> tuple[list[Any], dict[str, Any]]:
    """Of `--arguments`, `--arg` and `--kwarg` together. Raises BadInput."""
    args, kwargs = read_arguments(words.arguments)
    more, named = [value_of(text) for text in words.arg], pairs(words.kwarg)
    warn_of_values(more, named, words.reason)
    return (args or []) + more, (kwargs or {}) | named


def _row_of(client: Any, text: str) -> int:
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


def value_of(text: str) -> Any:
    """JSON, or the text itself where it is none: `5` is a number, `five` a text, `"5"` a text too."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def pairs(texts: list[str]) -> dict[str, Any]:
    """NAME=JSON, each. Raises BadInput."""
    values = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise BadInput(f"{text} is not NAME=VALUE. No changes were made.")
        values[name] = value_of(value)
    return values


def list_queues(words: argparse.Namespace, settings: Settings) -> int:
    """`z4j queue list`."""
    client = client_of(words, settings)
    answer = _whole(client, "queues")
    if words.json:
        print_json(answer)
        return 0
    rows = [
        (queue["app"], queue["environment"], queue["engine"], _named(queue),
         *(_shown(queue[key]) for key in ("depth", "delayed", "dead", "consumers")),
         "paused" if any(_concerns(pause, queue) for pause in answer["paused"]) else "")
        for queue in answer["queues"]
    ]  # fmt: skip
    print_table(("app", "environment", "engine", "queue", "in broker", "delayed", "dead", "consumers", ""), rows)
    return 0


def _concerns(pause: Mapping[str, Any], queue: Mapping[str, Any]) -> bool:
    """Whether a pause is of this queue. An older server does not say in which broker."""
    place = (queue["app"], queue["environment"], queue["engine"], queue["name"])
    is_there = (pause["app"], pause["environment"], pause["engine"], pause["queue"]) == place
    return is_there and is_paused(pause.get("broker", ""), queue.get("broker", ""))


def _named(queue: Mapping[str, Any]) -> str:
    """With its broker, where another one has a queue of this name, too."""
    return f"{queue['name']} in {queue['broker'] or '-'}" if queue["is_in_several_brokers"] else str(queue["name"])


def _whole(client: Any, what: str) -> Any:
    """A list that comes page by page."""
    answer = part = client.get(f"/{what}")
    while part["after"]:
        part = client.get(f"/{what}", after=part["after"])
        answer[what] += part[what]
    return answer


def _shown(value: int | None) -> str:
    return "-" if value is None else f"{value:,}"


def act_on_queue(words: argparse.Namespace, settings: Settings) -> int:
    """`z4j queue pause | resume | peek | purge`."""
    client = client_of(words, settings)
    queues = [
        row for row in client.get("/queues", name=words.queue)["queues"] if row["name"] == words.queue and words.app in (None, row["app"])
        and words.engine in (None, row["engine"]) and words.environment in (None, row["environment"])
    ]  # fmt: skip
    if words.broker is not None and len(queues) > 1:  # of one queue the server knows the brokers, also of a pause that is left
        queues = [row for row in queues if row["broker"] == words.broker]
    hint = "List them with `z4j queue list`. Choose one with --app, --engine, --environment and --broker."
    place = only(queues, f"queue {words.queue}", hint)
    broker = words.broker or (place["broker"] if place["is_in_several_brokers"] else "")
    made = client.post(
        "/queues/actions", action=words.action, app=place["app"], environment=place["environment"], engine=place["engine"],
        queue=place["name"], broker=broker, place=getattr(words, "place", None),
        confirm=getattr(words, "confirm", None) or "", reason=words.reason,
    )["commands"]  # fmt: skip
    if not made:
        say("The request is stored. No worker is connected; each worker receives it when it connects.")
        return 0
    if words.action == "peek_queue" and not words.json and (answer := client.wait(made[0]))["status"] == "done":
        tasks = answer["detail"].get("tasks", [])
        print_table(
            ("task id", "task name", "arguments", "due"),
            [(row["task_id"], row["name"], row["args"][:60], when(row["due_at"])) for row in tasks],
        )
        return 0
    return max(print_command(client, command, words) for command in made)


def list_workers(words: argparse.Namespace, settings: Settings) -> int:
    """`z4j worker list`."""
    answer = _whole(client_of(words, settings), "workers")
    if words.json:
        print_json(answer)
        return 0
    rows = [
        (worker["name"], worker["state"], worker["app"], worker["environment"],
         str(len(worker["agent"]["running"])), _shown(worker["agent"]["concurrency"]),
         " ".join(worker["agent"]["queues"]), when(worker["agent"]["seen_at"]))
        for worker in answer["workers"]
    ]  # fmt: skip
    print_table(("worker", "state", "app", "environment", "running", "concurrency", "queues", "last seen"), rows)
    return 0


def act_on_worker(words: argparse.Namespace, settings: Settings) -> int:
    """`z4j worker shutdown | restart | resize | consume | leave`."""
    client = client_of(words, settings)
    worker = only(
        [
            row for row in client.get("/workers", name=words.worker)["workers"] if row["name"] == words.worker
            and words.app in (None, row["app"]) and words.environment in (None, row["environment"])
        ], f"worker {words.worker}", "List them with `z4j worker list`. Choose one with --app and --environment.",
    )  # fmt: skip
    made = client.post(
        "/workers/actions", action=words.action, app=worker["app"], environment=worker["environment"], worker=words.worker,
        by=getattr(words, "by", None), queue=getattr(words, "queue", None), confirm=getattr(words, "confirm", None) or "",
        reason=words.reason,
    )["commands"]  # fmt: skip
    return max(print_command(client, command, words) for command in made)


def only(rows: list[dict[str, Any]], what: str, hint: str) -> dict[str, Any]:
    """The one that was meant: with two of a name nothing is done to either. Raises NotFound or BadInput."""
    if not rows:
        raise NotFound(f"No {what}. No changes were made.", hint)
    if len(rows) > 1:
        raise BadInput(f"There is more than one {what}. No changes were made.", hint)
    return rows[0]
