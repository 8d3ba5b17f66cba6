# SPDX-License-Identifier: AGPL-3.0-or-later
"""Schedules of every scheduler in one list, in every form."""

from __future__ import annotations

from typing import Any

from tests.support.database import T
from tests.support.site import text_of
from tests.unit.web.pages.conftest import EVIL
from tests.unit.web.pages.schedules.samples import NEW, SECOND, rows
from z4j.store.schedules.fires import FireRow, LastFire
from z4j.web.pages.schedules.list import Strip, bars, strip_of


def test_lists_in_every_form(shop: Any) -> None:
    shop.post("/schedules/new", **NEW, step="save")
    listed = shop.get("/schedules.json").json()["schedules"]
    assert {of["scheduler"] for of in listed} == {"z4j", "celery_beat"}
    assert {of["name"]: of["state"] for of in listed} == {"nightly": "on time", "in-code": "on time", "odd": "unknown"}
    assert "30 2 * * mon-fri" in shop.get("/schedules.csv").text
    shop.get("/schedules")  # the notice of its making is shown once
    assert "nightly" not in text_of(shop.get("/schedules?scheduler=celery_beat"))
    assert "No matching schedules" in text_of(shop.get("/schedules?state=missed"))
    detail = shop.get(f"/schedules/{rows(shop)['nightly'].id}.json").json()
    assert len(detail["schedule"]["upcoming"]) == 5
    assert [edit["action"] for edit in detail["edits"]] == ["created"]


def test_names_are_escaped_and_lead_to_their_own_page(shop: Any) -> None:
    shop.post("/schedules/new", **(NEW | {"name": EVIL}), step="save")
    shop.get("/schedules")  # the notice of its making is shown once
    page = shop.get("/schedules")
    assert EVIL in text_of(page)
    assert EVIL not in page.text
    assert f'href="/schedules/{rows(shop)[EVIL].id}"' in page.text


def test_another_scope_shows_other_schedules(shop: Any) -> None:
    assert len(shop.get("/schedules.json?app=shop").json()["schedules"]) == 2
    for query in ("app=other", "environment=staging", "engine=rq"):
        assert shop.get(f"/schedules.json?{query}").json()["schedules"] == []
        assert shop.get(f"/schedules?{query}").status_code == 200


def test_a_strip_ends_at_the_right_and_the_late_ones_are_tall() -> None:
    def fire(late_s: int | None, outcome: str = "sent") -> FireRow:
        return FireRow(1, 3, T, "b", None if late_s is None else T + late_s * SECOND, outcome, False, False, "t", "")

    fires = [fire(0), fire(30), fire(300), fire(None, "missed")]
    found = bars(fires, 60 * SECOND, 20)
    assert [bar.x for bar in found] == [160, 170, 180, 190]
    assert [bar.height for bar in found] == [1, 2, 3, 3]
    assert [bar.state for bar in found] == ["on time", "on time", "late", "missed"]
    assert {bar.href for bar in found} == {"/tasks?task_id=t"}
    last = [LastFire(each.due_at, each.fired_at, each.outcome, 0, 0, "t", "") for each in reversed(fires)]
    assert strip_of(last, 60 * SECOND, 20) == Strip(
        (("missed", "M191 0h7v24h-7z"), ("late", "M181 0h7v24h-7z"), ("on time", "M171 8h7v16h-7zM161 16h7v8h-7z")),
        "Last 4 fires: 2 on time, 1 missed, 1 late",
    )
    assert strip_of(last, 60 * SECOND, 2).label == "Last 2 fires: 1 missed, 1 late"
    assert strip_of([], 60 * SECOND, 20) == Strip()
