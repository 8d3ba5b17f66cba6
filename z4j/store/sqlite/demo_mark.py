# SPDX-License-Identifier: AGPL-3.0-or-later
"""Marks the database of a demo, so that it is never taken for a real one, nor a real one for it. The mark is SQLite's application ID: it
is part of the file, so a copy has it, too."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final

from z4j.exceptions import StoreError, WrongState

DEMO_ID: Final = 0x7A346A64
"""`z4jd`."""


def mark_demo(path: Path) -> None:
    """Marks an existing database."""
    with closing(sqlite3.connect(path)) as db:
        db.execute(f"PRAGMA application_id = {DEMO_ID}")


def is_demo(path: Path) -> bool:
    """Whether the database at `path` is marked; False where there is none. Raises StoreError for a file that is not a database."""
    if not path.exists() or not path.stat().st_size:
        return False
    try:
        with closing(sqlite3.connect(path)) as db:
            return bool(db.execute("PRAGMA application_id").fetchone()[0] == DEMO_ID)
    except sqlite3.DatabaseError as error:
        raise StoreError(f"{path} is not a z4j database ({error}). No changes were made.", "Choose another folder with --data.") from error


def refuse_demo(path: Path) -> None:
    """Raises WrongState if the database at `path` is that of a demo."""
    if is_demo(path):
        raise WrongState(
            f"{path} is the database of a demo. The server was not started, and the demo was not changed.",
            "Choose another folder with --data, or start the demo with `z4j demo`.",
        )
