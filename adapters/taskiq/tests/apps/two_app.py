# SPDX-License-Identifier: Apache-2.0
"""Two taskiq brokers of one queue name, in two Redis databases: `taskiq worker two_app:first` runs the tasks of one of them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from taskiq_redis import ListQueueBroker

import z4j_taskiq


def make(which: int, port: int, folder: str) -> tuple[Any, Any]:
    """The broker and its task `note`."""
    made = ListQueueBroker(f"redis://127.0.0.1:{port}/{which}")

    async def note(value: str) -> None:
        with (Path(folder) / f"ran-{which}").open("a") as file:
            file.write(f"{value}\n")

    return made, made.register_task(note, task_name="note")


if "TWO_PORT" in os.environ:
    (first, _), (second, _) = (make(which, int(os.environ["TWO_PORT"]), os.environ["TWO_FOLDER"]) for which in (0, 1))
    if "Z4J_URL" in os.environ:
        for broker in (first, second):
            z4j_taskiq.install(broker)
