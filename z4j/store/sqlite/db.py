# SPDX-License-Identifier: AGPL-3.0-or-later
"""The database: one thread that writes, a few connections that read.

Writers hand in functions; the thread runs as many as are waiting inside one transaction (each in its own savepoint, so
one that fails undoes only itself) and answers after the commit. What `write` returned is on disk: against a crash of
the process always, against loss of power when `durable`.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import sqlite3
import threading
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar, cast

import aiosqlite

from z4j import logs
from z4j.exceptions import StoreError
from z4j.store.operations.value_encryption import Seal
from z4j.store.rollups.run_totals import RunTotals
from z4j.store.rollups.sum_cache import SumCache
from z4j.store.sqlite import migrate, verified_copy
from z4j.store.sqlite.sqlite_exceptions import not_read
from z4j.store.sqlite.writer import BUSY_MS, GROUP_LIMIT, STATEMENTS, Connection, Row, Writer
from z4j.store.sqlite.writer_lanes import SERVER, Job, WriterLanes

SQLITE_NAME: Final = sqlite3.sqlite_version
SQLITE_VERSION: Final = sqlite3.sqlite_version_info

__all__ = ["GROUP_LIMIT", "SQLITE_NAME", "SQLITE_VERSION", "Connection", "Row", "Store"]

T = TypeVar("T")

WAL_LONG: Final = 64 * 1024 * 1024


class Reader(aiosqlite.Connection):
    """A connection that reads, in a thread of its own."""

    async def run(self, fn: Callable[[sqlite3.Connection], T]) -> T:
        """Runs `fn` in that thread. One hop for many steps: a cursor of aiosqlite needs one for each."""
        return cast(T, await self._execute(fn, self._conn))  # type: ignore[no-untyped-call]


class _Here(threading.local):
    """The connection whose reads this thread runs, see `Store.at_once`; None in every other thread."""

    db: sqlite3.Connection | None = None
    stamp: int = 0
    """`SumCache.number` before the first of these reads."""


class Store:
    """The only access to the database. Create, `await start()`, use, `await close()`."""

    def __init__(self, path: Path, *, readers: int = 3) -> None:
        self.path = path
        self.seal = Seal(path.parent)
        self.memo: dict[Any, tuple[int, Any]] = {}
        """Results of expensive reads with the tick until which they are valid. Code that adds one must limit their number."""
        self._reader_count = readers
        self._readers: list[Reader] = []
        self._idle: asyncio.Queue[Reader] = asyncio.Queue()
        self._here = _Here()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._turns = WriterLanes()
        self.run_totals = RunTotals()
        self.sum_cache = SumCache()
        self._writing = Writer(path, self.seal, self.run_totals, self.sum_cache)
        self._writer: threading.Thread | None = None
        self._is_open = False

    @property
    def commit_s(self) -> float:
        """How long the writer's last commit took."""
        return self._writing.commit_s

    async def start(self) -> None:
        """Opens the writer and the readers. Raises StoreError if the schema is not that of this release: migrate first."""
        migrate.check(self.path)
        self._loop = asyncio.get_running_loop()
        opened: Future[None] = Future()
        self._writer = threading.Thread(target=self._write_loop, args=(opened,), name="z4j-writer", daemon=True)
        self._writer.start()
        await asyncio.wrap_future(opened)
        self._is_open = True
        for _ in range(self._reader_count):
            reader = Reader(partial(sqlite3.connect, self.path, isolation_level=None, cached_statements=STATEMENTS), 64)
            await reader
            await reader.execute(f"PRAGMA busy_timeout = {BUSY_MS}")
            await reader.execute("PRAGMA query_only = 1")
            await reader.execute("PRAGMA cache_size = -8192")
            # A sort must not need a file where descriptors or space have run out.
            await reader.execute("PRAGMA temp_store = MEMORY")
            self._readers.append(reader)
            self._idle.put_nowait(reader)

    async def close(self) -> None:
        """Finishes the queued writes, then closes. May be called twice."""
        self._is_open = False
        if self._writer is not None:
            self._turns.close()
            await asyncio.to_thread(self._writer.join)
            self._writer = None
        for reader in self._readers:
            await reader.close()
        self._readers.clear()

    @property
    def waiting_jobs(self) -> int:
        """How many jobs wait for the writer."""
        return self._turns.waiting

    # -- writing -------------------------------------------------------------------------------------------------------
    async def write(self, fn: Callable[[Connection], T], *, durable: bool = False, lane: int = SERVER) -> T:
        """Runs `fn` in the writer's transaction and returns its result after the commit. `lane`: the app whose turn it is.

        Raises what `fn` raised (only its own changes are undone), or StoreError if the commit failed.
        """
        return (await self.write_steps([fn], durable=durable, lane=lane))[0]

    async def write_steps(
        self, steps: Sequence[Callable[[Connection], T]], *, durable: bool = False, lane: int = SERVER, may_fail: bool = True
    ) -> list[T]:
        """Runs several functions in order and returns their results after the last commit. Other jobs may be committed between two of them,
        and earlier steps stay committed if a later one raises: only for work that may be repeated from the start.

        `may_fail` False: steps that practically never raise. They run without savepoints, for which SQLite copies every page that changes.
        """
        if not self._is_open:
            raise StoreError("The database is closed. Nothing was written.", "Start the server again.")
        job = Job(steps, durable, lane, is_guarded=may_fail)
        self._turns.put(job)
        # Shielded: a caller that goes away must not look like a failure to the others of its group.
        return cast(list[T], await asyncio.shield(asyncio.wrap_future(job.future)))

    def is_contended(self, lane: int) -> bool:
        """Whether this app used much of the writer lately while another app used it too: then its steps have to be short."""
        return self._turns.is_contended(lane)

    async def note(self, what: str, fn: Callable[[Connection], T], *, lane: int = SERVER, **facts: Any) -> T | None:
        """Writes like `write`, for data that may be lost (last use of a token, a heartbeat): if it cannot be written, that is logged, and
        None is returned."""
        try:
            return await self.write(fn, lane=lane)
        except StoreError as error:
            logs.not_recorded(what, error.message, facts)
            return None

    def _write_loop(self, opened: Future[None]) -> None:
        writer = self._writing
        try:
            writer.open()
        except sqlite3.Error as error:
            failure = not_read(error)
            opened.set_exception(type(failure)(f"The database {self.path} cannot be opened: {error}.", failure.hint))
            return
        opened.set_result(None)
        while (job := self._turns.take(waits=True)) is not None:
            writer.commit(self._turns, job)
        writer.close()

    # -- reading -------------------------------------------------------------------------------------------------------
    async def fetch_all(self, sql: str, params: Mapping[str, object] | None = None) -> list[Row]:
        """Returns all rows of one SELECT, from a connection that cannot write. Raises StoreError."""
        if (db := self._here.db) is not None:
            try:
                return db.execute(sql, params or {}).fetchall()
            except sqlite3.Error as error:
                raise not_read(error) from error
        reader = await self._idle.get()
        try:
            return cast(list[Row], await reader.execute_fetchall(sql, params or {}))
        except sqlite3.Error as error:
            raise not_read(error) from error
        finally:
            self._idle.put_nowait(reader)

    async def read(self, fn: Callable[[sqlite3.Connection], T]) -> T:
        """Runs `fn` in the thread of a connection that cannot write, for reads that end before their last row. `fn` has to close its
        cursors. Raises StoreError."""
        if (db := self._here.db) is not None:
            try:
                return fn(db)
            except sqlite3.Error as error:
                raise not_read(error) from error
        reader = await self._idle.get()
        try:
            return await reader.run(fn)
        except sqlite3.Error as error:
            raise not_read(error) from error
        finally:
            self._idle.put_nowait(reader)

    async def at_once(self, fn: Callable[[], Awaitable[T]]) -> T:
        """Runs a coroutine of many reads in the thread of one reader, over one state of the database, and returns its result. Each read
        alone costs a change of threads there and back. `fn` may await the reads of this store and nothing else, and it runs beside the
        event loop: what it needs of the rest of the server is read before. Raises StoreError, and what `fn` raises."""
        if self._here.db is not None:
            return await fn()
        # In the context of the caller, which has the time zone of the reader of a page.
        here = contextvars.copy_context()
        return await self.read(lambda db: here.run(self._run_at_once, fn, db))

    @property
    def stamp(self) -> int:
        """The stamp of sums that are read now, see `SumCache`."""
        return self.sum_cache.number if self._here.db is None else self._here.stamp

    def in_event_loop(self, fn: Callable[[], object]) -> None:
        """Calls a function in the event loop: soon where a page is read in the thread of a reader, else now."""
        if self._here.db is None or self._loop is None:
            fn()
        else:
            self._loop.call_soon_threadsafe(fn)

    def _run_at_once(self, fn: Callable[[], Awaitable[T]], db: sqlite3.Connection) -> T:
        reads = fn().__await__()
        self._here.stamp = self.sum_cache.number
        db.execute("BEGIN")
        self._here.db = db
        try:
            next(reads)
        except StopIteration as done:
            return cast(T, done.value)
        finally:
            self._here.db = None
            db.execute("ROLLBACK")  # nothing was written
        raise RuntimeError("something else than a read of the store was awaited in the thread of a reader")

    async def fetch_one(self, sql: str, params: Mapping[str, object] | None = None) -> Row | None:
        """Returns the first row of one SELECT, or None. Raises StoreError."""
        rows = await self.fetch_all(sql, params)
        return rows[0] if rows else None

    async def checkpoint(self, least_bytes: int = 0) -> None:
        """Copies the write-ahead log into the database if it is long; if it is very long, also truncates it when no reader needs it. Raises
        StoreError."""
        if await asyncio.to_thread(_checkpoint, self.path, least_bytes):
            self._writing.is_log_short = False

    async def backup(self, target: Path) -> verified_copy.Contents:
        """Writes a whole copy of the database to `target` while the database is in use, and verifies it. Returns what it contains. Raises
        StoreError if that fails."""
        return await verified_copy.copy_in_thread(self.path, target)


def _checkpoint(path: Path, least_bytes: int) -> bool:
    """Returns whether something may be left, because it was written meanwhile."""
    wal = path.with_name(f"{path.name}-wal")
    try:
        size = wal.stat().st_size if wal.exists() else 0
        if size < least_bytes:
            return False
        is_long = size > WAL_LONG
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as db:
            db.execute(f"PRAGMA busy_timeout = {200 if is_long else 0}")
            # Its row says "busy" when it could not finish; it never counts what was written since it began. The second one copies that, so
            # that little is left for the writer.
            for _ in range(1 if is_long else 2):
                db.execute(f"PRAGMA wal_checkpoint({'TRUNCATE' if is_long else 'PASSIVE'})").fetchall()
            return True
    except (sqlite3.Error, OSError) as error:
        raise not_read(error) from error
