# SPDX-License-Identifier: AGPL-3.0-or-later
"""What rollups, error groups and the index of words take from ingest in the shape of life, one of 25 tasks failing.

In process, without a connection: both arms use the real store and `ingest_batch`, take turns of seconds, and write into databases of their
own. The arm without them skips what `task_changes` adds for the three. In the other one the index runs beside ingest; only its last seconds
count, when the lag no longer grows because the index has begun to follow: what counts is the lesser of the tasks stored and of the tasks
indexed in that time.

    python -m bench.ingest_full [tasks in the database before]
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final
from unittest import mock

from bench.ingest_raw import IN_FLIGHT
from bench.large_database import database, folder
from bench.measure import percentile
from bench.traffic import EVENTS_PER_TASK, PRODUCER, TASKS_PER_BATCH, WORKER, in_life, origin
from z4j import clock
from z4j.agents.ingest import ingest_batch
from z4j.app import tune_interpreter
from z4j.background import word_index as duty_module
from z4j.background.word_index import WordIndexDuty
from z4j.store.errors import error_changes
from z4j.store.sqlite.db import Connection, Store
from z4j.store.tasks import task_changes

BEFORE: Final = 1_000_000
ROUNDS: Final = 5
SECONDS: Final = 6.0
"""Of a turn that count."""
WARM_S: Final = 3.0
"""Before: the index begins when tasks are a second old."""
TASKS: Final = 15_000 * int(SECONDS + WARM_S)
FAILS: Final = 25
"""One of so many tasks fails."""


class _Nothing:
    """In the place of rollups and of the changes of words."""

    def add(self, *_: object) -> None: ...
    def merge(self, later: object) -> None: ...
    def write(self, db: Connection) -> None: ...


def _matters_not(*_: object) -> bool:
    return False


def _note_nothing(*_: object) -> None: ...


@contextlib.contextmanager
def _without() -> Iterator[None]:
    with (
        mock.patch.object(task_changes, "RollupChanges", _Nothing),
        mock.patch.object(task_changes, "WordChanges", _Nothing),
        mock.patch.object(error_changes, "may_matter", _matters_not),  # a Mock would cost more than what it replaces
        mock.patch.object(error_changes, "note", _note_nothing),
        mock.patch.object(error_changes, "note_counted", _note_nothing),
    ):
        yield


class _Arm:
    """One database with an app, to which every turn adds other tasks."""

    def __init__(self, path: Path, *, is_full: bool) -> None:
        self.store = Store(path)
        self.is_full = is_full
        self.duty = WordIndexDuty(self.store)
        self._turns = 0

    async def turn(self) -> float:
        """Events per second."""
        self._turns += 1
        at = clock.now() // 60_000_000 * 60_000_000
        boots = f"{PRODUCER}{self._turns}", f"{WORKER}{self._turns}"
        await ingest_batch(self.store, 1, origin(boots[0], PRODUCER, at) + origin(boots[1], WORKER, at), at=clock.now())
        prepared = [batch for _, batch in in_life(TASKS, at, *boots, fails=FAILS)]
        with contextlib.nullcontext() if self.is_full else _without():
            return await self._ingest(prepared)

    async def _ingest(self, prepared: list[bytes]) -> float:
        indexing = asyncio.create_task(self._index()) if self.is_full else None
        began, done, since, indexed = time.perf_counter(), 0, (0.0, 0), 0
        for number in range(0, len(prepared), IN_FLIGHT):
            some = prepared[number : number + IN_FLIGHT]
            await asyncio.gather(*(ingest_batch(self.store, 1, batch, at=clock.now()) for batch in some))
            done += len(some)
            took = time.perf_counter() - began
            if not since[1] and took >= WARM_S:
                since, indexed = (took, done), self.duty.indexed
            if took >= WARM_S + SECONDS:
                break
        seconds, stored = took - since[0], (done - since[1]) / 3 * TASKS_PER_BATCH  # each task is in three batches
        kept = min(stored, self.duty.indexed - indexed) if indexing is not None else stored
        if indexing is not None:
            indexing.cancel()
            await asyncio.gather(indexing, return_exceptions=True)
            while await self.duty.round(clock.now()):  # the next turn begins without a backlog
                pass
        return kept * EVENTS_PER_TASK / seconds

    async def _index(self) -> None:
        while True:
            await asyncio.sleep(0.5)
            await self.duty.round(clock.now())


@contextlib.contextmanager
def slices_timed(held: list[float]) -> Iterator[None]:
    """Adds for each slice of the index of words, whether it adds or merges, how many seconds it held the writer."""

    def timed(run: Callable[..., int]) -> Callable[..., int]:
        def slice_timed(*args: Any, **options: Any) -> int:
            began = time.perf_counter()
            done = run(*args, **options)
            held.append(time.perf_counter() - began)
            return done

        return slice_timed

    with (
        mock.patch.object(duty_module, "_add", timed(duty_module._add)),
        mock.patch.object(duty_module, "_merge", timed(duty_module._merge)),
    ):
        yield


async def _measure(before: int) -> dict[str, float]:
    tune_interpreter()
    arms, rates = [], []
    held: list[float] = []
    with slices_timed(held):
        for is_full in (False, True):
            arm = _Arm(_copy(before, "full" if is_full else "bare") / "z4j.db", is_full=is_full)
            await arm.store.start()
            await arm.store.write(_forget_backlog)
            arms.append(arm)
        for number in range(ROUNDS):
            turns = {arm.is_full: await arm.turn() for arm in (arms if number % 2 else reversed(arms))}
            rates.append((turns[False], turns[True]))
            print(
                f"    {turns[False]:,.0f} events/s without, {turns[True]:,.0f} with them, lag {arms[1].duty.report.lag_us / 1e6:.1f} s",
                flush=True,
            )
        for arm in arms:
            await arm.store.close()
    return {
        "ingest_full_events_per_s": statistics.median(full for _, full in rates),
        "ingest_full_ratio": statistics.median(full / bare for bare, full in rates),
        "index_hold_p99_ms": percentile(held, 0.99) * 1e3,
    }


def _forget_backlog(db: Connection) -> None:
    """The tasks that were there before are not indexed."""
    db.execute("UPDATE search_position SET task = (SELECT max(id) FROM task) WHERE key = 'to'")
    db.execute("UPDATE search_position SET task = 1 WHERE key = 'from'")


def _copy(before: int, name: str) -> Path:
    data = folder() / f"ingest-{name}"
    shutil.rmtree(data, ignore_errors=True)
    shutil.copytree(database(before), data)
    return data


def measure(before: int = BEFORE) -> dict[str, float]:
    return asyncio.run(_measure(before))


if __name__ == "__main__":
    for name, figure in measure(int(sys.argv[1]) if len(sys.argv) > 1 else BEFORE).items():
        print(f"{name} = {figure:,.2f}")
