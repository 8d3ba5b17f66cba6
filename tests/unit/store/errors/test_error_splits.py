# SPDX-License-Identifier: AGPL-3.0-or-later
"""Parts of an error in the database: split off, followed by new failures, merged back, split again."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.support.contents import errors_as_counted, errors_as_kept
from tests.support.database import SECOND, T, database, origin, task, tell
from z4j.background.error_groups import ErrorGroups
from z4j.exceptions import WrongState
from z4j.rules.errors.splits import CODE, MESSAGE, Split
from z4j.store.errors import error_actions, error_changes, error_groups, error_splits
from z4j.store.errors.error_groups import ErrorFilter, ErrorGroup
from z4j.store.sqlite.db import Store
from z4j.store.tasks import bulk_deletion

pytestmark = pytest.mark.anyio

FRAMES = 'Traceback (most recent call last):\n  File "/srv/shop/tasks.py", line 3, in charge\n    {}\nKeyError: {}\n'
EU, US = "no stock in 'eu'", "no stock in 'us'"


def failed(id: str, message: str = EU, at: int = T, code: str = "pay()", kind: str = "failed") -> list[Any]:
    times = [at, at, 9] if kind == "failed" else [at, 9, None]
    return task(kind, id, at, *times, "", "StockError", message, FRAMES.format(code, message))


async def groups(store: Store) -> dict[int, ErrorGroup]:
    return {group.id: group for group in (await error_groups.list_groups(store, ErrorFilter(), None, 100))[0]}


async def split(store: Store, id: int, kind: int = MESSAGE, pattern: str = "*'us'") -> int:
    return await store.write(lambda db: error_splits.split_off(db, id, Split(kind, pattern)))


async def is_counted(store: Store) -> bool:
    """Whether the counts are those of the rows, and each task is counted by the fingerprint that it belongs to now."""

    def check(db: Any) -> bool:
        error_changes.note(db, [row[0] for row in db.execute("SELECT id FROM task")])
        return not error_changes.write(db) and errors_as_kept(db) == errors_as_counted(db)

    return await store.write(check)


async def test_a_part_is_split_off_by_message_and_new_failures_follow(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        await tell(store, origin(), failed("a"), failed("b", US, T + 5), failed("c", US, T + 9, kind="retried"), failed("d", EU, T + 3))
        [whole] = (await groups(store)).values()
        part = await split(store, whole.id)
        found = await groups(store)
        assert {id: (group.failed, group.retried, group.stored) for id, group in found.items()} == {whole.id: (2, 0, 2), part: (1, 1, 2)}
        assert (found[part].title, found[part].message) == ("StockError: *'us'", "*'us'")
        assert (found[part].first_at, found[part].last_at, found[part].state) == (T + 5, T + 9, "unresolved")
        assert (found[whole.id].first_at, found[whole.id].last_at) == (T, T + 3)
        await tell(store, failed("e", US, T + 20), failed("f", EU, T + 21))
        found = await groups(store)
        assert (found[part].failed, found[whole.id].failed) == (2, 3)
        hours = await error_groups.list_hours(store, [part], T, 1)
        assert hours[part][0][1:] == (2, 1, 0)
        assert await is_counted(store)
        [listed] = await error_splits.list_parts(store, whole.id)
        assert listed == (part, "StockError: *'us'", Split(MESSAGE, "*'us'"), False)
        source = await error_splits.find_source(store, part)
        assert source is not None
        assert (source.id, source.split.text) == (whole.id, "message “*'us'”")
        assert await error_splits.find_source(store, whole.id) is None


async def test_a_part_is_split_off_by_its_line_of_code(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        await tell(store, origin(), failed("a"), failed("b", code="refund()"))
        [whole] = await groups(store)
        part = await split(store, whole, CODE, "shop.tasks.charge: refund()")
        found = await groups(store)
        assert {id: group.failed for id, group in found.items()} == {whole: 1, part: 1}
        assert (found[part].title, found[part].function) == (found[whole].title, "shop.tasks.charge: refund()")
        assert await is_counted(store)


async def test_a_merge_undoes_a_split_and_another_split_makes_it_again(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        await tell(store, origin(), failed("a"), failed("b", US, T + 5))
        [whole] = await groups(store)
        part = await split(store, whole)
        assert await store.write(lambda db: error_actions.merge(db, part, whole))
        await tell(store, failed("c", US, T + 7))
        [(id, group)] = (await groups(store)).items()
        assert (id, group.failed, group.first_at, group.last_at) == (whole, 3, T, T + 7)
        assert await error_splits.find_source(store, part) is None
        assert await error_splits.list_parts(store, whole) == []
        with pytest.raises(WrongState, match="split off before"):
            await split(store, whole)
        assert await store.write(lambda db: error_actions.split(db, part, whole))
        assert {id: group.failed for id, group in (await groups(store)).items()} == {whole: 1, part: 2}
        assert await is_counted(store)


async def test_a_part_can_be_split_again_and_so_can_what_was_merged(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        await tell(store, origin(), *(failed(f"{n}", f"no stock in 'us' for '{'abc'[n % 3]}'", T + n) for n in range(6)))
        await tell(store, failed("other", "no stock in 'eu' for 'a'", T + 9))
        [whole] = await groups(store)
        part = await split(store, whole, pattern="*'us' for*")
        deeper = await split(store, part, pattern="*'a'")
        assert {id: group.failed for id, group in (await groups(store)).items()} == {whole: 1, part: 4, deeper: 2}
        await tell(store, failed("new", "no stock in 'us' for 'a'", T + 20), failed("new2", "no stock in 'eu' for 'a'", T + 21))
        assert {id: group.failed for id, group in (await groups(store)).items()} == {whole: 2, part: 4, deeper: 3}
        assert await store.write(lambda db: error_actions.merge(db, part, whole))
        again = await split(store, whole, pattern="*'b'")  # of both fingerprints
        assert {id: group.failed for id, group in (await groups(store)).items()} == {whole: 4, deeper: 3, again: 2}
        assert await is_counted(store)


async def test_what_changes_nothing_or_everything_is_refused(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        await tell(store, origin(), failed("a"), failed("b", US))
        [whole] = await groups(store)
        with pytest.raises(WrongState, match="None of the newest"):
            await split(store, whole, pattern="*'asia'")
        with pytest.raises(WrongState, match="nothing would be left"):
            await split(store, whole, pattern="no stock*")
        assert list(await groups(store)) == [whole]
        assert await store.fetch_all("SELECT count(*) FROM error_split") == [(0,)]
        assert await store.fetch_all("SELECT count(*) FROM error_fingerprint") == [(1,)]
        assert await split(store, 99) == 0
        await tell(store, failed("c", US))
        assert (await groups(store))[whole].failed == 3


async def test_an_app_has_a_limited_number_of_splits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(error_splits, "MOST_SPLITS", 1)
    async with database(tmp_path) as store:
        await tell(store, origin(), failed("a"), failed("b", US), failed("c", "no stock in 'asia'"))
        [whole] = await groups(store)
        await split(store, whole)
        with pytest.raises(WrongState, match="at most 1 splits"):
            await split(store, whole, pattern="*'asia'")


async def test_many_stored_failures_are_moved_in_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(error_splits, "STEP", 2)
    async with database(tmp_path) as store:
        await tell(store, origin(), *(failed(f"t{n}", (EU, US)[n % 2], T + n * SECOND) for n in range(12)))
        await tell(store, *(failed(f"r{n}", (EU, US)[n % 2], T + n * SECOND, kind="retried") for n in range(5)))
        [whole] = await groups(store)
        part = await split(store, whole)
        assert {id: group.failed for id, group in (await groups(store)).items()} == {whole: 11, part: 1}
        [running] = await error_splits.list_parts(store, whole)
        assert running.is_running
        with pytest.raises(WrongState, match="None of the newest"):
            await split(store, whole, pattern="nothing*")
        await tell(store, failed("late", US, T + 3), failed("late2", EU, T + 3))
        changed: list[Any] = []
        assert await ErrorGroups(store, changed.append, 365).round(T)
        assert {id: (group.failed, group.retried) for id, group in (await groups(store)).items()} == {whole: (7, 3), part: (7, 2)}
        assert await error_splits.list_unfinished(store) == []
        assert (await groups(store))[whole].last_at == T + 10 * SECOND
        assert await is_counted(store)
        assert await store.write(partial(error_splits.continue_split, id=1))


async def test_of_deleted_tasks_the_first_sight_stays(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        await tell(store, origin(), failed("a"), failed("b", EU, T + 5), failed("c", US, T + 9))
        [whole] = await groups(store)
        [(oldest,)] = await store.fetch_all("SELECT min(id) FROM task")
        await store.write(lambda db: bulk_deletion.delete_tasks(db, [oldest]))
        part = await split(store, whole)
        found = await groups(store)
        assert (found[whole].failed, found[whole].stored, found[part].failed) == (2, 1, 1)
        assert (found[whole].first_at, found[whole].last_at) == (T, T + 5)


async def test_messages_of_failures_are_read_from_the_attempt_or_the_task(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        await tell(store, origin(), failed("a", US), task("lost", "b", T + 1, "child_killed", "signal 9"))
        newest = [pair for group in await groups(store) for pair in await error_groups.list_newest(store, group, 9)]
        messages = await error_splits.list_messages(store, newest)
        assert sorted(message for message, _ in messages) == [US, "signal 9"]
        assert sorted(bool(trace) for _, trace in messages) == [False, True]
