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
import sqlite3
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Final, TypeVar, cast

import aiosqlite

from z4j.exceptions import StoreError
from z4j.store import migrate
from z4j.store.turns import SERVER, Job, Turns

SQLITE_NAME: Final = sqlite3.sqlite_version
SQLITE_VERSION: Final = sqlite3.sqlite_version_info

T = TypeVar("T")
Row = tuple[Any, ...]

GROUP_LIMIT: Final = 64
"""Jobs in one commit: enough to share an fsync, few enough that the first does not wait long for the last."""
GROUP_S: Final = 0.02
"""A commit does not wait for more once it has taken this long."""
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


class Store:
    """The one door to the database. Create, `await start()`, use, `await close()`."""

    def __init__(self, path: Path, *, readers: int = 3) -> None:
        self.path = path
        self.memo: dict[Any, tuple[int, Any]] = {}
        """Answers of expensive reads with the tick they are good until; whoever adds one keeps it small."""
        self._reader_count = readers
        self._readers: list[aiosqlite.Connection] = []
        self._idle: asyncio.Queue[aiosqlite.Connection] = asyncio.Queue()
        self._turns = Turns()
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
            self._turns.close()
            await asyncio.to_thread(self._writer.join)
            self._writer = None
        for reader in self._readers:
            await reader.close()
        self._readers.clear()

    # -- writing -------------------------------------------------------------------------------------------------------
    async def write(self, fn: Callable[[Connection], T], *, durable: bool = False, lane: int = SERVER) -> T:
        """Run `fn` in the writer's transaction and return its result after the commit. `lane`: the app whose turn it is.

        Raises what `fn` raised (only its own changes are undone), or StoreError when the commit failed.
        """
        return (await self.write_steps([fn], durable=durable, lane=lane))[0]

    async def write_steps(self, steps: Sequence[Callable[[Connection], T]], *, durable: bool = False, lane: int = SERVER) -> list[T]:
        """Run several in order and return their results after the last commit. Others may be committed between two of them, and so may
        the earlier ones when a later one raises: only for what may be done again from the start."""
        if not self._is_open:
            raise StoreError("The database is closed; nothing was written.", "Start the server again.")
        job = Job(steps, durable, lane)
        self._turns.put(job)
        # Shielded: a caller that goes away must not look like a failure to the others of its group.
        return cast(list[T], await asyncio.shield(asyncio.wrap_future(job.future)))

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
            while (job := self._turns.take(waits=True)) is not None:
                _commit_group(db, self._turns, job)
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


def _commit_group(db: Connection, turns: Turns, job: Job | None) -> None:
    """Run steps of the jobs whose turn it is and commit them together, then answer each job that is done."""
    done: list[Job] = []
    failed: list[tuple[Job, BaseException]] = []
    touched: list[Job] = []
    try:
        # Not allowed inside a transaction, hence one answer for the whole group.
        is_durable = job is not None and (job.durable or turns.has_durable)
        db.execute(f"PRAGMA synchronous = {'FULL' if is_durable else 'NORMAL'}")
        db.execute("BEGIN IMMEDIATE")
        began, count = time.monotonic(), 0
        while job is not None:
            if job.durable and not is_durable:
                turns.put_back(job)
                break
            if not job.is_over:
                touched.append(job)
                _run_step(db, turns, job, done, failed)
                count += 1
            if count >= GROUP_LIMIT or time.monotonic() - began > GROUP_S:
                break
            job = turns.take(waits=False)
            if job is not None and turns.is_heavy(job.lane) and any(not turns.is_heavy(other.lane) for other in done):
                turns.put_back(job)  # what is done of a light lane is committed first
                break
        db.execute("COMMIT")
    except BaseException as error:
        db.forget()
        if db.in_transaction:
            db.execute("ROLLBACK")
        _log.error("a group of %d writes was not committed: %s", len(touched), error)
        lost = _not_taken(error)
        if job is not None and job not in touched:
            touched.append(job)
        for job in touched:
            job.fail(lost)
        return
    for job in done:
        job.is_over = True
        job.future.set_result(job.results)
    for job, cause in failed:
        job.fail(cause)


def _run_step(db: Connection, turns: Turns, job: Job, done: list[Job], failed: list[tuple[Job, BaseException]]) -> None:
    """The next step of a job in its own savepoint. Raises when SQLite gave up the whole transaction."""
    began = time.monotonic()
    db.execute("SAVEPOINT job")
    try:
        job.results.append(job.steps[job.next](db))
    except BaseException as error:  # handed to the caller who brought the job
        db.forget()
        if not db.in_transaction:
            raise  # SQLite itself gave up the transaction (disk full, I/O error): all of it is gone
        db.execute("ROLLBACK TO job")
        # Full disks and the like are told in our own words; what the job itself raised is its caller's affair.
        failed.append((job, _not_taken(error) if isinstance(error, sqlite3.OperationalError) else error))
    else:
        job.next += 1
        if job.next < len(job.steps):
            turns.put_back(job)
        else:
            done.append(job)
    db.execute("RELEASE job")
    turns.charge(job.lane, time.monotonic() - began)


def _not_taken(error: BaseException) -> StoreError:
    told = StoreError(f"The database did not take the change: {error}. It was undone.", "Check space on the disk.")
    told.__cause__ = error
    return told
