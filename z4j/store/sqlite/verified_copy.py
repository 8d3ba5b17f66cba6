# SPDX-License-Identifier: AGPL-3.0-or-later
"""Copies and checks of the database file. A copy has its final name only when it is complete and on the disk."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import shutil
import sqlite3
import time
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from z4j import files
from z4j.exceptions import StoreDamaged, StoreError, StoreFull

BUSY_MS: Final = 5_000
PAGES: Final = 2_000
"""Pages copied between two looks at whether the copy was interrupted."""
CHECK_S: Final = 30.0
STEPS: Final = 10_000
"""Virtual-machine steps between two looks at the clock."""
LISTED: Final = 20
SPARE: Final = 50_000_000
"""Bytes that stay free on the disk beside a copy."""


class Interruption:
    """Ends a copy that runs in another thread: a server that stops does not wait for minutes."""

    def __init__(self) -> None:
        self._is_requested = False
        self._db: sqlite3.Connection | None = None

    def request(self) -> None:
        """Interrupts the copy. Whatever was written of it is removed."""
        self._is_requested = True
        if (db := self._db) is not None:
            with contextlib.suppress(sqlite3.ProgrammingError):  # closed just now; the next one is not opened
                db.interrupt()

    def follow(self, db: sqlite3.Connection) -> None:
        """Interrupts this connection from now on. Raises StoreError if that was requested before."""
        self._db = db
        self.check()

    def check(self) -> None:
        """Raises StoreError if the copy was interrupted."""
        if self._is_requested:
            raise StoreError("The copy was interrupted, because the server stops. It was removed.")


_interruption: ContextVar[Interruption | None] = ContextVar("interruption", default=None)


async def copy_in_thread(path: Path, target: Path) -> Contents:
    """Runs `copy_verified` in a thread. If the caller is cancelled, the copy ends, too."""
    interruption = Interruption()
    token = _interruption.set(interruption)
    try:
        return await asyncio.to_thread(copy_verified, path, target)
    except asyncio.CancelledError:
        interruption.request()
        raise
    finally:
        _interruption.reset(token)


@dataclass(frozen=True, slots=True)
class Contents:
    """What a database contains at one moment: the number of rows of each table, and the last row of the audit log by number and MAC."""

    rows: dict[str, int]
    audit: tuple[int, bytes] | None

    def difference(self, other: Contents) -> str:
        """Describes what `other` contains differently; "" if both are the same."""
        for table in sorted(self.rows.keys() | other.rows.keys()):
            expected, found = self.rows.get(table), other.rows.get(table)
            if expected != found:
                return (
                    f"the table {table} has {'no' if found is None else found} rows instead of {'none' if expected is None else expected}"
                )
        return "" if self.audit == other.audit else "the audit log ends with another row"


def copy_verified(path: Path, target: Path) -> Contents:
    """Writes a copy of the database to `target` while it is in use, and verifies it: the copy is restored into a scratch file, which must
    pass `PRAGMA integrity_check` and contain what the database contained when it was copied. Returns that. Raises StoreError; then there
    is no `target`.
    """
    if target.exists():
        raise StoreError(f"{target} already exists. Nothing was written.", "Choose another file name.")
    scratch, copy = target.with_name(f".{target.name}.scratch"), target.with_name(f".{target.name}.unverified")
    try:
        refuse_without_space(path, target.parent, 2)
        remove_database(copy)
        with _scratch(scratch):
            contents = _snapshot(path, scratch)
            copy_database(scratch, copy)
        with _scratch(scratch):
            restore_copy(copy, scratch)
            if why := contents.difference(read_contents(scratch)):
                raise StoreDamaged(f"The copy {target.name} is not usable: {why}. It was removed.", "Run `z4j doctor`.")
        files.publish(copy, target)
    except FileExistsError as error:
        raise StoreError(f"{target} already exists. Nothing was written.", "Choose another file name.") from error
    except (sqlite3.Error, OSError) as error:
        raise StoreError(f"The copy to {target} failed: {error}. The database was not changed.") from error
    finally:
        remove_database(copy)
    return contents


def restore_copy(source: Path, target: Path) -> None:
    """Copies a backup to `target` and checks the result completely. Raises StoreError, and sqlite3.Error or OSError; then `target` must
    not be used."""
    with contextlib.closing(_open(source)) as db:
        db.execute("VACUUM INTO ?", (str(target),))
    if problems := _integrity(target):
        raise StoreDamaged(f"{source} is damaged: {'; '.join(problems[:3])}. No changes were made.", "Choose another backup.")
    sync(target)


def read_contents(path: Path) -> Contents:
    """Counts the rows of a database. Raises sqlite3.Error."""
    with contextlib.closing(_open(path)) as db:
        return _contents(db)


def _snapshot(path: Path, target: Path) -> Contents:
    """Copies the pages of one read transaction, and returns what was read in the same one. Pages contain remains of deleted rows, so this
    is never the final copy."""
    with contextlib.closing(_open(path)) as db, contextlib.closing(sqlite3.connect(target, isolation_level=None)) as copy:
        db.execute("BEGIN")
        contents = _contents(db)
        copy.execute("PRAGMA synchronous = OFF")
        interruption = _interruption.get()
        db.backup(copy, pages=PAGES, progress=None if interruption is None else lambda *_: interruption.check())
        copy.execute("PRAGMA journal_mode = MEMORY")  # a header that demands a write-ahead log would leave one beside the copy
    return contents


def _contents(db: sqlite3.Connection) -> Contents:
    tables = [
        row[0]
        for row in db.execute(
            "SELECT name FROM sqlite_schema WHERE rootpage > 0 AND type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name"
        )
    ]
    rows = {table: int(db.execute(f'SELECT count(*) FROM "{table}"').fetchone()[0]) for table in tables}  # noqa: S608 -- its own names
    last = db.execute("SELECT seq, mac FROM audit ORDER BY seq DESC LIMIT 1").fetchone() if "audit" in rows else None
    return Contents(rows, (last[0], last[1]) if last else None)


def _integrity(path: Path) -> list[str]:
    with contextlib.closing(_open(path)) as db:
        reports = [str(row[0]) for row in db.execute(f"PRAGMA integrity_check({LISTED})")]
    return [line for text in reports for line in text.splitlines() if line != "ok"]


def _open(path: Path) -> sqlite3.Connection:
    """An existing database; a missing one is not created. Raises sqlite3.Error."""
    db = sqlite3.connect(f"{path.resolve().as_uri()}?mode=rw", uri=True, isolation_level=None)
    if (interruption := _interruption.get()) is not None:
        try:
            interruption.follow(db)
        except StoreError:
            db.close()
            raise
    db.execute(f"PRAGMA busy_timeout = {BUSY_MS}")
    return db


@contextlib.contextmanager
def _scratch(path: Path) -> Iterator[None]:
    """A file that is empty before, and gone afterwards, with what SQLite may have left beside it."""
    remove_database(path)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
    try:
        yield
    finally:
        remove_database(path)


def remove_database(path: Path) -> None:
    """Removes a file that nobody uses, with what SQLite may have left beside it."""
    for suffix in ("", "-journal", "-wal", "-shm"):
        path.with_name(f"{path.name}{suffix}").unlink(missing_ok=True)


def refuse_without_space(path: Path, folder: Path, copies: int) -> None:
    """Raises StoreFull if the copies would not fit."""
    files_of = [path, path.with_name(f"{path.name}-wal")]
    needed = copies * sum(each.stat().st_size for each in files_of if each.exists()) + SPARE
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise StoreFull(
            f"Copying {path} needs {needed / 1e6:,.0f} MB, but only {free / 1e6:,.0f} MB are free in {folder}. No changes were made.",
            "Free some space, or use a folder on another disk.",
        )


def sync(path: Path) -> None:
    """Writes a file to the disk. Raises OSError."""
    fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def copy_database(path: Path, target: Path) -> None:
    """Writes a consistent copy of the database to `target` while it is in use. Raises StoreError; then there is no `target`.

    A part that a killed copy left behind is removed by the next copy to the same name.
    """
    if target.exists():
        raise StoreError(f"{target} already exists. Nothing was written.", "Choose another file name.")
    part = target.with_name(f"{target.name}.part")
    try:
        with _own(part):
            with contextlib.closing(_open(path)) as db:
                db.execute("VACUUM INTO ?", (str(part),))
            sync(part)
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
