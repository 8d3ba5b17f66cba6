# SPDX-License-Identifier: AGPL-3.0-or-later
"""What `z4j demo` tells its parts: `demo.json` in the demo's folder, which is readable by its user only."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

FILE = "demo.json"


@dataclass(frozen=True, slots=True)
class Brief:
    """`now` is microseconds UTC; `connections` are the connection strings of the four apps."""

    now: int
    seed: int
    tasks: int
    days: int
    connections: dict[str, str]


def read_brief(folder: Path) -> Brief:
    """Reads the brief of the demo in `folder`."""
    return Brief(**json.loads((folder / FILE).read_text("utf-8")))
