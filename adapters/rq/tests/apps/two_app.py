# SPDX-License-Identifier: Apache-2.0
"""The task of two Redis databases with one queue name: `TWO_WHICH` says whose worker runs it."""

from __future__ import annotations

import os
from pathlib import Path

import z4j_rq

if "Z4J_URL" in os.environ:
    z4j_rq.install()


def note(value: str) -> None:
    with (Path(os.environ["TWO_FOLDER"]) / f"ran-{os.environ['TWO_WHICH']}").open("a") as file:
        file.write(f"{value}\n")
