# SPDX-License-Identifier: AGPL-3.0-or-later
"""Turns errors of SQLite into errors of the server; the cause decides the class and the hint."""

from __future__ import annotations

import sqlite3
from typing import Final

from z4j.exceptions import StoreBusy, StoreDamaged, StoreError, StoreFull, StoreUnavailable

BY_CODE: Final[dict[int, type[StoreError]]] = {
    sqlite3.SQLITE_CORRUPT: StoreDamaged,
    sqlite3.SQLITE_NOTADB: StoreDamaged,
    sqlite3.SQLITE_FULL: StoreFull,
    sqlite3.SQLITE_BUSY: StoreBusy,
    sqlite3.SQLITE_LOCKED: StoreBusy,
    sqlite3.SQLITE_CANTOPEN: StoreUnavailable,
    sqlite3.SQLITE_IOERR: StoreUnavailable,
    sqlite3.SQLITE_READONLY: StoreUnavailable,
    sqlite3.SQLITE_NOMEM: StoreUnavailable,
    sqlite3.SQLITE_PERM: StoreUnavailable,
}
HINTS: Final[dict[type[StoreError], str]] = {
    StoreDamaged: "Run `z4j doctor`, stop the server, copy the data folder, and restore a backup.",
    StoreFull: "Free some space on the disk of the data folder.",
    StoreBusy: "Try again. If the problem persists, another program has locked the database.",
    StoreUnavailable: "Check the disk, the permissions of the data folder, and the limit of open files.",
    StoreError: "See the server's log for details.",
}


def not_read(error: Exception) -> StoreError:
    """Returns the error of a failed read."""
    return _store_error(error, "The database could not be read")


def not_written(error: BaseException) -> StoreError:
    """Returns the error of a failed write, whose transaction was rolled back."""
    return _store_error(error, "Writing to the database failed", " The change was rolled back.")


def _store_error(error: BaseException, what: str, after: str = "") -> StoreError:
    code = getattr(error, "sqlite_errorcode", None)
    kind = BY_CODE.get((code or 0) & 0xFF, StoreError)
    if kind is StoreError and isinstance(error, sqlite3.DatabaseError) and "malformed" in str(error):
        kind = StoreDamaged
    if kind is StoreDamaged:
        what = f"The database file is damaged. {what}"
    failure = kind(f"{what}: {error}.{after}", HINTS[kind])
    failure.__cause__ = error
    return failure
