# SPDX-License-Identifier: AGPL-3.0-or-later
"""An empty database as bytes, for laws that fill one in memory for each of their examples."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from tests.support.histories import BOOTS, T
from z4j.agents.ingest import apply_batch
from z4j.store.sqlite import migrate
from z4j.store.sqlite.db import Connection
from z4j_agent import wire

ORIGINS = [["origin", boot, T, {"host": host, "pid": 1, "role": "worker", "worker": boot}] for boot, host in BOOTS.items()]


class Image(bytes):
    """A database as a file holds it; a counterexample names it instead of showing it."""

    def __repr__(self) -> str:
        return "empty"


def image(folder: Path, *, has_origins: bool) -> Image:
    """A database with the app "shop" (id 1), and with the processes of `histories` if they are wanted."""
    path = folder / "empty.db"
    migrate.migrate(path)
    db = sqlite3.connect(path, factory=Connection, isolation_level=None)
    db.execute("INSERT INTO app (name, created_at) VALUES ('shop', 0)")
    db.execute("PRAGMA journal_mode = DELETE")  # in memory there is no write-ahead log
    if has_origins:
        apply_batch(db, 1, b"".join(map(wire.encode_record, ORIGINS)), T)
    made = Image(db.serialize())
    db.close()
    return made


def opened(empty: bytes) -> Connection:
    """A copy of the image in memory."""
    db = sqlite3.connect(":memory:", factory=Connection, isolation_level=None)
    db.deserialize(empty)
    return db
