# SPDX-License-Identifier: Apache-2.0
"""Two Dramatiq brokers with one queue name, in two Redis databases: `dramatiq two_app:first` runs the tasks of one of them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import dramatiq
from dramatiq.brokers.redis import RedisBroker

import z4j_dramatiq


def make(which: int, port: int, folder: str) -> tuple[Any, Any]:
    """The broker and its actor `note`."""
    made = RedisBroker(url=f"redis://:@127.0.0.1:{port}/{which}")

    def note(value: str) -> None:
        with (Path(folder) / f"ran-{which}").open("a") as file:
            file.write(f"{value}\n")

    return made, dramatiq.actor(note, broker=made, actor_name="note", queue_name="work")


if "TWO_PORT" in os.environ:
    (first, _), (second, _) = (make(which, int(os.environ["TWO_PORT"]), os.environ["TWO_FOLDER"]) for which in (0, 1))
    if "Z4J_URL" in os.environ:
        for broker in (first, second):
            z4j_dramatiq.install(broker)
