# SPDX-License-Identifier: AGPL-3.0-or-later
"""Numbered migrations, forward only. A copy of the database is made before an existing one is changed."""

from __future__ import annotations

import re
import sqlite3
from importlib.resources import files
from pathlib import Path

from z4j import clock
from z4j.exceptions import StoreError
from z4j.store.sqlite import verified_copy

_NUMBERED = re.compile(r"^(\d{4})_\w+\.sql$")


def migrations() -> list[tuple[int, str]]:
    """Returns number and text of every migration of this release, in order."""
    steps = []
    for entry in files("z4j.store.sqlite").joinpath("migrations").iterdir():
        if match := _NUMBERED.match(entry.name):
            steps.append((int(match[1]), entry.read_text("utf-8")))
    return sorted(steps)


def newest() -> int:
    """Returns the schema version that this release reads and writes."""
    return migrations()[-1][0]


def version(path: Path) -> int:
    """Returns the schema version of the database at `path`; 0 if there is none. Raises StoreError for a file of another program."""
    if not path.exists() or not path.stat().st_size:
        return 0
    db = sqlite3.connect(path)
    try:
        return int(db.execute("PRAGMA user_version").fetchone()[0])
    except sqlite3.DatabaseError as error:
        raise StoreError(
            f"{path} is not a z4j database ({error}). No changes were made.",
            "Choose another folder with --data, or restore a backup.",
        ) from error
    finally:
        db.close()


def check(path: Path) -> None:
    """Raises StoreError unless the database at `path` has exactly the schema of this release."""
    schema, supported = version(path), newest()
    if schema > supported:
        raise _newer(path, schema, supported)
    if schema < supported:
        raise StoreError(
            f"The database {path} has schema {schema}, but this release requires schema {supported}. No changes were made.",
            "Run `z4j migrate`. It makes a copy first.",
        )


def migrate(path: Path, *, is_copied: bool = True) -> int:
    """Migrates the database at `path` to the newest schema, or creates it. Returns the number of steps.

    An existing database is copied to `<name>.before-<version>-<time>` before it is changed, unless it is itself a copy (`is_copied` is
    False). Raises StoreError, without any change, if the schema is newer than this release.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    schema, supported = version(path), newest()
    if schema > supported:
        raise _newer(path, schema, supported)
    steps = [(number, text) for number, text in migrations() if number > schema]
    if not steps:
        return 0
    is_new = not path.exists()
    if is_new:
        path.touch(mode=0o600)
    db = sqlite3.connect(path, isolation_level=None)
    try:
        db.execute("PRAGMA busy_timeout = 5000")
        if schema and is_copied:
            copy = path.with_name(f"{path.name}.before-{supported}-{clock.now()}")
            verified_copy.copy_database(path, copy)
        elif not schema:
            # Only an empty file takes it; it lets retention give space back to the file system.
            db.execute("PRAGMA auto_vacuum = INCREMENTAL")
        db.execute("PRAGMA journal_mode = WAL")
        for number, text in steps:
            # One transaction per step: a crash leaves the database on a whole version.
            db.executescript(f"BEGIN IMMEDIATE;\n{text}\nPRAGMA user_version = {number};\nCOMMIT;")
    except sqlite3.Error as error:
        raise StoreError(
            f"The database {path} could not be migrated: {error}. The failed step was rolled back.",
            "Check the disk and try again. The copy made before is in the same folder.",
        ) from error
    finally:
        db.close()
    return len(steps)


def snapshots(path: Path) -> list[Path]:
    """Lists the copies that migrations of the database at `path` have made, oldest first."""
    pattern = re.compile(rf"{re.escape(path.name)}\.before-\d+-(\d+)")
    found = [(int(match[1]), each) for each in path.parent.iterdir() if (match := pattern.fullmatch(each.name))]
    return [each for _, each in sorted(found)]


def _newer(path: Path, schema: int, supported: int) -> StoreError:
    return StoreError(
        f"The database {path} has schema {schema} of a newer release; this release supports up to schema {supported}. "
        "No changes were made.",
        "Start the newer release, or restore a backup made with this release.",
    )
