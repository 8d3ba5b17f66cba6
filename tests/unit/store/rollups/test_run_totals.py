# SPDX-License-Identifier: AGPL-3.0-or-later
"""Totals rise with what was committed, and with nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.database import SECOND, T, database, life, task, tell
from z4j.exceptions import StoreError
from z4j.rules.rollups import COLUMNS
from z4j.store.rollups import run_totals
from z4j.store.rollups.run_totals import OTHERS, RunTotals
from z4j.store.sqlite.db import Connection, Store

pytestmark = pytest.mark.anyio


def total(store: Store, column: str) -> int:
    return sum(each.sums[COLUMNS.index(column)] for each in store.run_totals.snapshot().values())


async def test_only_commits_count(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        await tell(store, *life("a", T), *life("b", T + SECOND, "failed"))
        assert (total(store, "enqueued"), total(store, "succeeded"), total(store, "failed")) == (2, 1, 1)
        before = {place: (each.sums, each.buckets) for place, each in store.run_totals.snapshot().items()}

        def fail(db: Connection) -> None:
            db.execute("DROP TABLE rollup")
            raise StoreError("no")

        with pytest.raises(StoreError):
            await store.write(fail)
        await tell(store, *life("a", T))
        assert {place: (each.sums, each.buckets) for place, each in store.run_totals.snapshot().items()} == before


async def test_what_the_disk_refused_does_not_count(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        await store.write(
            lambda db: db.execute("CREATE TRIGGER full BEFORE INSERT ON rollup BEGIN SELECT raise(ABORT, 'full'); END") and None
        )
        with pytest.raises(StoreError):
            await tell(store, *life("a", T))
        assert store.run_totals.snapshot() == {}
        await store.write(lambda db: db.execute("DROP TRIGGER full") and None)
        await tell(store, *life("a", T))
        assert total(store, "succeeded") == 1


async def test_a_correction_never_falls(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        await tell(store, task("started", "a", T), task("failed", "a", T + SECOND, T, 5))
        failed = total(store, "failed")
        await tell(store, task("started", "a", T + 2 * SECOND, attempt=1), task("succeeded", "a", T + 3 * SECOND, T, 5, attempt=1))
        assert (failed, total(store, "failed"), total(store, "succeeded")) == (1, 1, 1)


def test_places_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_totals, "LIMIT", 3)
    totals = RunTotals()
    for name in range(10):
        totals.stage((1, 2, 3, name, name), [1] * len(COLUMNS), {5: 1})
    totals.commit()
    found = totals.snapshot()
    assert len(found) == 4
    assert found[1, 2, 3, OTHERS, OTHERS].sums[0] == 7
    assert found[1, 2, 3, OTHERS, OTHERS].buckets == {5: 7}


def test_names_that_were_deleted_are_forgotten() -> None:
    totals = RunTotals()
    totals.stage((1, 2, 3, 4, 5), [1] * len(COLUMNS), {})
    totals.stage((1, 2, 3, 6, 7), [1] * len(COLUMNS), {})
    totals.commit()
    totals.forget_names([7])
    assert list(totals.snapshot()) == [(1, 2, 3, 4, 5)]
