# SPDX-License-Identifier: AGPL-3.0-or-later
"""Replaces the database of a data folder that no server uses.

1. `prepare` copies the backup to `z4j.db.restoring` and checks the copy. Everything else happens in that copy.
2. `replace` gives the present database a second name, `z4j.db.before-restore-<time>`, and then renames the copy to `z4j.db`.

A process that is killed leaves the old database or the new one under its name, whole, and at most a copy that the next restore removes.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from z4j import files
from z4j.exceptions import StoreBusy, StoreError
from z4j.store.sqlite import migrate, verified_copy
from z4j.store.sqlite.writer import Connection

RESTORING: Final = "restoring"
BEFORE: Final = "before-restore-"


def prepare(source: Path, database: Path, *, migrates: bool) -> Path:
    """Copies the backup beside the database, checks it, and with `migrates` upgrades it to the schema of this release. Returns the copy.
    Raises StoreError; then there is no copy."""
    if not source.is_file():
        raise StoreError(
            f"{source} does not exist. No changes were made.", "`z4j backup` and the server's nightly backups write such files."
        )
    if database.exists() and source.samefile(database):
        raise StoreError(f"{source} is the database itself. No changes were made.", "Choose a backup.")
    schema = migrate.version(source)
    if not schema:
        raise StoreError(f"{source} is not a z4j database. No changes were made.", "Choose a backup.")
    if schema > migrate.newest():
        raise StoreError(
            f"{source} has schema {schema} of a newer release; this release supports up to schema {migrate.newest()}. "
            "No changes were made.",
            "Restore it with the newer release.",
        )
    remove_leftovers(database)
    copy = database.with_name(f"{database.name}.{RESTORING}")
    verified_copy.refuse_without_space(source, database.parent, 1)
    try:
        os.close(os.open(copy, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
        verified_copy.restore_copy(source, copy)
        if migrates:
            migrate.migrate(copy, is_copied=False)
    except (sqlite3.Error, OSError) as error:
        verified_copy.remove_database(copy)
        raise StoreError(f"{source} cannot be restored: {error}. No changes were made.", "Choose another backup.") from error
    except StoreError:
        verified_copy.remove_database(copy)
        raise
    return copy


@contextlib.contextmanager
def opened(path: Path) -> Iterator[Connection]:
    """A connection to a copy that is being prepared. The block is one transaction; afterwards the copy is one whole file on the disk."""
    with contextlib.closing(sqlite3.connect(path, factory=Connection, isolation_level=None)) as db:
        db.execute(f"PRAGMA busy_timeout = {verified_copy.BUSY_MS}")
        db.execute("PRAGMA journal_mode = DELETE")
        db.execute("PRAGMA synchronous = FULL")
        db.execute("BEGIN IMMEDIATE")
        try:
            yield db
        except BaseException:
            db.execute("ROLLBACK")
            raise
        db.execute("COMMIT")


@contextlib.contextmanager
def present(database: Path) -> Iterator[sqlite3.Connection | None]:
    """The present database, for reading; None if there is none, or if it is not a database."""
    try:
        db = sqlite3.connect(f"{database.resolve().as_uri()}?mode=rw", uri=True, isolation_level=None)
    except sqlite3.OperationalError:
        yield None
        return
    with contextlib.closing(db):
        try:
            db.execute("PRAGMA query_only = 1")
            db.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        except sqlite3.DatabaseError:
            yield None
            return
        yield db


def replace(copy: Path, database: Path, at: int) -> Path | None:
    """Puts the copy in the place of the database. Returns the name of the replaced database, None if there was none. Raises StoreError;
    then the database is as it was."""
    kept = database.with_name(f"{database.name}.{BEFORE}{at}")
    if not database.exists():
        copy.rename(database)
        files.sync_folder(database.parent)
        return None
    try:
        _join_log(database, kept)
        _name_twice(database, kept)
        copy.replace(database)
        files.sync_folder(database.parent)
    except OSError as error:
        raise StoreError(f"The database could not be replaced: {error}. No changes were made.", "Check the disk and try again.") from error
    return kept


def remove_leftovers(database: Path) -> None:
    """Removes what a killed restore left: its copy, and the second name of the present database."""
    verified_copy.remove_database(database.with_name(f"{database.name}.{RESTORING}"))
    for kept in database.parent.glob(f"{database.name}.{BEFORE}*"):
        if database.exists() and kept.samefile(database):
            kept.unlink()


def _join_log(database: Path, kept: Path) -> None:
    """Copies the write-ahead log into the database, so that the database is one file: SQLite would apply a log that is left to the new
    database. A damaged database keeps its log under the name of the kept file. Raises StoreError."""
    try:
        with contextlib.closing(sqlite3.connect(database, isolation_level=None)) as db:
            db.execute(f"PRAGMA busy_timeout = {verified_copy.BUSY_MS}")
            if db.execute("PRAGMA journal_mode = DELETE").fetchone() != ("delete",):
                raise StoreBusy(f"The write-ahead log of {database} is in use. No changes were made.", "Try again.")
    except sqlite3.OperationalError as error:
        if (error.sqlite_errorcode & 0xFF) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            raise StoreBusy(
                f"Another process uses {database}. No changes were made.", "Wait until other z4j commands have ended, and try again."
            ) from error
        _move_log(database, kept)
    except sqlite3.DatabaseError:
        _move_log(database, kept)
    if database.with_name(f"{database.name}-wal").exists():
        _move_log(database, kept)


def _move_log(database: Path, kept: Path) -> None:
    for suffix in ("-wal", "-journal"):
        log = database.with_name(f"{database.name}{suffix}")
        if log.exists():
            log.rename(kept.with_name(f"{kept.name}{suffix}"))
    database.with_name(f"{database.name}-shm").unlink(missing_ok=True)


def _name_twice(database: Path, kept: Path) -> None:
    try:
        os.link(database, kept)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links
        part = kept.with_name(f"{kept.name}.part")
        shutil.copyfile(database, part)
        part.chmod(0o600)
        verified_copy.sync(part)
        part.rename(kept)
