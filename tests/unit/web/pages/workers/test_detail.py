# SPDX-License-Identifier: AGPL-3.0-or-later
"""One worker: what it runs, and what may be asked of it."""

from __future__ import annotations

import pytest

from tests.support.site import text_of
from tests.unit.web.pages.conftest import EVIL, Shop
from z4j import clock
from z4j.store.fleet import agents
from z4j.web.pages.workers.detail import href_of
from z4j.wire.frames import Heartbeat, RunningItem

PLACE = {"app": "shop", "environment": "production", "worker": "w1"}
PAGE = href_of("shop", "production", "w1")


def test_what_it_runs_is_shown_and_linked_to_the_task(shop: Shop) -> None:
    at = clock.now()
    held = [RunningItem("celery", "f0", 0, EVIL, "work", at - 5_000_000, 7), RunningItem("celery", "f1", 0, "shop.bill", "work", 0, 7)]
    shop.write(lambda db: agents.record_heartbeat(db, 1, "b9", Heartbeat(at, held, 0, 0, 0, True), at))
    page = shop.get(PAGE)
    assert EVIL in text_of(page)
    assert EVIL not in page.text
    assert "task_id=f0" in page.text
    assert "task_id=f1" in page.text
    shop.write(lambda db: agents.record_left(db, 1, "b9", at, "gone", is_orderly=False))
    assert "task_id=f0" not in shop.get(PAGE).text, "of a worker that left it is not known"


def test_the_tasks_of_a_silent_worker_are_not_shown_as_running(shop: Shop) -> None:
    """Its row still has the tasks of its last heartbeat: the page must not show them."""
    at = clock.now()
    held = [RunningItem("celery", "f0", 0, "shop.bill", "work", at - 5_000_000, 7)]
    shop.write(lambda db: agents.record_heartbeat(db, 1, "b9", Heartbeat(at, held, 0, 0, 0, True), at))
    assert "task_id=f0" in shop.get(PAGE).text
    shop.write(lambda db: agents.record_silence(db, at + 1, at + 1))
    rows = shop.call(agents.list_agents, shop.server.store)
    assert [[item.task_id for item in row.running] for row in rows if row.boot == "b9"] == [["f0"]]
    assert "task_id=f0" not in shop.get(PAGE).text


@pytest.mark.parametrize("word", ["", "SHUTDOWN", "yes"])
def test_it_is_shut_down_with_the_word_only(shop: Shop, word: str) -> None:
    shop.post("/workers/act", **PLACE, action="shutdown_worker", confirm=word)
    assert shop.frames == []
    answer = shop.post("/workers/act", **PLACE, action="shutdown_worker", confirm="shutdown", reason=EVIL)
    assert (answer.status_code, answer.headers["location"], shop.actions()) == (303, PAGE, ["shutdown_worker"])
    page = shop.get(PAGE)
    assert EVIL not in page.text
    assert shop.audit()[-1][1:4:2] == ("shutdown_worker", "done")


@pytest.mark.parametrize(
    "form",
    [
        {"action": "explode"}, {"action": "resize_worker", "by": "2"}, {"worker": "nobody"}, {"environment": "staging"}, {"app": "other"},
    ],
    ids=str,
)  # fmt: skip
def test_what_cannot_be_done_is_sent_to_nobody(shop: Shop, form: dict[str, str]) -> None:
    answer = shop.post("/workers/act", **(PLACE | {"action": "shutdown_worker", "confirm": "shutdown"} | form))
    assert answer.status_code in (303, 400, 404)
    assert shop.frames == []


def test_a_worker_that_is_not_there_is_a_404(shop: Shop) -> None:
    for path in (href_of("shop", "production", "nobody"), href_of("other", "production", "w1"), href_of("shop", "staging", "w1")):
        assert shop.get(path).status_code == 404, path
    assert shop.get(PAGE).status_code == 200


def test_a_viewer_sees_it_and_asks_for_nothing(shop: Shop) -> None:
    shop.become("vera")
    assert shop.get(PAGE).status_code == 200
    assert shop.post("/workers/act", **PLACE, action="shutdown_worker", confirm="shutdown").status_code == 403
    assert shop.frames == []
