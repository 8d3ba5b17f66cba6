# SPDX-License-Identifier: AGPL-3.0-or-later
"""`z4j queue …`: lists queues, and pauses, resumes, shows and purges them, by the API."""

from __future__ import annotations

import argparse
from typing import NotRequired, TypedDict

from z4j.cli.common.client import Add, client_of, list_all, only, print_command, remote_options
from z4j.cli.common.output import count_or_dash, print_json, print_table, say, when
from z4j.rules.paused_queues import is_paused
from z4j.settings import Settings

PLACES = ("waiting", "delayed", "dead")


class QueueItem(TypedDict):
    """A queue of a broker, as `GET /queues` returns it. Numbers are None where the broker does not report them."""

    app: str
    environment: str
    engine: str
    name: str
    broker: str
    is_in_several_brokers: bool
    depth: int | None
    delayed: int | None
    dead: int | None
    consumers: int | None


class Pause(TypedDict):
    """A paused queue. Servers of earlier releases do not name its broker."""

    app: str
    environment: str
    engine: str
    queue: str
    broker: NotRequired[str]


def add_commands(add: Add) -> None:
    """Adds `z4j queue` and its actions."""
    actions = add("queue", "Manage queues on a running server.").add_subparsers(required=True, metavar="ACTION")
    remote_options(add("list", "List queues.", list_queues, actions))
    for word, text in (
        ("pause", "Pause a queue: workers take no tasks from it."),
        ("resume", "Resume a paused queue."),
        ("peek", "Show the tasks in a queue, in order."),
        ("purge", "Remove all tasks from a queue. They can be restored for seven days."),
    ):
        made = remote_options(add(word, text, act_on_queue, actions), asks=True)
        made.set_defaults(action=f"{word}_queue")
        made.add_argument("queue")
        for name in ("app", "engine", "environment", "broker"):
            made.add_argument(f"--{name}", help="Required if several queues have this name.")
        if word in ("peek", "purge"):
            made.add_argument("--place", choices=PLACES, default="waiting")
        if word == "purge":
            made.add_argument("--confirm", metavar="purge", required=True, help="Type purge to confirm.")


def list_queues(words: argparse.Namespace, settings: Settings) -> int:
    """Runs `z4j queue list`."""
    client = client_of(words, settings)
    answer = list_all(client, "queues")
    if words.json:
        print_json(answer)
        return 0
    rows = [
        (queue["app"], queue["environment"], queue["engine"], _named(queue),
         *(count_or_dash(queue[key]) for key in ("depth", "delayed", "dead", "consumers")),
         "paused" if any(_concerns(pause, queue) for pause in answer["paused"]) else "")
        for queue in answer["queues"]
    ]  # fmt: skip
    print_table(("app", "environment", "engine", "queue", "in broker", "delayed", "dead", "consumers", ""), rows)
    return 0


def _concerns(pause: Pause, queue: QueueItem) -> bool:
    """Whether a pause is of this queue. An older server does not say in which broker."""
    place = (queue["app"], queue["environment"], queue["engine"], queue["name"])
    is_there = (pause["app"], pause["environment"], pause["engine"], pause["queue"]) == place
    return is_there and is_paused(pause.get("broker", ""), queue.get("broker", ""))


def _named(queue: QueueItem) -> str:
    """With its broker, where another one has a queue of this name, too."""
    return f"{queue['name']} in {queue['broker'] or '-'}" if queue["is_in_several_brokers"] else queue["name"]


def act_on_queue(words: argparse.Namespace, settings: Settings) -> int:
    """Runs `z4j queue pause | resume | peek | purge`."""
    client = client_of(words, settings)
    queues: list[QueueItem] = [
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
