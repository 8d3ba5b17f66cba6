# SPDX-License-Identifier: AGPL-3.0-or-later
"""`z4j worker …`: lists workers and requests actions on them, by the API."""

from __future__ import annotations

import argparse

from z4j.cli.common.client import Add, client_of, list_all, only, print_command, remote_options
from z4j.cli.common.output import count_or_dash, print_json, print_table, when
from z4j.settings import Settings


def add_commands(add: Add) -> None:
    """Adds `z4j worker` and its actions."""
    actions = add("worker", "Manage workers on a running server.").add_subparsers(required=True, metavar="ACTION")
    remote_options(add("list", "List workers seen in the last 24 hours.", list_workers, actions))
    words: dict[str, tuple[str, str]] = {
        "shutdown": ("shutdown_worker", "Shut a worker down after its running tasks."),
        "restart": ("restart_worker", "Restart a worker after its running tasks."),
        "resize": ("resize_worker", "Change a worker's concurrency."),
        "consume": ("consume_queue", "Start consuming a queue."),
        "leave": ("leave_queue", "Stop consuming a queue."),
    }
    for word, (action, text) in words.items():
        made = remote_options(add(word, text, act_on_worker, actions), asks=True)
        made.set_defaults(action=action)
        made.add_argument("worker")
        for name in ("app", "environment"):
            made.add_argument(f"--{name}", help="Required if several workers have this name.")
        if word in ("shutdown", "restart"):
            made.add_argument("--confirm", metavar=word, required=True, help=f"Type {word} to confirm.")
        elif word == "resize":
            made.add_argument("by", type=int, help="Number of processes or threads to add; negative to remove.")
        else:
            made.add_argument("queue")


def list_workers(words: argparse.Namespace, settings: Settings) -> int:
    """Runs `z4j worker list`."""
    answer = list_all(client_of(words, settings), "workers")
    if words.json:
        print_json(answer)
        return 0
    rows = [
        (worker["name"], worker["state"], worker["app"], worker["environment"],
         str(len(worker["agent"]["running"])), count_or_dash(worker["agent"]["concurrency"]),
         " ".join(worker["agent"]["queues"]), when(worker["agent"]["seen_at"]))
        for worker in answer["workers"]
    ]  # fmt: skip
    print_table(("worker", "state", "app", "environment", "running", "concurrency", "queues", "last seen"), rows)
    return 0


def act_on_worker(words: argparse.Namespace, settings: Settings) -> int:
    """Runs `z4j worker shutdown | restart | resize | consume | leave`."""
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
