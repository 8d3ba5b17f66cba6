# SPDX-License-Identifier: Apache-2.0
"""Two Celery apps with two brokers, both with Celery's default queue: `celery -A two_app:first worker` runs the tasks of one of them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from celery import Celery

import z4j_celery


def make(which: int, port: int, folder: str) -> tuple[Any, Any]:
    """The app and its task `note`."""
    made = Celery(f"app-{which}", broker=f"redis://127.0.0.1:{port}/{which}", set_as_current=False)

    def note(value: str) -> None:
        with (Path(folder) / f"ran-{which}").open("a") as file:
            file.write(f"{value}\n")

    return made, made.task(name="note", shared=False)(note)


if "TWO_PORT" in os.environ:
    (first, _), (second, _) = (make(which, int(os.environ["TWO_PORT"]), os.environ["TWO_FOLDER"]) for which in (0, 1))
    if "Z4J_URL" in os.environ:
        for app in (first, second):
            z4j_celery.install(app)
