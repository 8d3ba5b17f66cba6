# SPDX-License-Identifier: AGPL-3.0-or-later
"""Limits are held by deleting what has grown, oldest first, and nothing else; where they cannot be held that is said."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from functools import partial
from pathlib import Path

import pytest

from tests.support.contents import connect, recount
from tests.support.database import SECOND, T, database, life, origin, task, tell
from tests.unit.background.workers import Heard, states
from z4j.background.duties import BackgroundDuties
from z4j.background.retention import BEHIND_US, DETAILS_US, LARGEST_SLICE_S, SMALLEST_SLICE_S, RetentionDuty
from z4j.clock import DAY_US
from z4j.rules.rollups import STEP_US
from z4j.rules.tasks.states import STATES
from z4j.store.fleet import agents, processes
from z4j.store.names import name_limits, names, unused_names
from z4j.store.rollups import downsampling, rollup_deletion
from z4j.store.rollups.rollup_writer import RollupChanges, place_of
from z4j.store.sqlite.db import Connection, Store
from z4j.store.tasks import bulk_deletion, disk_usage
from z4j.store.tasks.bulk_deletion import Retention
from z4j.store.tasks.originals import get_original
from z4j.store.tasks.task_columns import NO_COLUMNS
from z4j.store.tasks.tasks import TaskFilter, get_task, list_tasks
from z4j.wire.frames import Discovery, Hello, QueueItem

pytestmark = pytest.mark.anyio
LOUD = 2


def quiet(_: Iterable[str]) -> None:
    return None


async def add_app(store: Store, name: str = "loud") -> None:
    await store.write(lambda db: db.execute("INSERT INTO app (name, created_at) VALUES (?, 0)", (name,)).rowcount)


async def tasks_of(store: Store) -> dict[int, int]:
    return dict(await store.fetch_all("SELECT app_id, count(*) FROM task GROUP BY app_id"))


async def fill(store: Store, count: int, app_id: int = 1, prefix: str = "t", every: int = SECOND, start: int = T, **head: str) -> None:
    for first in range(0, count, 500):
        lives = (life(f"{prefix}{number}", start + number * every, **{key: of.format(number) for key, of in head.items()})
                 for number in range(first, min(first + 500, count)))  # fmt: skip
        await tell(store, *(record for of in lives for record in of), app_id=app_id, at=T + 900 * DAY_US)


async def used(store: Store) -> int:
    return (await bulk_deletion.read_size(store))[0]


async def share_of_content(store: Store, share: float) -> int:
    """A limit in bytes: the empty database, and this share of what was added to it."""
    return disk_usage.EMPTY_BYTES + int((await used(store) - disk_usage.EMPTY_BYTES) * share)


async def test_beyond_its_size_the_oldest_go_and_no_more_than_needed(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        await fill(store, 4_000)
        limit = await share_of_content(store, 0.7)
        duty = RetentionDuty(store, quiet, Retention(days=9_999, max_bytes=limit))
        await duty.round(T)
        assert await used(store) <= limit
        left = (await tasks_of(store))[1]
        assert 1_600 < left < 3_200, "about three tenths went, and what the empty tables and statistics take beside them"
        rows = await store.fetch_all("SELECT min(first_at), max(first_at) FROM task")
        assert rows[0][1] == T + 3_999 * SECOND
        assert rows[0][0] == T + (4_000 - left) * SECOND, "the oldest"
        assert duty.report.why_not_held == ""
        assert await duty.round(T) == 0
        db = connect(store.path)
        kept, counted = recount(db)
        assert kept == counted
        db.close()


async def test_it_goes_on_where_everything_was_replaced_since_it_was_weighed(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        await fill(store, 3_000)
        limit = await used(store)
        duty = RetentionDuty(store, quiet, Retention(days=9_999, max_bytes=limit))
        for number in range(1, 6):
            await fill(store, 1_500, prefix=f"more{number}-", start=T + number * DAY_US)
            await duty.round(T)
            assert await used(store) <= limit, f"round {number}"
            assert duty.report.why_not_held == ""


async def test_one_app_never_costs_another_its_tasks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Thousands of names of its own, flooded; the other app's tasks are older, and every one of them stays."""
    monkeypatch.setattr(name_limits, "LIMITS", dict.fromkeys(name_limits.LIMITS, 10_000))
    async with database(tmp_path) as store:
        await add_app(store)
        await fill(store, 1_000)
        small = await used(store)
        await fill(store, 6_000, LOUD, "x", start=T + DAY_US, name="invented.{}", queue="q{}")
        limit = small * 2
        assert await used(store) > limit * 2
        assert len(await store.fetch_all("SELECT 1 FROM name WHERE kind = 'name'")) == 6_001
        duty = RetentionDuty(store, quiet, Retention(days=9_999, max_bytes=limit))
        await duty.round(T + 2 * DAY_US)
        assert (await tasks_of(store))[1] == 1_000
        assert await used(store) <= limit
        left = (await tasks_of(store)).get(LOUD, 0)
        assert left < 3_000
        # What was called so is not called anything any more: the names are free.
        await duty.sweep_names(T + 2 * DAY_US)
        assert len(await store.fetch_all("SELECT 1 FROM name WHERE kind = 'name'")) < 3_000, "of 6,001"
        await still_reads(store)


