# SPDX-License-Identifier: Apache-2.0
# mypy: disable-error-code="untyped-decorator"
"""Two Huey objects of one name, in two databases: `huey_consumer two_app.first` runs the tasks of one of them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import huey as engine

import z4j_huey


def make(which: int, port: int, folder: str) -> tuple[Any, Any]:
    """The object and its task `note`."""
    made = engine.RedisHuey("work", host="127.0.0.1", port=port, db=which)

    def note(value: str) -> None:
        with (Path(folder) / f"ran-{which}").open("a") as file:
            file.write(f"{value}\n")

    note.__module__ = note.__qualname__ = "shared"
    return made, made.task(name="note")(note)


if "TWO_PORT" in os.environ:
    (first, _), (second, _) = (make(which, int(os.environ["TWO_PORT"]), os.environ["TWO_FOLDER"]) for which in (0, 1))
    if "Z4J_URL" in os.environ:
        for app in (first, second):
            z4j_huey.install(app)
