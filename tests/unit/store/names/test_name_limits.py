# SPDX-License-Identifier: AGPL-3.0-or-later
"""An app has so many names and no more; beyond, they are stored as one, counted and shown, and another app does not notice."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.support.contents import connect, recount
from tests.support.database import SECOND, T, database, life, origin, task, tell
from tests.unit.store.fleet.test_agents import hello
from z4j.background.retention import RetentionDuty
from z4j.store.fleet import agents, gaps
from z4j.store.fleet.queues import list_queues
from z4j.store.names import name_limits, names, unused_names
from z4j.store.names.name_limits import CAUSE, OTHERS
from z4j.store.sqlite.db import Connection, Store
from z4j.store.tasks import bulk_deletion, originals, task_ids
from z4j.store.tasks.bulk_deletion import Retention
from z4j.store.tasks.tasks import TaskFilter, list_tasks
from z4j.wire.frames import Discovery, QueueItem, TaskItem

pytestmark = pytest.mark.anyio
LOUD = 2


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(name_limits, "LIMITS", dict.fromkeys(name_limits.LIMITS, 3))


async def add_loud(store: Store) -> None:
    await store.write(lambda db: db.execute("INSERT INTO app (name, created_at) VALUES ('loud', 0)").rowcount)


async def texts(store: Store, kind: str) -> set[str]:
    return {row[0] for row in await store.fetch_all("SELECT text FROM name WHERE kind = :kind", {"kind": kind})}


async def counted(store: Store) -> dict[tuple[str, str], int]:
    return {(row.app, row.cause.removeprefix(CAUSE)): row.events for row in await gaps.list_refused(store)}


def some(numbers: Iterable[int], **head: Any) -> list[list[Any]]:
    lives = (life(f"t{number}", T + number * SECOND, name=f"n{number}", queue=f"q{number}", **head) for number in numbers)
    return [record for of in lives for record in of]


async def test_names_beyond_the_limit_are_stored_as_one_and_counted(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        await add_loud(store)
        await tell(store, *some(range(10)), app_id=LOUD)
        assert await texts(store, "name") == {"n0", "n1", "n2", OTHERS}
        assert await texts(store, "queue") == {"q0", "q1", "q2", OTHERS}
        assert await counted(store) == {("loud", "name"): 7, ("loud", "queue"): 7}
        await tell(store, origin(), *some([50]), app_id=1)
        assert {"n50"} <= await texts(store, "name"), "another app has its own limit"
        rows = (await list_tasks(store, TaskFilter(app="loud"))).rows
        assert sorted({row.name for row in rows}) == [OTHERS, "n0", "n1", "n2"]
        assert len(rows) == 10
        # The same again, in other batches and after a restart of the writer's memory, changes nothing.
        await store.write(lambda db: db.forget())
        await tell(store, *some(range(9, -1, -1)), app_id=LOUD)
        assert await texts(store, "name") == {"n0", "n1", "n2", "n50", OTHERS}
        db = connect(store.path)
        kept, by_counter = recount(db)
        assert kept == by_counter
        db.close()


async def test_engines_workers_environments_and_releases_have_a_limit_too(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        for number in range(8):
            boot = f"b{number}"
            await tell(store, origin(boot, T, worker=f"w{number}", environment=f"e{number}", release=f"r{number}"))
            who = hello(boot, worker=boot, environment=boot, release=boot)
            await store.write(partial(agents.record_hello, app_id=1, hello=who, at=T, skew=0))
            await tell(store, *life(f"t{number}", T, engine=f"engine{number}", run=f"{boot}.1"))
        for kind in ("worker", "environment", "release", "engine"):
            assert len(await texts(store, kind)) == 4, kind
            assert OTHERS in await texts(store, kind)
        # Two tasks of one id, with engines that have no place of their own: one row, and nothing fails.
        before = len((await list_tasks(store, TaskFilter())).rows)
        done = await tell(store, *life("same", T, engine="engine8"), *life("same", T, engine="engine9"))
        assert (done.tasks, done.refused) == (1, {})
        assert len((await list_tasks(store, TaskFilter())).rows) == before + 1


async def test_what_processes_list_beyond_the_limit_is_counted_alone(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        await store.write(lambda db: agents.record_hello(db, 1, hello("b1"), T, 0))
        found = Discovery("celery", [TaskItem(f"n{number}") for number in range(9)], [QueueItem(f"q{number}") for number in range(9)])
        await store.write(lambda db: agents.record_discovery(db, 1, "b1", found, T))
        assert [row.name for row in await agents.list_task_names(store)] == ["n0", "n1", "n2"]
        assert [row.name for row in await list_queues(store)] == ["q0", "q1", "q2"]
        assert await counted(store) == {("shop", "name"): 6, ("shop", "queue"): 6}


async def test_a_name_that_is_no_longer_used_makes_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with database(tmp_path) as store:
        await tell(store, origin(), *some(range(5)))
        ids = [row[0] for row in await store.fetch_all("SELECT id FROM task WHERE first_at = :at", {"at": T})]
        await store.write(lambda db: bulk_deletion.delete_tasks(db, ids))
        await tell(store, *some([19]))
        assert "n19" not in await texts(store, "name"), "which are used is looked up once a minute"
        monkeypatch.setattr(name_limits, "RELOAD_S", 0.0)
        await tell(store, *life("a", T, name="n1"))  # what was given before the last look is used by now
        await tell(store, *some([18]))
        await tell(store, *some([20, 21]))
        assert {"n20"} <= await texts(store, "name")
        assert "n21" not in await texts(store, "name")


async def test_a_sweep_of_unused_names_deletes_none_that_was_handed_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unused_names, "WORTH_IT", 0)
    async with database(tmp_path) as store:
        await tell(store, origin(), *some(range(3)))

        def hand_out(db: Connection) -> None:
            name_limits.intern(db, 1, "worker", "handed out")
            unused_names._mark(db, unused_names.NAMES)

        await store.write(hand_out)
        id = await store.write(lambda db: name_limits.intern(db, 1, "worker", "again"))
        await store.write(lambda db: unused_names.delete_names(db, [id], 1))
        assert "again" in await texts(store, "worker")
        duty = RetentionDuty(store, lambda _: None, Retention())
        await duty.sweep_names(T)
        await tell(store, task("started", "x", T, name="n0"))
        assert "" not in {row.name for row in (await list_tasks(store, TaskFilter())).rows}


def with_brokers(brokers: Iterable[str]) -> list[list[Any]]:
    """A task with an original for each of them."""
    records = []
    for number, broker in enumerate(brokers):
        head = f"{broker}.{number}", T + number
        records += [task("enqueued", *head), task("payload", *head, 2, "[]", False, ["", "AgE="], "plain", broker)]
    return records


async def brokers_of(store: Store) -> dict[str, str]:
    """Task id → broker, as a command to one task and one to many find it."""
    found = {}
    for id, task_id in await store.fetch_all("SELECT id, task_id FROM task"):
        kept = await originals.get_original(store, id)
        assert kept is not None
        many = (await originals.read_brokers(store, [id])).get(id, "")
        assert kept.broker == await originals.broker_of(store, id) == many, task_id
        found[task_ids.decode(task_id)] = kept.broker
    return found


async def test_brokers_beyond_the_limit_of_an_app_are_unknown_and_take_no_place_of_another(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        await add_loud(store)
        await tell(store, *with_brokers(f"b{number}" for number in range(5)), app_id=LOUD)
        await tell(store, *with_brokers(["redis", OTHERS]), app_id=1)
        expected = {"b0.0": "b0", "b1.1": "b1", "b2.2": "b2", "b3.3": "", "b4.4": "", "redis.0": "redis", f"{OTHERS}.1": ""}
        assert await brokers_of(store) == expected
        assert await texts(store, "broker") == {"b0", "b1", "b2", "redis"}
        assert await counted(store) == {("loud", "broker"): 2}
        await store.write(lambda db: db.forget())
        await tell(store, *with_brokers(["b9"]), app_id=LOUD)
        assert (await brokers_of(store))["b9.0"] == "", "those of its newest tasks are read again"


async def test_a_broker_that_was_stored_under_the_name_of_all_others_is_unknown(tmp_path: Path) -> None:
    """An earlier release stored it so."""
    async with database(tmp_path) as store:
        await tell(store, *with_brokers(["redis"]))

        def store_as_before(db: Connection) -> None:
            db.execute("UPDATE original SET broker_id = ?", (names.intern(db, "broker", OTHERS),))

        await store.write(store_as_before)
        assert await brokers_of(store) == {"redis.0": ""}
        assert [kept.broker for kept in (await originals.read_originals(store, [1])).values()] == [""]


async def test_a_refused_name_is_counted_when_it_is_reported_and_not_when_its_row_is_written_again(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        await tell(store, origin(), *some(range(3)))
        records = some([7, 8])
        firsts = [record for record in records if record[0] == "enqueued"]
        others = [record for record in records if record[0] != "enqueued"]
        await tell(store, *firsts)
        before = await counted(store)
        assert before == {("shop", "name"): 2, ("shop", "queue"): 2}
        for record in others:
            await tell(store, [*record[:6], "", "", *record[8:]])
        assert await counted(store) == before
        assert [row.state for row in (await list_tasks(store, TaskFilter(name=OTHERS))).rows] == ["succeeded"] * 2