async def test_of_two_large_apps_the_larger_is_cut_down_to_the_other_first(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        await add_app(store)
        await fill(store, 2_000)
        await fill(store, 4_000, LOUD, "x")
        duty = RetentionDuty(store, quiet, Retention(days=9_999, max_bytes=await used(store) // 2))
        await duty.round(T)
        left = await tasks_of(store)
        assert abs(left[1] - left[LOUD]) < 500, left
        assert left[1] < 2_000


async def test_statistics_of_an_app_go_before_the_tasks_of_another(tmp_path: Path) -> None:
    """Its tasks were deleted long ago; what is left of it are thousands of sums per minute."""
    async with database(tmp_path) as store:
        await add_app(store)
        await fill(store, 500)

        def add(db: Connection) -> int:
            changes = RollupChanges()
            for number in range(20_000):
                row = NO_COLUMNS._replace(state=STATES["succeeded"], state_at=T + number % 50 * 60_000_000, name_id=number % 500)
                row = row._replace(queue_id=number // 1_000)
                changes.add(None, None, place_of(LOUD, 1, row), row)
            changes.write(db)
            return 0

        await store.write(add)
        limit = await used(store) // 2
        duty = RetentionDuty(store, quiet, Retention(days=9_999, max_bytes=limit))
        await duty.round(T)
        assert await tasks_of(store) == {1: 500}
        assert await used(store) <= limit
        assert duty.report.why_not_held == ""


async def test_hours_and_errors_of_an_app_go_before_the_tasks_of_another(tmp_path: Path) -> None:
    """Its failed tasks were deleted; what is left of it are thousands of hours of errors, and one that somebody wrote about."""
    async with database(tmp_path) as store:
        await add_app(store)
        await fill(store, 500)
        hours, first = 24 * 40, T // 3_600_000_000 - 24 * 40

        def add(db: Connection) -> int:
            for id in range(1, 61):
                db.execute(
                    "INSERT INTO error_group (id, app_id, title, error_type, message, function, first_at, last_at, note) "
                    "VALUES (?, ?, 'E', 'E', '', '', 0, ?, ?)", (id, LOUD, T - 9 * DAY_US, "known" if id == 1 else ""),
                )  # fmt: skip
                fingerprint = (id, LOUD, id.to_bytes(2), id, id, 0, T - 9 * DAY_US)
                db.execute(
                    "INSERT INTO error_fingerprint (id, app_id, key, error_group, home, first_at, last_at) VALUES (?, ?, ?, ?, ?, ?, ?)",
                    fingerprint,
                )
                db.executemany("INSERT INTO error_hour VALUES (?, ?, 1, 0, 0)", [(id, first + hour) for hour in range(hours)])
            return 0

        await store.write(add)
        [errors] = [part for part in await disk_usage.measure(store, await used(store)) if part.kind == "errors"]
        assert (errors.app_id, errors.rows) == (LOUD, 60 * (hours + 2))
        assert errors.bytes > await used(store) // 2
        limit = await used(store) // 2
        duty = RetentionDuty(store, quiet, Retention(days=9_999, max_bytes=limit))
        await duty.round(T)
        assert await tasks_of(store) == {1: 500}
        assert await used(store) <= limit
        assert duty.report.why_not_held == ""
        [(left,)] = await store.fetch_all("SELECT min(hour) FROM error_hour")
        assert left > first, "the oldest hours"
        assert await store.fetch_all("SELECT 1 FROM error_group WHERE id = 1") == [(1,)]
        await still_reads(store)


async def test_failures_of_tasks_are_a_part_of_their_size(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        await add_app(store)
        await tell(store, *(record for n in range(40) for record in life(f"g{n}", T + n)))
        await tell(store, *(record for n in range(40) for record in life(f"b{n}", T + n, "failed")), app_id=LOUD)
        parts = {(part.app_id, part.kind): part.bytes for part in await disk_usage.measure(store, 9_999_999)}
        assert parts[LOUD, "tasks"] > parts[1, "tasks"]


async def test_tasks_are_left_alone_where_they_are_not_what_is_large(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        await fill(store, 200)
        await store.write(lambda db: db.execute("INSERT INTO setting (key, value) VALUES ('large', ?)", ("x" * 4_000_000,)).rowcount)
        duty = RetentionDuty(store, quiet, Retention(days=9_999, max_bytes=2_000_000))
        assert await duty.round(T) == 0
        assert await tasks_of(store) == {1: 200}
        assert "are small" in duty.report.why_not_held


async def test_what_waits_or_is_scheduled_goes_last_and_only_of_the_largest(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        await add_app(store)
        await fill(store, 300)
        for first in range(0, 3_000, 500):
            await tell(store, *(task("enqueued", f"s{first + n}", T + n, T + 99 * DAY_US) for n in range(500)), app_id=LOUD, at=T + DAY_US)
        await fill(store, 300, LOUD, "done")
        limit = await share_of_content(store, 0.55)
        duty = RetentionDuty(store, quiet, Retention(days=9_999, max_bytes=limit))
        await duty.round(T)
        assert (await tasks_of(store))[1] == 300
        states = Counter(row[0] for row in await store.fetch_all("SELECT state FROM task WHERE app_id = 2"))
        assert states[12] == 0, "what has ended goes first"
        assert 0 < states[1] < 3_000
        assert await used(store) <= limit


async def test_age_is_held_however_many_cannot_be_deleted(tmp_path: Path) -> None:
    """Thousands of scheduled tasks stand before them in the order they came."""
    async with database(tmp_path) as store:
        for first in range(0, 5_000, 500):
            await tell(store, *(task("enqueued", f"s{first + n}", T + n, T + 99 * DAY_US) for n in range(500)), at=T + DAY_US)
        await fill(store, 1_000, start=T + 3_600 * SECOND)
        duty = RetentionDuty(store, quiet, Retention(days=3))
        assert await duty.round(T + 5 * DAY_US) == 1_000
        assert await tasks_of(store) == {1: 5_000}


async def test_a_limit_that_cannot_be_held_is_said_after_a_while(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with database(tmp_path) as store:
        await fill(store, 3_000)
        duty = RetentionDuty(store, quiet, Retention(days=9_999, max_bytes=await used(store) * 6 // 10))
        monkeypatch.setattr("z4j.background.retention.ROUND_US", -1)
        await duty.round(T)
        assert duty.report.why_not_held == ""
        await duty.round(T + BEHIND_US)
        assert "faster than they can be deleted" in duty.report.why_not_held
        monkeypatch.undo()
        await duty.round(T + BEHIND_US + 1)
        assert duty.report.why_not_held == ""


async def test_slices_become_shorter_where_they_hold_the_writer_for_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with database(tmp_path) as store:
        duty = RetentionDuty(store, quiet, Retention())
        held = {"s": 0.05}
        monkeypatch.setattr(Store, "commit_s", property(lambda _: held["s"]))
        for _ in range(40):
            await duty._slice(lambda db, seconds: True)
        assert duty._slice_s == SMALLEST_SLICE_S
        held["s"] = 0.001
        for _ in range(40):
            await duty._slice(lambda db, seconds: True)
        assert duty._slice_s == LARGEST_SLICE_S


# -- names and processes -----------------------------------------------------------------------------------------------------
async def still_reads(store: Store) -> None:
    """Every task that is left can be shown and joined with news."""
    rows = (await list_tasks(store, TaskFilter(), limit=1_000)).rows
    assert all(row.name and row.engine and row.queue for row in rows)
    db = connect(store.path)
    kept, counted = recount(db)
    assert kept == counted
    db.close()


async def test_only_names_that_nothing_uses_are_deleted(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        await fill(store, 1_500, name="old.{}")
        await tell(store, origin(), *life("kept", T + 9 * DAY_US, name="shop.kept"), at=T + 10 * DAY_US)
        found = Discovery("celery", [], [QueueItem("asleep", 1)], None)
        await store.write(lambda db: agents.record_hello(db, 1, a_hello(), T + 9 * DAY_US, 0))
        await store.write(lambda db: agents.record_discovery(db, 1, "b00t", found, T + 9 * DAY_US))
        duty = RetentionDuty(store, quiet, Retention(days=3))
        await duty.round(T + 10 * DAY_US)
        assert await store.fetch_all("SELECT 1 FROM rollup WHERE step = 0") != [], "not a part of their hours yet"
        await downsampling.roll(store, T + 10 * DAY_US)
        await duty.round(T + 10 * DAY_US + DETAILS_US)
        assert await store.fetch_all("SELECT 1 FROM rollup WHERE step = 0 AND at < :before", {"before": T + 7 * DAY_US}) == []
        await duty.sweep_names(T + 10 * DAY_US)
        assert len(await store.fetch_all("SELECT text FROM name WHERE text LIKE 'old.%'")) == 1_500, "days are kept without end"
        for step in range(len(STEP_US)):
            await store.write(partial(rollup_deletion.delete_old, step=step, before=T + 5 * DAY_US, seconds=99))
        await duty.sweep_names(T + 10 * DAY_US)
        left = {row[0] for row in await store.fetch_all("SELECT text FROM name")}
        assert left == {"shop.kept", "work", "celery", "asleep", "w1", "production", "1.0"}
        await still_reads(store)


async def test_a_name_that_comes_back_while_unused_ones_are_searched_stays(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        await store.write(lambda db: [names.intern(db, "name", f"n{number}") for number in range(1_200)])
        found = await unused_names.list_unused_names(store)
        assert len(found) == 1_200
        await tell(store, *life("a", T, name="n7"))
        await store.write(lambda db: unused_names.delete_names(db, found, 9.0))
        assert {row[0] for row in await store.fetch_all("SELECT text FROM name WHERE kind = 'name'")} == {"n7"}
        assert [row.name for row in (await list_tasks(store, TaskFilter())).rows] == ["n7"]


async def test_after_a_rollback_nothing_is_deleted(tmp_path: Path) -> None:
    """The memory of what was handed out meanwhile is gone with it."""

    def broken(db: Connection) -> None:
        raise ValueError

    async with database(tmp_path) as store:
        await store.write(lambda db: [names.intern(db, "name", f"n{number}") for number in range(1_200)])
        found = await unused_names.list_unused_names(store)
        await tell(store, *life("a", T, name="n7"))
        with pytest.raises(ValueError):  # noqa: PT011 -- our own
            await store.write(broken)
        assert await store.write(lambda db: unused_names.delete_names(db, found, 9.0)) == len(found)
        assert len(await store.fetch_all("SELECT 1 FROM name WHERE kind = 'name'")) == 1_200


async def test_processes_that_nothing_refers_to_are_deleted(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        await store.write(lambda db: [processes.process_of(db, 1, f"invented{number}.1") for number in range(2_000)])
        await tell(store, origin(), *life("a", T), at=T + SECOND)
        duty = RetentionDuty(store, quiet, Retention(days=30))
        await duty.sweep_names(T + DETAILS_US)
        assert [row[0] for row in await store.fetch_all("SELECT boot FROM boot")] == ["b00t"]
        await tell(store, task("received", "a", T + 9 * SECOND, attempt=1))
        await still_reads(store)


async def test_the_larger_share_is_estimated_from_a_sample(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        await add_app(store)
        await fill(store, 1_000)
        for first in range(0, 300, 100):
            large = (task("payload", f"p{first + n}", T, 1, "[]", False, [None, "QUFB" * 2_000], "plain") for n in range(100))
            await tell(store, *large, app_id=LOUD)
        parts = await disk_usage.measure(store, await used(store))
        assert (parts[0].app_id, parts[0].kind) == (LOUD, "tasks"), "fewer, but heavier"
        total = sum(part.bytes for part in parts)
        assert 0.4 < total / await used(store) < 1.6


def a_hello() -> Hello:
    return Hello(
        protocol=1, agent_version="0.1.0", boot="b00t", spool="s1", host="h1", pid=7, role="worker", worker="w1", environment="production",
        engines={"celery": "5.7"}, capabilities=[], allow="operate", denied=[], shipper=True, at=T + 9 * DAY_US, release="1.0",
    )  # fmt: skip


async def test_events_of_an_id_that_came_again_are_kept_for_two_days(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        for number in range(3):
            await tell(store, *life("nightly", T + number * 3_600 * SECOND), at=T + 900 * DAY_US)
        duty = RetentionDuty(store, quiet, Retention(days=30, max_bytes=1 << 30))
        await duty.round(T + 1 * DAY_US)
        assert (await store.fetch_all("SELECT count(*) > 10 FROM life_event"))[0][0]
        await duty.round(T + 4 * DAY_US)
        assert (await store.fetch_all("SELECT count(*) FROM life_event"))[0][0] == 0
        assert (await tasks_of(store))[1] == 3


async def test_old_tasks_go_with_all_that_is_theirs(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        payload = task("payload", "old", T, 1, "[]", False, [None, "AA=="], "plain")
        await tell(
            store, origin(), *life("old", T, "failed"), payload, task("enqueued", "old", T, None, {"parent_id": "p"}),
            task("enqueued", "later", T, T + 900 * DAY_US), task("started", "stuck", T), *life("kept", T + 5 * DAY_US),
            task("started", "long", T), task("payload", "long", T + 5 * DAY_US, 1, "[]", False, None, "none"),
            ["gap", "g", T, {"count": 1}], ["fault", "f", T, {"where": "w", "error": "e"}], at=T + 6 * DAY_US,
        )  # fmt: skip
        heard = Heard()
        house = BackgroundDuties(store, heard, Retention(days=3))
        assert await house.retention.round(T + 2 * DAY_US) == 0
        assert await house.retention.round(T + 4 * DAY_US) == 2
        assert sorted(await states(store)) == ["kept", "later", "long"]
        assert set(heard) == {"tasks", "queues", "strip"}
        for table in ("run", "original", "task_link", "gap", "fault"):
            assert await store.fetch_all(f"SELECT 1 FROM {table}") == []
        db = connect(store.path)
        kept, counted = recount(db)
        assert kept == counted
        db.close()
        assert await store.fetch_all("SELECT 1 FROM counter WHERE tasks = 0") == []


async def test_the_id_of_a_deleted_task_is_never_another_s(tmp_path: Path) -> None:
    """Not after a restart either: plans and bookmarks point to it."""
    async with database(tmp_path) as store:
        await tell(store, *life("one", T), *life("two", T))
        assert await BackgroundDuties(store, Heard(), Retention(days=3)).retention.round(T + 9 * DAY_US) == 2
    again = Store(tmp_path / "z4j.db")
    await again.start()
    await tell(again, *life("three", T))
    assert [row[0] for row in await again.fetch_all("SELECT id FROM task")] == [3]
    await again.close()


async def test_originals_of_succeeded_tasks_go_first(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        for id, end, at in (("a", "succeeded", T), ("b", "failed", T), ("c", "succeeded", T + 5 * DAY_US)):
            await tell(store, *life(id, at, end), task("payload", id, at, 1, "[]", False, [None, "AA=="], "plain"), at=at)
        house = BackgroundDuties(store, Heard(), Retention(originals_days=2))
        await house.retention.round(T + 3 * DAY_US)
        assert [await get_original(store, id) is not None for id in (1, 2, 3)] == [False, True, True]
        a, b = await get_task(store, 1), await get_task(store, 2)
        assert a is not None
        assert b is not None
        assert (a.original_state, b.original_state) == ("none", "plain")
        await house.retention.round(T + 9 * DAY_US)
        assert [await get_original(store, id) is not None for id in (1, 2, 3)] == [False, True, False]
