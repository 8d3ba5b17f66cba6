# SPDX-License-Identifier: AGPL-3.0-or-later
"""One queue: what may be asked of it, with which word, and what its page shows afterwards."""

from __future__ import annotations

import json

import pytest

from tests.support.database import T
from tests.support.site import text_of
from tests.unit.web.pages.conftest import EVIL, Shop

PLACE = {"app": "shop", "environment": "production", "engine": "celery", "queue": "work"}
PAGE = "/queues/work?app=shop&environment=production&engine=celery"


def answer(shop: Shop, **facts: object) -> None:
    """The worker answers what it was sent last."""
    shop.tell(["command", shop.frames[-1]["id"], T, "done", facts])


def test_a_queue_is_paused_and_resumed(shop: Shop) -> None:
    assert shop.post("/queues/act", **PLACE, action="pause_queue", reason=EVIL).headers["location"].startswith("/queues/work?")
    assert shop.actions() == ["pause_queue"]
    page = shop.get(PAGE)
    assert EVIL in text_of(page)
    assert EVIL not in page.text
    shop.post("/queues/act", **PLACE, action="resume_queue")
    assert shop.actions() == ["pause_queue", "resume_queue"]
    rows = shop.audit()[-2:]
    assert [(row[0], row[1], row[3]) for row in rows] == [("ada", "pause_queue", "done"), ("ada", "resume_queue", "done")]
    assert all(row[2].startswith("queue celery:work") for row in rows)


@pytest.mark.parametrize("word", ["", "PURGE", "purge it"])
def test_a_queue_is_purged_with_the_word_only(shop: Shop, word: str) -> None:
    shop.post("/queues/act", **PLACE, action="purge_queue", confirm=word)
    assert shop.frames == []
    shop.post("/queues/act", **PLACE, action="purge_queue", confirm="purge")
    assert shop.actions() == ["purge_queue"]


def test_what_the_broker_holds_is_shown_where_it_was_looked_for(shop: Shop) -> None:
    shop.post("/queues/act", **PLACE, action="peek_queue", place="delayed")
    answer(shop, tasks=[{"task_id": "p1", "name": EVIL, "args": "[]", "enqueued_at": T, "due_at": None}, "no task"])
    page = shop.get(f"{PAGE}&place=delayed")
    assert EVIL in text_of(page)
    assert EVIL not in page.text
    assert EVIL not in text_of(shop.get(f"{PAGE}&place=waiting"))
    assert shop.get(f"{PAGE}&place=nowhere").status_code == 200


@pytest.mark.parametrize(
    ("status", "detail", "shown"),
    [
        ("done", {"tasks": []}, "The broker reported an empty list."),
        ("expired", {}, "No agent executed the request in time."),
        ("unknown", {}, "The request ended as unknown."),
        ("refused", {"error": "it is not allowed"}, "it is not allowed"),
    ],
)
def test_only_a_list_that_the_broker_reported_is_shown_as_empty(shop: Shop, status: str, detail: dict[str, object], shown: str) -> None:
    shop.post("/queues/act", **PLACE, action="peek_queue", place="waiting")
    sql = "UPDATE command SET status = ?, detail = ?, ended_at = ? WHERE action = 'peek_queue'"
    shop.write(lambda db: db.execute(sql, (status, json.dumps(detail), T)).rowcount)
    page = text_of(shop.get(f"{PAGE}&place=waiting"))
    assert shown in page
    assert ("The broker reported an empty list." in page) == (status == "done")


def test_a_queue_that_is_not_there_is_a_404(shop: Shop) -> None:
    for path in ("/queues/nothing", "/queues/work?app=other", "/queues/work?environment=staging", "/queues/work?engine=rq"):
        assert shop.get(path).status_code == 404, path
    assert shop.post("/commands/none/undo").status_code == 404
    assert shop.get(PAGE).status_code == 200


@pytest.mark.parametrize("form", [{"action": "explode_queue"}, {"engine": "rq"}, {"queue": "nothing", "action": "peek_queue"}])
def test_what_cannot_be_done_is_sent_to_nobody(shop: Shop, form: dict[str, str]) -> None:
    assert shop.post("/queues/act", **(PLACE | {"action": "purge_queue", "confirm": "purge"} | form)).status_code in (303, 400, 404)
    assert shop.frames == []


def test_a_viewer_sees_the_queue_and_asks_for_nothing(shop: Shop) -> None:
    shop.become("vera")
    assert shop.get(PAGE).status_code == 200
    assert shop.post("/queues/act", **PLACE, action="pause_queue").status_code == 403
    assert shop.frames == []
