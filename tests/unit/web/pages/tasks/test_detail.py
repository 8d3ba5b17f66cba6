# SPDX-License-Identifier: AGPL-3.0-or-later
"""A task that its engine keeps out of the queue until others have ended: what its page says of it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.database import SECOND, T, life, origin, task
from tests.support.site import Site
from z4j.agents.ingest import ingest_batch
from z4j_agent import wire


@pytest.fixture
def shop(empty: Site) -> Site:
    return empty


def tell(shop: Site, *records: list[Any]) -> None:
    shop.call(ingest_batch, shop.server.store, 1, b"".join(map(wire.encode_record, [origin(), *records])), at=T)


def waiting(at: int, **meta: Any) -> list[Any]:
    return [*task("enqueued", "after", at)[:-1], {"code": "a.py:1", **meta}]


def page_of(shop: Site, task_id: str) -> str:
    [row] = shop.client.get(f"/tasks.json?task_id={task_id}").json()["tasks"]
    return shop.client.get(f"/tasks/{row['id']}").text


def test_what_it_depends_on_is_linked_and_an_end_that_blocks_it_for_good_is_said(shop: Site) -> None:
    tell(shop, waiting(T, reason="blocked", depends_on=["first", "unknown"]), *life("first", T + 5 * SECOND)[:2])
    page = page_of(shop, "after")
    assert '<small class="mute">blocked</small>' in page
    assert "when the tasks it depends on have ended" in page
    assert "Depends on" in page
    assert 'title="unknown"' in page, "of one that is not known here nothing is claimed"
    tell(shop, *life("first", T + 5 * SECOND, "failed"))
    assert "depends on shop.ship (failed) and runs only if that task runs again and succeeds" in page_of(shop, "after")


def test_it_is_blocked_no_more_once_the_engine_has_queued_it(shop: Site) -> None:
    tell(shop, waiting(T, reason="blocked", depends_on=["first"]), waiting(T + 9 * SECOND))
    page = page_of(shop, "after")
    assert "blocked" not in page
    assert "This task is not in a queue" not in page
