# SPDX-License-Identifier: AGPL-3.0-or-later
"""Notes of attempts in a real database: in any order, of the right execution, found by search, deleted and restored with their task."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.contents import contents
from tests.support.database import BOOT, SECOND, T, database, life, origin, task, tell
from z4j import clock
from z4j.background.word_index import SETTLE_US, WordIndexDuty
from z4j.rules.queries.parse import parse
from z4j.store.annotations import attempt_annotations
from z4j.store.sqlite.db import Store
from z4j.store.tasks import bulk_deletion, task_search
from z4j.store.tasks.task_search import TaskFilter
from z4j.store.tasks.tasks import get_task, list_tasks

START = T + 2 * SECOND


def note(task_id: str, *, at: int = START, attempt: int = 0, **parts: Any) -> list[Any]:
    return [*task("started", task_id, at, attempt=attempt)[:-1], {"note": parts}]


@pytest.fixture
def shift(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Moves the clock of the index: what has just come is indexed a second later."""
    monkeypatch.setattr(task_search, "WALK_US", 60_000_000)
    offset = [0]
    ticks = clock.ticks
    monkeypatch.setattr(clock, "ticks", lambda: ticks() + offset[0])
    return offset


async def index(duty: WordIndexDuty, shift: list[int]) -> None:
    for _ in range(3):
        await duty.round(T + 3_600 * SECOND)
        shift[0] += SETTLE_US


async def found(store: Store, text: str) -> list[str]:
    query = parse(text)
    page = await list_tasks(store, TaskFilter(terms=query.terms, order=query.order), limit=50)
    return sorted(row.task_id for row in page.rows)


@pytest.mark.anyio
async def test_notes_in_any_order_are_the_same(tmp_path: Path) -> None:
    records = [
        *life("a", T),
        note("a", fields={"order": [START + 5, "42"], "step": [START + 5, "one"]}),
        note("a", fields={"step": [START + 9, "two"]}, progress=[START + 9, 1, 2, "half"]),
        note("a", ids={"trace_id": [START + 1, "ab" * 16]}, excess=2),
    ]
    said = []
    for number, order in enumerate((records, records[::-1], records[4:] + records[:4])):
        (tmp_path / str(number)).mkdir()
        async with database(tmp_path / str(number)) as store:
            await tell(store, origin())
            for record in (*order, order[0], order[-1]):
                await tell(store, record)
            found_row = (await list_tasks(store, TaskFilter(), limit=5)).rows[0]
            detail = await get_task(store, found_row.id)
            assert detail is not None
            (notes,) = detail.notes
            assert notes.fields == {"order": "42", "step": "two"}
            assert (notes.trace_id, notes.excess, notes.run) == ("ab" * 16, 2, f"{BOOT}.7")
            assert notes.progress is not None
            assert (notes.progress.done, notes.progress.total, notes.progress.text) == (1, 2, "half")
            said.append(await store.write(contents))
    assert said[0] == said[1] == said[2]


@pytest.mark.anyio
async def test_a_note_that_arrives_first_says_that_the_task_runs(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        await tell(store, origin(), note("a", progress=[START + 1, 3, None, ""]))
        (row,) = (await list_tasks(store, TaskFilter(), limit=5)).rows
        assert (row.state, row.started_at) == ("running", START)
        assert row.progress is not None
        assert (row.progress.done, row.progress.total) == (3, None)
        await tell(store, *life("a", T))
        (row,) = (await list_tasks(store, TaskFilter(), limit=5)).rows
        assert (row.state, row.progress) == ("succeeded", None)


@pytest.mark.anyio
async def test_each_execution_of_an_id_has_its_own_notes_whatever_the_order(tmp_path: Path) -> None:
    lives = [T + number * 100 * SECOND for number in range(3)]
    histories = [
        [*life("a", at), note("a", at=at + 2 * SECOND, fields={"night": [at + 2 * SECOND, str(number)]})] for number, at in enumerate(lives)
    ]
    for number, order in enumerate(itertools.permutations(histories)):
        (tmp_path / str(number)).mkdir()
        async with database(tmp_path / str(number)) as store:
            await tell(store, origin())
            notes_first = [history[-1] for history in order] if number % 2 else []
            for record in [*notes_first, *itertools.chain(*order)]:
                await tell(store, record)
            rows = (await list_tasks(store, TaskFilter(), limit=5)).rows
            details = [await get_task(store, row.id) for row in rows]
            nights = {row.first_at: [each.fields for each in detail.notes] for row, detail in zip(rows, details, strict=True) if detail}
            assert nights == {at: [{"night": str(night)}] for night, at in enumerate(lives)}


@pytest.mark.anyio
async def test_annotations_and_ids_are_found_also_those_that_come_after_the_task_was_indexed(tmp_path: Path, shift: list[int]) -> None:
    async with database(tmp_path) as store:
        duty = WordIndexDuty(store)
        await tell(store, origin(), *life("a", T), *life("b", T), *life("c", T), note("a", fields={"order": [START, "42"]}))
        await index(duty, shift)
        assert await found(store, "note.order:42") == ["a"]
        await tell(
            store,
            note("b", fields={"order": [START, "43"], "customer": [START, "Ann Lee"]}),
            note("c", fields={"password": [START, "•••"]}, ids={"trace_id": [START, "AB" * 16], "sentry_event_id": [START, "e" * 32]}),
        )
        await index(duty, shift)
        assert await found(store, "note.order:42,43") == ["a", "b"]
        assert await found(store, "note.order:4*") == ["a", "b"]
        assert await found(store, 'note.customer:"ann lee" note.order:43') == ["b"]
        assert await found(store, "-note.order:42 state:succeeded") == ["b", "c"]
        assert await found(store, f"trace:{'ab' * 16}") == ["c"]
        assert await found(store, "trace:" + "-".join(["e" * 8, "e" * 4, "e" * 4, "e" * 16])) == ["c"]
        assert await found(store, "note.password:•••") == []
        assert await found(store, "args.order:42") == []


@pytest.mark.anyio
async def test_notes_are_deleted_with_their_task(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        await tell(store, origin(), *life("a", T), note("a", fields={"order": [START, "42"]}))
        (row,) = (await list_tasks(store, TaskFilter(), limit=5)).rows
        await store.write(lambda db: bulk_deletion.delete_tasks(db, [row.id]))
        assert await attempt_annotations.list_notes(store, row.id) == []


@pytest.mark.anyio
@pytest.mark.parametrize(
    "parts",
    [
        {"fields": {f"n{number}": [T, "v"] for number in range(21)}},
        {"fields": {"n" * 51: [T, "v"]}},
        {"fields": {"n": [T, "v" * 201]}},
        {"ids": {"trace_id": [T, "<script>"]}},
        {"progress": [T, 1e300, 2, ""]},
        {"progress": [T, 1, 2, "t" * 201]},
        {"excess": -1},
    ],
)
async def test_what_exceeds_the_limits_is_refused(tmp_path: Path, parts: dict[str, Any]) -> None:
    async with database(tmp_path) as store:
        assert sum((await tell(store, origin(), note("a", **parts))).refused.values()) == 1


@pytest.mark.anyio
async def test_a_hostile_agent_cannot_make_a_row_large(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        await tell(store, origin())
        for step in range(20):
            await tell(store, note("a", fields={f"n{step}-{number:02}": [START, "v" * 200] for number in range(20)}))
        (size,) = await store.fetch_all("SELECT length(fields), excess FROM run_note")
        assert size[0] < 6_000
        assert size[1] >= 1
        assert len(json.loads((await store.fetch_all("SELECT fields FROM run_note"))[0][0])) == 20
