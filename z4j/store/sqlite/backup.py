# SPDX-License-Identifier: AGPL-3.0-or-later
"""Copies and checks of the database file. A copy has its final name only when it is complete and on the disk."""

from __future__ import annotations

import contextlib
import fcntl
import os
import sqlite3
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from z4j import files
from z4j.exceptions import StoreError

BUSY_MS: Final = 5_000
CHECK_S: Final = 30.0
STEPS: Final = 10_000
"""Virtual-machine steps between two looks at the clock."""
LISTED: Final = 20


def copy_database(path: Path, target: Path) -> None:
    """Writes a consistent copy of the database to `target` while it is in use. Raises StoreError; then there is no `target`.

    A part that a killed copy left behind is removed by the next copy to the same name.
    """
    if target.exists():
        raise StoreError(f"{target} already exists. Nothing was written.", "Choose another file name.")
    part = target.with_name(f"{target.name}.part")
    try:
        with _own(part):
            with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as db:
                db.execute(f"PRAGMA busy_timeout = {BUSY_MS}")
                db.execute("VACUUM INTO ?", (str(part),))
            fd = os.open(part, os.O_RDWR | os.O_CLOEXEC)
            try:
                os.fsync(fd)
            finally:
                os.close(fd)
            files.publish(part, target)
    except FileExistsError as error:
        raise StoreError(f"{target} already exists. Nothing was written.", "Choose another file name.") from error
    except (sqlite3.Error, OSError) as error:
        raise StoreError(f"The copy to {target} failed: {error}. The database was not changed.") from error


@contextlib.contextmanager
def _own(part: Path) -> Iterator[None]:
    """An empty file of ours alone, readable by nobody else before SQLite opens it; whatever is left of it is removed at the end."""
    fd = os.open(part, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise StoreError(f"Another copy is being written to {part}. No changes were made.", "Wait until it is complete.") from error
        os.fchmod(fd, 0o600)
        os.ftruncate(fd, 0)
        try:
            yield
        finally:
            part.unlink(missing_ok=True)
            part.with_name(f"{part.name}-journal").unlink(missing_ok=True)
    finally:
        os.close(fd)


@dataclass(frozen=True, slots=True)
class Check:
    """What SQLite found wrong, at most `LISTED` lines; `is_complete` is False where the time ran out before the end."""

    problems: tuple[str, ...]
    is_complete: bool
    seconds: float


def check_database(path: Path, seconds: float = CHECK_S) -> Check:
    """Runs `PRAGMA quick_check` for at most `seconds`; reads only."""
    began = time.monotonic()
    try:
        with contextlib.closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, isolation_level=None)) as db:
            db.execute(f"PRAGMA busy_timeout = {BUSY_MS}")
            db.set_progress_handler(lambda: time.monotonic() - began > seconds, STEPS)
            reports = [str(row[0]) for row in db.execute(f"PRAGMA quick_check({LISTED})")]
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode == sqlite3.SQLITE_INTERRUPT:
            return Check((), is_complete=False, seconds=time.monotonic() - began)
        return Check((str(error),), is_complete=True, seconds=time.monotonic() - began)
    except sqlite3.Error as error:
        return Check((str(error),), is_complete=True, seconds=time.monotonic() - began)
    problems = tuple(line for text in reports for line in text.splitlines() if line != "ok")
    return Check(problems[:LISTED], is_complete=True, seconds=time.monotonic() - began)
