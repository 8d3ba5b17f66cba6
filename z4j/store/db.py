# SPDX-License-Identifier: AGPL-3.0-or-later
"""The database: one thread that writes, a few connections that read.

Writers hand in functions; the thread runs as many as are waiting inside one transaction (each in its own savepoint, so
one that fails undoes only itself) and answers after the commit. What `write` returned is on disk: against a crash of
the process always, against loss of power when `durable`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import queue
import sqlite3
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Final, TypeVar, cast

import aiosqlite

from z4j.exceptions import StoreError
from z4j.store import migrate

SQLITE_NAME: Final = sqlite3.sqlite_version
SQLITE_VERSION: Final = sqlite3.sqlite_version_info

T = TypeVar("T")
Row = tuple[Any, ...]

GROUP_LIMIT: Final = 64
"""Jobs in one commit: enough to share an fsync, few enough that the first does not wait long for the last."""
BUSY_MS: Final = 5_000
STATEMENTS: Final = 512
WAL_LONG: Final = 64 * 1024 * 1024

_log = logging.getLogger("z4j.store")


class Connection(sqlite3.Connection):
    """The writer's connection, with what may be remembered while only it writes. A rollback forgets all of it."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.memory: dict[str, dict[Any, Any]] = {}

    def recall(self, what: str) -> dict[Any, Any]:
        """The cache called `what`, empty after a rollback."""
        try:
            return self.memory[what]
        except KeyError:
            return self.memory.setdefault(what, {})

    def forget(self) -> None:
        """Drop every cache: it may hold ids that were never committed."""
        self.memory.clear()


class _Job:
    __slots__ = ("durable", "fn", "future")

    def __init__(self, fn: Callable[[Connection], Any], durable: bool) -> None:
        self.fn = fn
        self.durable = durable
        self.future: Future[Any] = Future()


class Store:
    """The one door to the database. Create, `await start()`, use, `await close()`."""

    def __init__(self, path: Path, *, readers: int = 3) -> None:
        self.path = path
        self.memo: dict[Any, tuple[int, Any]] = {}
        """Answers of expensive reads with the tick they are good until; whoever adds one keeps it small."""
        self._reader_count = readers
        self._readers: list[aiosqlite.Connection] = []
        self._idle: asyncio.Queue[aiosqlite.Connection] = asyncio.Queue()
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._writer: threading.Thread | None = None
        self._is_open = False

    async def start(self) -> None:
        """Open the writer and the readers. Raises StoreError when the schema is not this release's: migrate first."""
        migrate.check(self.path)
        opened: Future[None] = Future()
        self._writer = threading.Thread(target=self._write_loop, args=(opened,), name="z4j-writer", daemon=True)
        self._writer.start()
        await asyncio.wrap_future(opened)
        self._is_open = True
        for _ in range(self._reader_count):
            reader = await aiosqlite.connect(self.path, isolation_level=None, cached_statements=STATEMENTS)
            await reader.execute(f"PRAGMA busy_timeout = {BUSY_MS}")
            await reader.execute("PRAGMA query_only = 1")
            await reader.execute("PRAGMA cache_size = -8192")
            self._readers.append(reader)
            self._idle.put_nowait(reader)

    async def close(self) -> None:
        """Finish what was handed in, then close. Safe to call twice."""
        self._is_open = False
        if self._writer is not None:
            self._jobs.put(None)
            await asyncio.to_thread(self._writer.join)
            self._writer = None
        for reader in self._readers:
            await reader.close()
        self._readers.clear()

    # -- writing -------------------------------------------------------------------------------------------------------
    async def write(self, fn: Callable[[Connection], T], *, durable: bool = False) -> T:
        """Run `fn` in the writer's transaction and return its result after the commit.

        Raises what `fn` raised (only its own changes are undone), or StoreError when the commit failed.
        """
        if not self._is_open:
            raise StoreError("The database is closed; nothing was written.", "Start the server again.")
        job = _Job(fn, durable)
        self._jobs.put(job)
        # Shielded: a caller that goes away must not look like a failure to the others of its group.
        return cast(T, await asyncio.shield(asyncio.wrap_future(job.future)))

    def _write_loop(self, opened: Future[None]) -> None:
        try:
            db = sqlite3.connect(self.path, factory=Connection, isolation_level=None, cached_statements=STATEMENTS)
            db.execute(f"PRAGMA busy_timeout = {BUSY_MS}")
            db.execute("PRAGMA foreign_keys = 1")
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA cache_size = -32768")
            # Housekeeping checkpoints between commits; this is the net under it.
            db.execute("PRAGMA wal_autocheckpoint = 4000")
            db.execute("PRAGMA temp_store = MEMORY")
        except sqlite3.Error as error:
            opened.set_exception(StoreError(f"The database {self.path} cannot be opened: {error}."))
            return
        opened.set_result(None)
        with contextlib.closing(db):
            is_last = False
            while not is_last:
                group: list[_Job] = []
                job = self._jobs.get()
                while job is not None:
                    group.append(job)
                    if len(group) >= GROUP_LIMIT:
                        break
                    try:
                        job = self._jobs.get_nowait()
                    except queue.Empty:
                        break
                is_last = job is None
                if group:
                    _commit_group(db, group)
            with contextlib.suppress(sqlite3.Error):
                db.execute("PRAGMA optimize")

    # -- reading -------------------------------------------------------------------------------------------------------
    async def fetch_all(self, sql: str, params: Mapping[str, object] | None = None) -> list[Row]:
        """All rows of one SELECT, from a connection that cannot write."""
        reader = await self._idle.get()
        try:
            return cast(list[Row], await reader.execute_fetchall(sql, params or {}))
        finally:
            self._idle.put_nowait(reader)

    async def fetch_one(self, sql: str, params: Mapping[str, object] | None = None) -> Row | None:
        """The first row of one SELECT, or None."""
        rows = await self.fetch_all(sql, params)
        return rows[0] if rows else None

    async def checkpoint(self) -> None:
        """Copy the write-ahead log into the database; when it has grown long, also cut it, if nobody is in the way."""
        await asyncio.to_thread(_checkpoint, self.path)

    async def backup(self, target: Path) -> None:
        """Write a whole copy of the database to `target` while it is in use. Raises StoreError if that fails."""
        await asyncio.to_thread(_copy, self.path, target)


