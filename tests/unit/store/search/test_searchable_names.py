# SPDX-License-Identifier: AGPL-3.0-or-later
"""What can be found by name, and tasks by the beginning of their id."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.database import SECOND, T, database, life, origin, tell
from z4j.store.search import searchable_names
from z4j.store.tasks import task_ids

pytestmark = pytest.mark.anyio
IDS = (
    "b5a1f3c2-0000-4000-8000-000000000001",
    "b5a1f3c2-0000-4000-8000-0000000000ff",
    "b5a2f3c2-0000-4000-8000-000000000001",
    "ffff0000-0000-4000-8000-000000000001",
)
TEXTS = ("invoice-2026-11", "invoice-2026-12-long", "invoice-15chars", "b5a1", "größe-1")


async def test_tasks_are_found_by_how_their_id_begins(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        await tell(store, origin(), *[record for number, id in enumerate((*IDS, *TEXTS)) for record in life(id, T + number * SECOND)])

        async def found(prefix: str, limit: int = 9) -> list[str]:
            return [task.task_id for task in await searchable_names.tasks_from(store, prefix, limit)]

        assert await found("b5a1f3c2") == list(IDS[:2])
        assert await found("b5a1f3c2-0000-4000-8000-0000000000f") == [IDS[1]]
        assert await found("b5a") == [*IDS[:3], "b5a1"]
        assert await found("b5a", limit=2) == list(IDS[:2])
        assert await found("ffff") == [IDS[3]]
        assert sorted(await found("invoice-")) == sorted(TEXTS[:3])
        assert await found("größe") == ["größe-1"]
        assert await found("b5a1f3c20000") == [], "an id is found as it is written"
        assert await found("zzz") == []
        [task] = await searchable_names.tasks_from(store, IDS[2], 9)
        assert (task.name, task.app, task.state) == ("shop.ship", "shop", "succeeded")


async def test_names_are_listed_once_and_found_by_their_beginning(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        await tell(store, origin(), *life("a", T), *life("b", T, name="emails.send"), *life("c", T, name="emails.send"))
        assert (await searchable_names.read_directory(store, 0)).names == ["emails.send", "shop.ship"]
        assert await searchable_names.names_from(store, "emails", 5) == ["emails.send"]
        assert await searchable_names.names_from(store, "mails", 5) == []


@given(st.uuids(), st.integers(1, 36))
@settings(deadline=None)
def test_every_beginning_of_a_uuid_has_a_range_with_it(id: UUID, length: int) -> None:
    text = str(id)
    raw = task_ids.encode(text)
    assert any(low <= raw < high for low, high in task_ids.ranges(text[:length]))


@given(st.text(st.characters(exclude_characters="\0", codec="utf-8"), min_size=1, max_size=40), st.data())
@settings(deadline=None)
def test_every_beginning_of_another_id_has_a_range_with_it(text: str, data: st.DataObject) -> None:
    raw, length = task_ids.encode(text), data.draw(st.integers(1, len(text)))
    assert any(low <= raw < high for low, high in task_ids.ranges(text[:length]))
