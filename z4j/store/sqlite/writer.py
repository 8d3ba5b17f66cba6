# SPDX-License-Identifier: AGPL-3.0-or-later
"""The one connection that writes: commits jobs in groups, and continues after every error.

A job that fails undoes only itself. Where a group cannot be committed as a whole, each of its jobs is tried alone, so that one that
always fails (a damaged page, a row too large for the disk) does not take its neighbours along; jobs therefore have no effect but on the
database.
"""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Iterator, Mapping
from itertools import chain
from operator import add
from pathlib import Path
from typing import Any, Final, Protocol, Self

from z4j import logs
from z4j.exceptions import StoreError
from z4j.store.operations.value_encryption import Seal
from z4j.store.rollups.run_totals import RunTotals
from z4j.store.rollups.sum_cache import SumCache
from z4j.store.sqlite.sql import for_rows
from z4j.store.sqlite.sqlite_exceptions import not_written
from z4j.store.sqlite.writer_lanes import SERVER, Job, WriterLanes

GROUP_LIMIT: Final = 64
"""Jobs in one commit: enough to share an fsync, few enough that the first does not wait long for the last."""
GROUP_S: Final = 0.02
"""A commit does not wait for more once it has taken this long."""
BUSY_MS: Final = 5_000
STATEMENTS: Final = 512
LOG_PAGES: Final = 16_000
"""A write-ahead log of so many pages (64 MB) is copied by the commit that reaches them, which takes long: the net under the duty that
copies it beside the writer."""
REOPEN_S: Final = 0.5
ROWS: Final = 25
"""Rows of one statement, see `write_rows`."""


_NO_SEAL: Final = Seal(Path("/nonexistent"))
"""Of a connection that nobody gave a key: it stores nothing that has to be encrypted."""


Row = tuple[Any, ...]
"""Of a statement's parameters, or of its result."""
Sums = dict[str, dict[tuple[int, ...], tuple[int, ...]]]
"""By statement: key columns → what is added to the others."""


class LateSums(Protocol):
    """What is added up over all steps of a commit before the rows that it changes are looked up."""

    def merge(self, later: Self) -> None:
        """Adds those of a later step."""

    def write(self, db: Connection) -> None:
        """Writes them. Raises sqlite3.Error."""


