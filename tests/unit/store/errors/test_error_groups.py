# SPDX-License-Identifier: AGPL-3.0-or-later
"""Groups in the database: listed and filtered, merged and split, regressed, ignored, deleted."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.support.contents import errors_as_counted, errors_as_kept
from tests.support.database import SECOND, T, database, origin, task, tell
from z4j.exceptions import BadInput
from z4j.store.errors import error_actions, error_groups
from z4j.store.errors.error_changes import HOUR_US
from z4j.store.errors.error_groups import ErrorFilter, ErrorGroup
from z4j.store.sqlite.db import Store

pytestmark = pytest.mark.anyio

FRAMES = 'Traceback (most recent call last):\n  File "/srv/shop/tasks.py", line 3, in {}\n    go()\n{}: {}\n'


def failed(id: str, at: int = T, error: str = "KeyError", message: str = "'sku'", kind: str = "failed", **more: Any) -> list[Any]:
    told = ["", error, message, FRAMES.format("charge", error, message)]
    times = [at, at, 9] if kind == "failed" else [at, 9, None]
    return task(kind, id, at, *times, *told, **more)


async def groups(store: Store, **filters: Any) -> list[ErrorGroup]:
    return (await error_groups.list_groups(store, ErrorFilter(**filters), None, 100))[0]


async def test_a_group_has_its_counts_hours_and_places(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        await tell(store, origin(), failed("a"), failed("b", T + HOUR_US), failed("c", T + 1, kind="retried"))
        await tell(store, task("succeeded", "c", T + 9, T, T, 9, "1", attempt=1), failed("d", T + 2, kind="retried", queue="slow"))
        [group] = await groups(store)
        assert (group.title, group.function, group.app) == ("KeyError: 'sku'", "shop.tasks.charge", "shop")
        assert (group.failed, group.retried, group.cured, group.stored) == (2, 1, 1, 4)
        assert (group.first_at, group.last_at, group.state) == (T, T + HOUR_US, "unresolved")
        hours = (await error_groups.list_hours(store, [group.id], T + HOUR_US, 3))[group.id]
        assert [hour[1:] for hour in hours] == [(0, 0, 0), (1, 1, 1), (1, 0, 0)]
        places = (await error_groups.list_places(store, [group.id]))[group.id]
        assert [(place.queue, place.failed, place.retried, place.cured) for place in places] == [("work", 2, 0, 1), ("slow", 0, 1, 0)]
        assert await error_groups.share_of_runs(store, [(1, places)]) == {(1, "shop.ship"): 4}
        newest = await error_groups.list_newest(store, group.id, 2)
        assert [at for _, at in newest] == [T + HOUR_US, T + 2]


async def test_the_list_is_filtered_and_paged(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        await tell(store, origin(), *(failed(f"t{n}", T + n * SECOND, f"Error{'x' * n}") for n in range(5)))
        await tell(store, failed("other", T, "OtherError", name="mail.send", queue="mail", engine="rq"))
        assert len(await groups(store)) == 6
        for filters in ({"name": "mail.send"}, {"queue": "mail"}, {"engine": "rq"}):
            assert [group.error_type for group in await groups(store, **filters)] == ["OtherError"]
        assert len(await groups(store, environment="production")) == 6
        for nothing in ({"app": "no"}, {"name": "no"}, {"environment": "staging"}, {"states": ("resolved",)}, {"assigned": "ann"}):
            assert await groups(store, **nothing) == []
        first, after = await error_groups.list_groups(store, ErrorFilter(app="shop"), None, 4)
        rest, end = await error_groups.list_groups(store, ErrorFilter(app="shop"), after, 4)
        assert len({group.id for group in first + rest}) == 6
        assert end is None
        with pytest.raises(BadInput):
            await groups(store, states=("odd",))


async def test_a_merge_adds_up_and_is_undone_by_a_split(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        await tell(store, origin(), failed("a"), failed("b", T + 5, "OSError"), failed("c", T + 9, "LockError"))
        before = {group.id: group for group in await groups(store)}
        one, two, three = sorted(before)
        assert await store.write(lambda db: error_actions.merge(db, one, two))
        assert await store.write(lambda db: error_actions.merge(db, two, three))
        await tell(store, failed("d", T + 20))  # of the group that was merged twice
        [whole] = await groups(store)
        assert (whole.id, whole.failed, whole.first_at, whole.last_at) == (three, 4, T, T + 20)
        assert [merged.id for merged in await error_groups.list_merged(store, three)] == [two]
        assert await store.write(lambda db: error_actions.split(db, two, three))
        assert await store.write(lambda db: error_actions.split(db, one, two))
        after = {group.id: group for group in await groups(store)}
        assert {id: group.failed for id, group in after.items()} == {one: 2, two: 1, three: 1}
        assert (after[two].last_at, after[three].first_at) == (T + 5, T + 9)
        assert await store.write(lambda db: errors_as_kept(db) == errors_as_counted(db))
        assert not await store.write(lambda db: error_actions.merge(db, one, one))
        assert not await store.write(lambda db: error_actions.split(db, one, two))


async def test_what_comes_back_is_regressed(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        await tell(store, origin(), origin("next", release="2.0"), failed("a"))
        [group] = await groups(store)

        async def resolve(*releases: str) -> None:
            known = list(releases) or None
            await store.write(
                lambda db: error_actions.set_state(db, group.id, "resolved", actor="ann", at=T + 10, releases=known)
            )  # fmt: skip

        async def state() -> str:
            return (await error_groups.get_group(store, group.id) or group).state

        await resolve()
        await tell(store, failed("late", T + 9), failed("cured", T + 30, kind="retried"))
        assert await state() == "resolved"
        await tell(store, failed("b", T + 20))
        assert await state() == "regressed"
        assert [action.action for action in await error_groups.list_actions(store, group.id)] == ["regressed"]
        await resolve("1.0")
        await tell(store, failed("c", T + 21))
        assert await state() == "resolved"
        await tell(store, failed("d", T + 22, run="next.7"))
        assert await state() == "regressed"
        assert await error_groups.list_releases(store, 1) == ["1.0", "2.0"]


async def test_ignoring_ends_at_its_limit(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        await tell(store, origin(), failed("a"), failed("b", T + 1))
        [group] = await groups(store)
        for limits, at, ended in (
            ({"until": T + 100}, T + 99, []), ({"until": T + 100}, T + 100, [group.id]), ({"rate": 3}, T, []), ({"rate": 2}, T, [group.id]),
            ({"rate": 2}, T + HOUR_US, []), ({"total": 3}, T, []), ({"total": 2}, T, [group.id]), ({}, T, []),
        ):  # fmt: skip
            chosen: dict[str, Any] = dict(limits)
            await store.write(partial(error_actions.set_state, id=group.id, state="ignored", actor="ann", at=T, **chosen))
            assert await error_actions.list_ended(store, at) == ended
        await store.write(lambda db: error_actions.end_ignoring(db, [group.id, group.id], T))
        assert [found.state for found in await groups(store)] == ["unresolved"]
        assert len(await error_groups.list_actions(store, group.id)) == 1
