# SPDX-License-Identifier: AGPL-3.0-or-later
"""The history of a task name and of a queue, from the sums of a real database."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.database import SECOND, T, database, life, origin, tell
from z4j.rules.history import ranges as rules
from z4j.rules.rollups import DAY_US, MINUTE_US
from z4j.store.rollups import name_totals, series_history
from z4j.store.rollups.series_history import Place
from z4j.store.sqlite.db import Store

pytestmark = pytest.mark.anyio
NOW = T + 60 * SECOND


async def filled(store: Store) -> None:
    old = [record for number in range(2) for record in life(f"old{number}", T - 20 * DAY_US)]
    await tell(store, origin(), origin("next", release="2.0"), *old)
    await tell(store, *[record for number in range(3) for record in life(f"a{number}", T + number * SECOND)])
    await tell(store, *life("b", T, "failed", run="next.7"), *life("c", T, queue="slow"), *life("d", T, name="shop.mail"))


async def of(store: Store, kind: str, text: str, **scope: str) -> Place:
    place = await series_history.find_place(
        store, "name" if kind == "name" else "queue", text, scope.get("app", ""), scope.get("environment", ""), scope.get("engine", "")
    )
    assert place is not None
    return place


@pytest.mark.parametrize("key", rules.SPANS)
async def test_the_tasks_of_a_name_are_counted_whatever_the_range(tmp_path: Path, key: str) -> None:
    async with database(tmp_path) as store:
        await filled(store)
        history = await series_history.read_history(store, await of(store, "name", "shop.ship"), key, NOW)
        older = 2 if key == "90d" else 0
        assert history.whole[:2] == (5 + older, 5 + older)
        assert (history.whole.succeeded, history.whole.failed) == (4 + older, 1)
        assert sum(history.ran.values()) == sum(history.waited.values()) == 5 + older
        assert set(history.sums) <= set(history.window.slots)
        assert history.counted_from is not None
        assert (history.left_out, history.share) == (0, 1.0)
        releases = {series.release_id for series in history.by_series} - {0}
        assert len(releases) == 2


async def test_a_queue_has_the_tasks_of_all_names_and_filters_hold(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        await filled(store)
        work = await series_history.read_history(store, await of(store, "queue", "work", app="shop", engine="celery"), "90m", NOW)
        assert work.whole.ended == 5
        for scope in ({"app": "other"}, {"environment": "staging"}, {"engine": "rq"}):
            values = {"app": "", "environment": "", "engine": ""} | scope
            assert await series_history.find_place(store, "name", "shop.ship", **values) is None
        assert await series_history.find_place(store, "name", "shop.never", "", "", "") is None


async def test_with_too_many_series_those_with_the_most_tasks_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with database(tmp_path) as store:
        await filled(store)
        monkeypatch.setattr(series_history, "MOST_READ", 90)
        history = await series_history.read_history(store, await of(store, "name", "shop.ship"), "90m", NOW)
        assert len(history.by_series) == 1
        assert history.left_out == 4
        assert history.share == pytest.approx(6 / 15)  # three started and ended, of all that was counted


async def test_series_that_were_not_looked_at_are_left_out_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with database(tmp_path) as store:
        await filled(store)
        monkeypatch.setattr(series_history, "CANDIDATES", 2 * (1 + series_history.UNROLLED))
        history = await series_history.read_history(store, await of(store, "name", "shop.ship"), "90m", NOW)
        assert (len(history.by_series), history.left_out) == (2, 3)


async def test_runtimes_by_time_are_those_of_the_last_days(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        await filled(store)
        found, runtimes = await series_history.read_runtimes(store, await of(store, "name", "shop.ship"), NOW)
        assert found.until - found.since == 7 * DAY_US
        assert sum(sum(each.values()) for each in runtimes.values()) == 5
        history = await series_history.read_history(store, await of(store, "name", "shop.ship"), "7d", NOW)
        assert await series_history.read_runtimes(store, await of(store, "name", "shop.ship"), NOW, history) == (found, runtimes)


async def test_names_are_listed_with_what_they_did(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        await filled(store)
        everywhere = await of(store, "name", "")
        names, is_more = await name_totals.list_names(store, everywhere, "", NOW - 90 * MINUTE_US, NOW, 0)
        assert [(each.name, each.stored, each.sums.ended, sum(each.ran.values())) for each in names] == [
            ("shop.ship", 7, 5, 5), ("shop.mail", 1, 1, 1),
        ]  # fmt: skip
        assert not is_more
        assert not any(each.is_partial for each in names)
        assert [each.name for each in (await name_totals.list_names(store, everywhere, "MAI", NOW - DAY_US, NOW, 0))[0]] == ["shop.mail"]
        assert await name_totals.list_names(store, everywhere, "", NOW - DAY_US, NOW, 1) == ([], False)


async def test_a_list_that_cannot_read_every_series_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the mark, a name whose series were not read would look like one that did nothing."""
    async with database(tmp_path) as store:
        await filled(store)
        everywhere = await of(store, "name", "")
        monkeypatch.setattr(name_totals, "MOST_READ", 90)
        monkeypatch.setattr(name_totals, "PAGE", 2)
        names, _ = await name_totals.list_names(store, everywhere, "", NOW - 90 * MINUTE_US, NOW, 0)
        assert [each.is_partial for each in names] == [True, True]
        assert sum(each.sums.ended for each in names) < 6