class Connection(sqlite3.Connection):
    """The writer's connection, with what may be remembered while only it writes. A rollback forgets all of it."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.memory: dict[str, dict[Any, Any]] = {}
        self.seal = _NO_SEAL
        self.run_totals: RunTotals | None = None
        """Of the store, for its writer alone."""
        self.sum_cache = SumCache()
        """That of the store, for its writer; of another connection one that nobody reads."""
        self.is_grouped = False
        """Whether `write_sums` is called before the commit."""
        self._of_step: Sums = {}
        self._of_group: Sums = {}
        self._late_of_step: list[LateSums] = []
        self._late_of_group: dict[type, LateSums] = {}

    def add_late(self, sums: LateSums) -> None:
        """Writes sums before the commit, together with those of the same type of all other steps."""
        if self.is_grouped:
            self._late_of_step.append(sums)
        else:
            sums.write(self)

    def add_sums(self, statement: str, sums: Mapping[tuple[int, ...], tuple[int, ...]]) -> None:
        """Adds to rows by `statement`, whose parameters are a key and what is added. In a group it is run once, before the commit: many
        tasks pass through several states in one, and those cancel each other out."""
        if self.is_grouped:
            _merge(self._of_step, statement, sums)
        else:
            self._write_sums({statement: sums})

    def keep_sums(self) -> None:
        """Keeps the sums of a step that was done."""
        for statement, sums in self._of_step.items():
            _merge(self._of_group, statement, sums)
        for late in self._late_of_step:
            known = self._late_of_group.setdefault(type(late), late)
            if known is not late:
                known.merge(late)
        self._of_step.clear()
        self._late_of_step.clear()

    def drop_sums(self, *, of_group: bool = False) -> None:
        """Drops the sums of a step that was undone, or all of them."""
        self._of_step.clear()
        self._late_of_step.clear()
        if of_group:
            self._of_group.clear()
            self._late_of_group.clear()

    def write_sums(self) -> None:
        """Writes the sums of all steps that were done."""
        for late in self._late_of_group.values():
            late.write(self)
        self._late_of_group.clear()
        self._write_sums(self._of_group)
        self._of_group.clear()

    def _write_sums(self, sums: Mapping[str, Mapping[tuple[int, ...], tuple[int, ...]]]) -> None:
        for statement, of_statement in sums.items():
            if rows := [(*key, *values) for key, values in of_statement.items() if any(values)]:
                self.executemany(statement, rows)

    def write_rows(self, statement: str, rows: list[Row], *, at_once: int = ROWS) -> int:
        """Runs a statement for one row of marks for all rows, many at a time. Returns how many rows it changed.

        Other threads get the interpreter while a statement runs, and keep it for the interval of `sys.setswitchinterval` if they compute.
        So few long statements are faster than many short ones.
        """
        start = changed = 0
        for size in (at_once, ROWS):
            while len(rows) - start >= size:
                values = [*chain.from_iterable(rows[start : start + size])]
                changed += self.execute(for_rows(statement, size), values).rowcount
                start += size
        if start < len(rows):
            changed += self.executemany(statement, rows[start:]).rowcount
        return changed

    def recall(self, what: str) -> dict[Any, Any]:
        """Returns the cache called `what`; it is empty after a rollback."""
        try:
            return self.memory[what]
        except KeyError:
            return self.memory.setdefault(what, {})

    def forget(self) -> None:
        """Empties every cache, because it may contain ids that were never committed."""
        self.memory.clear()

    @contextlib.contextmanager
    def part(self) -> Iterator[None]:
        """Runs a part of a job that may fail alone: an exception inside undoes the part, and is raised again."""
        self.execute("SAVEPOINT part")
        before, self._of_step = self._of_step, {}
        late_before = len(self._late_of_step)
        try:
            yield
        except BaseException:
            self.forget()
            self._of_step = before
            del self._late_of_step[late_before:]
            if self.in_transaction:
                self.execute("ROLLBACK TO part")
                self.execute("RELEASE part")
            raise
        self.execute("RELEASE part")
        mine, self._of_step = self._of_step, before
        for statement, sums in mine.items():
            _merge(self._of_step, statement, sums)


def _merge(into: Sums, statement: str, sums: Mapping[tuple[int, ...], tuple[int, ...]]) -> None:
    known = into.setdefault(statement, {})
    for key, values in sums.items():
        old = known.get(key)
        known[key] = values if old is None else tuple(map(add, old, values))


class Writer:
    """Lives in one thread. `commit` raises nothing."""

    def __init__(self, path: Path, seal: Seal, run_totals: RunTotals, sum_cache: SumCache) -> None:
        self.path = path
        self._seal = seal
        self._run_totals = run_totals
        self._sum_cache = sum_cache
        self._db: Connection | None = None
        self._sparse = logs.Sparse()
        self.commit_s = 0.0
        """How long the last COMMIT took."""
        self.is_log_short = True
        """Set to False, from any thread, once a checkpoint has copied as much of the log as it could beside the writer."""

    def open(self) -> None:
        """Raises sqlite3.Error."""
        self._db = open_writer(self.path)
        self._db.seal = self._seal
        self._db.run_totals = self._run_totals
        self._db.sum_cache = self._sum_cache

    def close(self) -> None:
        """Closes the connection."""
        if self._db is not None:
            with contextlib.closing(self._db), contextlib.suppress(sqlite3.Error):
                self._db.execute("PRAGMA optimize")

    def commit(self, turns: WriterLanes, job: Job) -> None:
        """Commits this job with others whose turn it is, and answers each that is done."""
        if self._db is None:
            try:
                self.open()
            except sqlite3.Error as error:
                self._fail([job], not_written(error))
                time.sleep(REOPEN_S)
                return
        group = Group()
        lost = self._try(turns, job, group)
        turns.rest()
        if lost is None:
            self._finish_log()
            return
        alone = group.undo()
        if self._db is None or (len(alone) == 1 and alone[0].is_guarded):
            self._fail(alone, lost)
            return
        for one in alone:
            again = Group()
            if not one.is_over and (lost := self._try(Alone(turns), one, again)) is not None:
                again.undo()
                self._fail([one], lost)

    def _finish_log(self) -> None:
        """Copies what is left of the write-ahead log, where a checkpoint beside the writer has copied most of it. Only between two commits
        can all of it be copied, so that the next commit starts the file again; otherwise it grows until one commit must copy it all."""
        if self.is_log_short or self._db is None:
            return
        self.is_log_short = True
        with contextlib.suppress(sqlite3.Error):  # the duty that asked for it finds it too long again in its next round
            self._db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()

    def _try(self, turns: WriterLanes | Alone, job: Job, group: Group) -> StoreError | None:
        """What kept the group from being committed; None when its jobs were answered."""
        if self._db is None:
            group.touch(job)
            return not_written(sqlite3.OperationalError("the connection was lost"))
        try:
            lost = _commit_group(self._db, turns, job, group)
            self.commit_s = group.commit_s  # before anybody is answered, who may look at it
            if lost is None:
                self._run_totals.commit()
                self._sum_cache.commit()
                group.answer()
            else:
                self._run_totals.drop()
                self._sum_cache.drop()
            return lost
        except BaseException as error:  # not even a rollback was possible: the connection is of no use
            self._run_totals.drop()
            self._sum_cache.drop()
            group.touch(job)
            with contextlib.suppress(sqlite3.Error):
                self._db.close()
            self._db = None
            return not_written(error)

    def _fail(self, jobs: list[Job], error: StoreError) -> None:
        if (left_out := self._sparse.take(error.message)) is not None:
            logs.write_failed(len(jobs), left_out, error.message)
        for job in jobs:
            job.fail(error)


class Group:
    """The jobs of one transaction, with what they were before it."""

    def __init__(self) -> None:
        self.done: list[Job] = []
        self.failed: list[tuple[Job, BaseException]] = []
        self.waiting: set[Job] = set()
        """Those that have steps left and are back in their lane."""
        self.commit_s = 0.0
        self._before: dict[Job, tuple[int, int]] = {}

    def touch(self, job: Job) -> None:
        """Records that a step of the job is about to run."""
        self._before.setdefault(job, (job.next, len(job.results)))
        self.waiting.discard(job)

    def answer(self) -> None:
        """Delivers results after the commit, to every job that is done or failed alone."""
        for job in self.done:
            job.is_over = True
            job.future.set_result(job.results)
        for job, cause in self.failed:
            job.fail(cause)

    def undo(self) -> list[Job]:
        """Resets every job after a rollback. Returns those that are not back in their lane."""
        for job, (step, results) in self._before.items():
            job.next = step
            del job.results[results:]
        return [job for job in self._before if job not in self.waiting]


class Alone:
    """The turns of one job that is committed alone."""

    has_durable = False

    def __init__(self, turns: WriterLanes) -> None:
        self.put_back, self.charge, self.is_heavy = turns.put_back, turns.charge, turns.is_heavy

    def take(self, *, waits: bool) -> Job | None:
        """Returns None: nothing else joins the commit."""
        return None


def open_writer(path: Path) -> Connection:
    """Opens a connection with the settings that every writer requires. Raises sqlite3.Error."""
    db = sqlite3.connect(path, factory=Connection, isolation_level=None, cached_statements=STATEMENTS)
    try:
        db.execute(f"PRAGMA busy_timeout = {BUSY_MS}")
        db.execute("PRAGMA foreign_keys = 1")
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA cache_size = -32768")
        db.execute(f"PRAGMA wal_autocheckpoint = {LOG_PAGES}")
        db.execute("PRAGMA temp_store = MEMORY")
    except sqlite3.Error:
        db.close()
        raise
    return db


def _commit_group(db: Connection, turns: WriterLanes | Alone, job: Job | None, group: Group) -> StoreError | None:
    """Runs steps of the jobs whose turn it is and commits them together. Where that fails as a whole, everything is undone and the error is
    returned."""
    try:
        # Not allowed inside a transaction, hence one answer for the whole group.
        is_durable = job is not None and (job.durable or turns.has_durable)
        db.execute(f"PRAGMA synchronous = {'FULL' if is_durable else 'NORMAL'}")
        if job is not None:
            group.touch(job)
        db.execute("BEGIN IMMEDIATE")
        db.is_grouped = True
        began, count = time.monotonic(), 0
        while job is not None:
            if job.durable and not is_durable:
                turns.put_back(job)
                break
            if not job.is_over:
                _run_step(db, turns, job, group)
                count += 1
            if count >= GROUP_LIMIT or time.monotonic() - began > GROUP_S:
                break
            job = turns.take(waits=False)
            if job is not None and turns.is_heavy(job.lane) and any(not turns.is_heavy(other.lane) for other in group.done):
                turns.put_back(job)  # what is done of a light lane is committed first
                break
        db.write_sums()
        began = time.monotonic()
        db.execute("COMMIT")
        group.commit_s = time.monotonic() - began
    except BaseException as error:
        db.forget()
        db.drop_sums(of_group=True)
        lost = not_written(error)
        if db.in_transaction:
            db.execute("ROLLBACK")
        return lost
    finally:
        db.is_grouped = False
    return None


def _run_step(db: Connection, turns: WriterLanes | Alone, job: Job, group: Group) -> None:
    """The next step of a job, in its own savepoint if it is guarded or tried alone. Raises when the whole transaction is lost."""
    group.touch(job)
    began = time.monotonic()
    if job.lane == SERVER:
        db.write_sums()  # pages and duties read counters
    is_guarded = job.is_guarded or isinstance(turns, Alone)
    if is_guarded:
        db.execute("SAVEPOINT job")
    try:
        job.results.append(job.steps[job.next](db))
    except BaseException as error:  # raised to the caller of the job
        db.forget()
        db.drop_sums()
        if not is_guarded or not db.in_transaction:
            raise  # SQLite itself gave up the transaction (disk full, I/O error), or the group is to be repeated job by job
        db.execute("ROLLBACK TO job")
        # Full disks and the like are reported as StoreError; what the job itself raised is left to its caller.
        is_ours = isinstance(error, sqlite3.Error) and not isinstance(error, sqlite3.IntegrityError | sqlite3.ProgrammingError)
        group.failed.append((job, not_written(error) if is_ours else error))
    else:
        db.keep_sums()
        job.next += 1
        if job.next < len(job.steps):
            turns.put_back(job)
            group.waiting.add(job)
        else:
            group.done.append(job)
    if is_guarded:
        db.execute("RELEASE job")
    turns.charge(job.lane, time.monotonic() - began)
