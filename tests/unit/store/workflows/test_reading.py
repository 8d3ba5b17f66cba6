# SPDX-License-Identifier: AGPL-3.0-or-later
"""A workflow is read from any of its tasks, in every order in which its events may arrive, and its size is bounded."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.database import SECOND, T, database, life, origin, task, tell
from z4j.store.sqlite.db import Store
from z4j.store.tasks import task_ids
from z4j.store.workflows.reading import MOST_TASKS, WorkflowRead, read_workflow

pytestmark = pytest.mark.anyio


def sent(task_id: str, at: int, **facts: object) -> list[object]:
    """An enqueue with facts such as parent_id."""
    return task("enqueued", task_id, at, None, facts)


async def read(store: Store, task_id: str) -> WorkflowRead:
    rows = await store.fetch_all("SELECT id FROM task WHERE task_id = :id ORDER BY life = 0", {"id": task_ids.encode(task_id)})
    return await read_workflow(store, rows[-1][0])


def shown(found: WorkflowRead) -> tuple[list[str], set[tuple[str, str, str]]]:
    names = {one.id: one.task_id for one in found.workflow.tasks}
    return [one.task_id for one in found.workflow.tasks], {(names[one.source], names[one.target], one.kind) for one in found.workflow.links}


async def test_a_chain_with_a_group_is_the_same_from_each_of_its_tasks(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        records = [sent("root", T), *[sent(f"g{n}", T + n * SECOND, parent_id="root", group_id="g") for n in range(1, 4)]]
        records += [sent("body", T + 9 * SECOND, parent_id="g2"), sent("again", T + 20 * SECOND, retry_of="body"), sent("other", T)]
        await tell(store, origin(), *reversed(records))
        expected = (
            ["root", "g1", "g2", "g3", "body", "again"],
            {("root", f"g{n}", "parent") for n in range(1, 4)} | {("g2", "body", "parent"), ("body", "again", "retry_of")},
        )
        for task_id in expected[0]:
            found = await read(store, task_id)
            assert shown(found) == expected
            assert found.is_complete
        assert shown(await read(store, "other")) == (["other"], set())


async def test_states_and_durations_are_those_of_the_tasks(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        await tell(store, origin(), *life("a", T, "failed"), sent("b", T + 5 * SECOND, parent_id="a"))
        first, second = (await read(store, "b")).workflow.tasks
        assert (first.state, first.runtime_us, first.name, first.engine) == ("failed", 900_000, "shop.ship", "celery")
        assert (second.state, second.runtime_us) == ("queued", None)


async def test_a_task_is_shown_with_those_it_waits_for_and_what_they_came_from(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        await tell(
            store, origin(), sent("maker", T), sent("a", T + 1, parent_id="maker"), sent("b", T + 2),
            sent("c", T + 3, depends_on=["a", "b", "gone"]), sent("d", T + 4, depends_on=["c"]),
        )  # fmt: skip
        names, links = shown(await read(store, "d"))
        assert names == ["maker", "a", "b", "c", "d"]
        assert links == {("maker", "a", "parent"), ("a", "c", "depends_on"), ("b", "c", "depends_on"), ("c", "d", "depends_on")}


async def test_another_execution_of_an_id_is_no_part_of_it(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        await tell(store, origin(), *life("same", T), sent("first", T + 2 * SECOND, parent_id="same"))
        later = T + 900 * SECOND
        await tell(store, origin(), *life("same", later), sent("second", later + 2 * SECOND, parent_id="same"))
        assert shown(await read(store, "first"))[0] == ["same", "first"]
        assert shown(await read(store, "second"))[0] == ["same", "second"]
        assert shown(await read(store, "same"))[0] == ["same", "second"], "the newest execution"


async def test_a_circle_of_links_ends(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        await tell(store, origin(), sent("a", T, parent_id="b"), sent("b", T + 1, parent_id="a"), sent("c", T + 2, parent_id="c"))
        names, links = shown(await read(store, "a"))
        assert sorted(names) == ["a", "b"]
        assert len(links) == 1
        assert shown(await read(store, "c")) == (["c"], set())


async def test_a_large_workflow_is_cut_and_keeps_the_task_that_is_shown(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        records = [sent("root", T)] + [sent(f"t{n}", T + n, parent_id="root") for n in range(1, 1_200)]
        await tell(store, origin(), *records, sent("leaf", T + 2_000, parent_id="t1199"))
        found = await read(store, "t1199")
        names = shown(found)[0]
        assert len(names) == MOST_TASKS
        assert {"root", "t1199", "leaf"} <= set(names)
        assert not found.is_complete


async def test_a_chain_of_ninety_tasks_is_complete(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        await tell(store, origin(), sent("t0", T), *[sent(f"t{n}", T + n, parent_id=f"t{n - 1}") for n in range(1, 90)])
        found = await read(store, "t45")
        assert shown(found)[0] == [f"t{n}" for n in range(90)]
        assert found.is_complete


async def test_a_workflow_whose_end_was_not_reached_says_so(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        records = [sent("root", T), *[sent(f"t{n}", T + n, parent_id="root") for n in range(400)]]
        await tell(store, origin(), *records, *[sent(f"u{n}", T + 500 + n, parent_id=f"t{n}") for n in range(400)])
        found = await read(store, "t7")
        assert len(found.workflow.tasks) < 801
        assert not found.is_complete
        assert "u7" in shown(found)[0]


async def test_a_long_chain_is_cut(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        await tell(store, origin(), sent("t0", T), *[sent(f"t{n}", T + n, parent_id=f"t{n - 1}") for n in range(1, 300)])
        found = await read(store, "t150")
        assert not found.is_complete
        assert "t150" in shown(found)[0]
        assert len(shown(found)[0]) > 100


async def test_an_unknown_task_has_no_workflow(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        assert (await read_workflow(store, 999)).workflow.tasks == ()