def _checkpoint(path: Path) -> None:
    wal = path.with_name(f"{path.name}-wal")
    is_long = wal.exists() and wal.stat().st_size > WAL_LONG
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute(f"PRAGMA busy_timeout = {200 if is_long else 0}")
        # Answers "busy" in its row when it could not finish; the next round will.
        db.execute(f"PRAGMA wal_checkpoint({'TRUNCATE' if is_long else 'PASSIVE'})").fetchall()


def _copy(path: Path, target: Path) -> None:
    if target.exists():
        raise StoreError(f"{target} exists already; nothing was written.", "Choose another name for the copy.")
    try:
        # Made before SQLite opens it, so that it is never readable by others.
        target.touch(mode=0o600)
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as db:
            db.execute(f"PRAGMA busy_timeout = {BUSY_MS}")
            db.execute("VACUUM INTO ?", (str(target),))
    except (sqlite3.Error, OSError) as error:
        target.unlink(missing_ok=True)
        raise StoreError(f"The copy to {target} failed: {error}. The database itself is untouched.") from error


def _commit_group(db: Connection, group: list[_Job]) -> None:
    """Run the jobs of one group and commit them together, then answer each."""
    done: list[tuple[_Job, Any]] = []
    failed: list[tuple[_Job, BaseException]] = []
    try:
        # Not allowed inside a transaction, hence one answer for the whole group.
        db.execute(f"PRAGMA synchronous = {'FULL' if any(job.durable for job in group) else 'NORMAL'}")
        db.execute("BEGIN IMMEDIATE")
        for job in group:
            db.execute("SAVEPOINT job")
            try:
                done.append((job, job.fn(db)))
            except BaseException as error:  # handed to the caller who brought the job
                db.forget()
                if not db.in_transaction:
                    raise  # SQLite itself gave up the transaction (disk full, I/O error): all of it is gone
                db.execute("ROLLBACK TO job")
                # Full disks and the like are told in our own words; what the job itself raised is its caller's affair.
                failed.append((job, _not_taken(error) if isinstance(error, sqlite3.OperationalError) else error))
            db.execute("RELEASE job")
        db.execute("COMMIT")
    except BaseException as error:
        db.forget()
        if db.in_transaction:
            db.execute("ROLLBACK")
        _log.error("a group of %d writes was not committed: %s", len(group), error)
        lost = _not_taken(error)
        for job in group:
            job.future.set_exception(lost)
        return
    for job, result in done:
        job.future.set_result(result)
    for job, cause in failed:
        job.future.set_exception(cause)


def _not_taken(error: BaseException) -> StoreError:
    told = StoreError(f"The database did not take the change: {error}. It was undone.", "Check space on the disk.")
    told.__cause__ = error
    return told
