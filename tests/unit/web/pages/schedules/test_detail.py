# SPDX-License-Identifier: AGPL-3.0-or-later
"""One schedule: what came of its due times, and what may be asked of it."""

from __future__ import annotations

from typing import Any

from tests.support.database import task
from tests.support.site import text_of
from tests.unit.operations.test_schedules import fired
from tests.unit.web.pages.schedules.samples import NEW, SECOND, rows
from z4j import clock
from z4j.agents.ingest import ingest_batch
from z4j_agent import wire


def test_it_is_switched_run_and_deleted(shop: Any) -> None:
    shop.post("/schedules/new", **NEW, step="save")
    page = f"/schedules/{rows(shop)['nightly'].id}"
    assert "A reason is required" in text_of(
        shop.client.post(f"{page}/act", data={"act": "disable"}, headers={"Origin": "http://testserver"})
    )
    shop.post(f"{page}/act", act="disable", reason="holidays")
    assert "disabled" in text_of(shop.get("/schedules?state=off"))
    assert rows(shop)["nightly"].is_enabled is False
    shop.post(f"{page}/act", act="enable")
    shop.post(f"{page}/act", act="fire")
    assert [frame["action"] for frame in shop.frames] == ["run_task"]
    shop.post(f"{page}/act", act="delete")
    assert "nightly" in rows(shop)
    shop.post(f"{page}/act", act="delete", confirm="delete")
    assert "nightly" not in rows(shop)
    assert shop.get(page).status_code == 404
    assert shop.post(f"/schedules/{rows(shop)['in-code'].id}/act", act="explode").status_code == 303


def test_one_in_code_is_overridden_and_goes_back(shop: Any) -> None:
    row = rows(shop)["in-code"]
    shop.post(f"/schedules/{row.id}/act", act="disable", reason="noisy")
    assert shop.frames[-1]["params"]["overrides"][0]["is_enabled"] is False
    assert "Revert to code" in text_of(shop.get(f"/schedules/{row.id}"))
    shop.post(f"/schedules/{row.id}/act", act="revert")
    assert shop.frames[-1]["params"]["overrides"] == []
    changed = NEW | {"kind": "interval", "seconds": "5m", "args": "[1]", "kwargs": "", "name": "in-code"}
    assert "Save" in text_of(shop.post(f"/schedules/{row.id}/edit", **changed, step="review"))
    shop.post(f"/schedules/{row.id}/edit", **changed, step="save")
    spec = shop.frames[-1]["params"]["overrides"][0]["spec"]
    assert (spec["expression"], spec["args"], spec["kwargs"]) == ("300", None, None), "what was left as it is keeps what is masked"


def test_what_came_of_its_due_times_stands_on_its_page(shop: Any) -> None:
    at = clock.now()
    row = rows(shop)["in-code"]
    records = [
        fired("beat", "in-code", at - 60 * SECOND, at - 58 * SECOND), fired("beat", "in-code", at, at, outcome="failed", error="refused"),
    ]  # fmt: skip
    sent = task("enqueued", f"t{at - 60 * SECOND}", at - 58 * SECOND, run="beat.7")
    payload = b"".join(map(wire.encode_record, [["origin", "beat", at, {"environment": "production"}], *records, sent]))
    shop.call(ingest_batch, shop.server.store, 1, payload, at=at)
    answer = shop.get(f"/schedules/{row.id}")
    page = text_of(answer)
    assert "refused" in page
    assert "2.0 s" in page.replace("\u202f", " ")
    assert '<a class="link" href="#fires">1</a>' in answer.text
    assert shop.get(f"/schedules/{row.id}?before={at}").status_code == 200
    made = shop.get("/tasks.json").json()["tasks"][0]
    assert f'<a class="link" href="/schedules/{row.id}">in-code</a>' in shop.get(f"/tasks/{made['id']}").text


def test_an_open_page_of_a_deleted_schedule_says_so(shop: Any) -> None:
    shop.post("/schedules/new", **NEW, step="save")
    id = rows(shop)["nightly"].id
    shop.post(f"/schedules/{id}/act", act="delete", confirm="delete")
    assert shop.get(f"/schedules/{id}").status_code == 404
    refreshed = shop.get(f"/schedules/{id}", **{"HX-Request": "true"})
    assert (refreshed.status_code, "This schedule was deleted" in refreshed.text) == (200, True)
