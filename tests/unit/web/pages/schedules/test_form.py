# SPDX-License-Identifier: AGPL-3.0-or-later
"""Schedules through the pages and the API: made, looked at, changed and deleted, with what may not be."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.database import T, task
from tests.support.site import Site, site, text_of
from tests.unit.operations.test_schedules import entry, fired, listing
from z4j import clock
from z4j.agents.connections import AgentLink
from z4j.agents.ingest import ingest_batch
from z4j.store.fleet import agents
from z4j.store.schedules import schedules
from z4j.web.auth import sessions as web_sessions
from z4j.web.pages.schedules.calendar import BUCKET, occurrences, window
from z4j.web.pages.schedules.fields import read_rule
from z4j.web.pages.schedules.list import list_lines
from z4j.web.pages.settings.connect import connect_app, make_api_token
from z4j.wire.frames import Discovery, Hello, TaskItem
from z4j_agent import wire

SECOND = 1_000_000
NEW = {
    "app": "shop", "scheduler": "z4j", "engine": "celery", "environment": "production", "name": "nightly", "task_name": "shop.ship",
    "kind": "cron", "expression": "30 2 * * 1-5", "timezone": "Europe/Berlin", "args": "[7]", "kwargs": "{}", "is_enabled": "on",
}  # fmt: skip


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """One app with a worker and a Celery Beat, both connected; somebody is signed in."""
    monkeypatch.setattr(web_sessions, "FLOOR_S", 0.0)
    with site(tmp_path) as made:
        store = made.server.store
        made.call(connect_app, store, "shop", "h", "test")
        at = clock.now()
        frames: list[dict[str, Any]] = []
        made.frames = frames  # type: ignore[attr-defined]
        for boot, role, able in (
            ("work", "worker", {("celery", "run_task"): "any"}),
            ("beat", "scheduler", {("celery_beat", action): "any" for action in ("apply_overrides", "fire_schedule")}),
        ):
            hello = Hello(1, "0.1.0", boot, boot, "h", 7, role, "production", {"celery": "5.7"}, [], "all", [], True, at, boot)
            made.call(store.write, lambda db, hello=hello: agents.record_hello(db, 1, hello, at, 0))
            link = AgentLink(
                1, boot, boot, role, boot, "all", frozenset(), "", True, frames.append, lambda code, why: None, able, "production"
            )
            made.server.hub.connect(link)
        found = Discovery("celery", [TaskItem("shop.ship", "(order, *, fast=False)")], [])
        made.call(store.write, lambda db: agents.record_discovery(db, 1, "work", found, at))
        told = listing(
            "celery_beat",
            entry("in-code", next_at=at + 600 * SECOND),
            entry("odd", kind="other", expression="at noon in Rome", next_at=None),
        )
        made.call(made.server.outbox.schedules_listed, link, told)
        made.tokens = {role: made.call(make_api_token, store, role, role, 1, "test")[1] for role in ("viewer", "operator")}  # type: ignore[attr-defined]
        made.add_user()
        made.sign_in()
        yield made


def rows(shop: Site) -> dict[str, schedules.ScheduleRow]:
    return {row.name: row for row in shop.call(schedules.list_schedules, shop.server.store)}


def ask(shop: Any, method: str, path: str, body: Any = None, role: str = "operator") -> Any:
    headers = {"Authorization": f"Bearer {shop.tokens[role]}"}
    return shop.client.request(method, f"/api/v1{path}", json=body, headers=headers)


def test_one_is_made_in_the_form_and_looked_at(shop: Any) -> None:
    assert "Celery Beat" in text_of(shop.get("/schedules/new"))
    assert "Create 1 schedule" in text_of(shop.get("/schedules/new?app=shop&scheduler=z4j"))
    checked = shop.post("/schedules/new", **NEW, step="check")
    assert "At 02:30, Monday through Friday" in text_of(checked)
    assert "does not exist in Europe/Berlin" not in text_of(checked), "a Sunday is no weekday"
    assert rows(shop).keys() == {"in-code", "odd"}
    made = shop.post("/schedules/new", **NEW, step="save")
    assert made.status_code == 303
    page = text_of(shop.get(made.headers["location"]))
    assert "nightly was created." in page
    for word in ("30 2 * * mon-fri", "Europe/Berlin", "shop.ship", "created by ada", "Nothing has been due"):
        assert word in page, word
    assert rows(shop)["nightly"].args == "[7]"


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"expression": "61 * * * *"}, "beyond 0 to 59"),
        ({"args": "[]"}, "order is missing"),
        ({"args": "seven"}, "no JSON"),
        ({"args": "{}"}, "a JSON list"),
        ({"kwargs": "[]"}, "a JSON object"),
        ({"timezone": "Mars/Olympus"}, "no time zone"),
        ({"kind": "built", "every": "weekly", "time": "02:30"}, "at least one weekday"),
        ({"kind": "built", "every": "now and then"}, "Choose how often"),
        ({"kind": "once", "once": "2027-03-28 02:30"}, "2027-03-28 03:30"),
        ({"jitter_s": "much"}, "number of seconds"),
        ({"starts_at": "soon"}, "The beginning is a time"),
        ({"priority": "high"}, "whole number"),
        ({"app": "nobody"}, "no app"),
    ],
)
def test_what_does_not_fit_comes_back_with_what_was_typed(shop: Any, changes: dict[str, str], word: str) -> None:
    answer = shop.post("/schedules/new", **(NEW | changes), step="save")
    assert answer.status_code == 200
    assert word in text_of(answer)
    assert 'value="nightly"' in answer.text
    assert "nightly" not in rows(shop)


@pytest.mark.parametrize(
    ("typed", "rule"),
    [
        ({"every": "minutes", "n": "10"}, ("cron", "*/10 * * * *")),
        ({"every": "hourly", "minute": "5"}, ("cron", "5 * * * *")),
        ({"every": "daily", "time": "07:05"}, ("cron", "5 7 * * *")),
        ({"every": "weekly", "time": "00:00", "day_mon": "on", "day_sun": "on"}, ("cron", "0 0 * * mon,sun")),
        ({"every": "monthly", "time": "23:59", "day": "31"}, ("cron", "59 23 31 * *")),
        ({"kind": "interval", "seconds": "5m"}, ("interval", "5m")),
        ({"kind": "once", "once": "2027-01-01 00:00"}, ("once", "2027-01-01 00:00")),
    ],
)
def test_the_builder(typed: dict[str, str], rule: tuple[str, str]) -> None:
    assert read_rule({"kind": "built"} | typed) == rule


def test_the_preview_says_what_the_clocks_do(shop: Any) -> None:
    answer = shop.post("/schedules/preview", **(NEW | {"expression": "30 2 * * *"}))
    said = text_of(answer)
    assert "<html" not in answer.text
    assert "02:30 does not exist in Europe/Berlin" in said
    assert "comes twice" in said
    assert said.count("+0100") + said.count("+0200") >= 5, "in winter or in summer"
    assert "No connected worker has registered shop.sink" in text_of(shop.post("/schedules/preview", **(NEW | {"task_name": "shop.sink"})))


def test_times_stand_in_the_viewers_zone_too(shop: Any) -> None:
    shop.client.cookies.set("z4j_zone", "America%2FNew_York")
    assert "America/New_York" in text_of(shop.post("/schedules/preview", **NEW))
    shop.client.cookies.set("z4j_zone", "<b>nowhere")
    assert "<b>" not in shop.post("/schedules/preview", **NEW).text.replace("<b>", "", 0).partition("What")[0].replace("</b>", "")


def test_an_edit_is_reviewed_before_it_is_saved(shop: Any) -> None:
    shop.post("/schedules/new", **NEW, step="save")
    row = rows(shop)["nightly"]
    path = f"/schedules/{row.id}/edit"
    assert "Review the change" in text_of(shop.get(path))
    change = NEW | {"expression": "45 3 * * *", "reason": "later"}
    reviewed = text_of(shop.post(path, **change, step="review"))
    assert "30 2 * * mon-fri 45 3 * * *" in reviewed
    assert "Save 1 change" in reviewed
    assert rows(shop)["nightly"].expression == "30 2 * * mon-fri"
    assert shop.post(path, **change, step="save").headers["location"] == f"/schedules/{row.id}"
    assert rows(shop)["nightly"].expression == "45 3 * * *"
    assert "nothing differs yet" in text_of(shop.post(path, **change, step="review"))
    assert ("ada", "save_schedule", "schedule z4j:nightly", "done") in [row[:4] for row in shop.audit()]
    assert "later" in text_of(shop.get(f"/schedules/{row.id}"))


def test_it_is_switched_run_and_deleted(shop: Any) -> None:
    shop.post("/schedules/new", **NEW, step="save")
    page = f"/schedules/{rows(shop)['nightly'].id}"
    assert "Say why" in text_of(shop.client.post(f"{page}/act", data={"act": "disable"}, headers={"Origin": "http://testserver"}))
    shop.post(f"{page}/act", act="disable", reason="holidays")
    assert "off" in text_of(shop.get("/schedules?state=off"))
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
    assert "Back to code" in text_of(shop.get(f"/schedules/{row.id}"))
    shop.post(f"/schedules/{row.id}/act", act="revert")
    assert shop.frames[-1]["params"]["overrides"] == []
    changed = NEW | {"kind": "interval", "seconds": "5m", "args": "[1]", "kwargs": "", "name": "in-code"}
    assert "Save" in text_of(shop.post(f"/schedules/{row.id}/edit", **changed, step="review"))
    shop.post(f"/schedules/{row.id}/edit", **changed, step="save")
    spec = shop.frames[-1]["params"]["overrides"][0]["spec"]
    assert (spec["expression"], spec["args"], spec["kwargs"]) == ("300", None, None), "what was left as it is keeps what is masked"


def test_lists_in_every_form(shop: Any) -> None:
    shop.post("/schedules/new", **NEW, step="save")
    listed = shop.get("/schedules.json").json()["schedules"]
    assert {of["scheduler"] for of in listed} == {"z4j", "celery_beat"}
    assert {of["name"]: of["state"] for of in listed} == {"nightly": "on time", "in-code": "on time", "odd": "unknown"}
    assert "30 2 * * mon-fri" in shop.get("/schedules.csv").text
    shop.get("/schedules")  # the notice of its making is shown once
    assert "nightly" not in text_of(shop.get("/schedules?scheduler=celery_beat"))
    assert "No schedule matches" in text_of(shop.get("/schedules?state=missed"))
    detail = shop.get(f"/schedules/{rows(shop)['nightly'].id}.json").json()
    assert len(detail["schedule"]["upcoming"]) == 5
    assert [edit["action"] for edit in detail["edits"]] == ["created"]


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


def test_the_next_24_hours(shop: Any) -> None:
    for number in range(4):
        shop.post("/schedules/new", **(NEW | {"name": f"n{number}", "expression": "0 5 * * *"}), step="save")
    shop.post("/schedules/new", **(NEW | {"name": "often", "kind": "interval", "seconds": "30"}), step="save")
    page = text_of(shop.get("/schedules/calendar"))
    assert "4 schedules are due in the same minute." in page
    assert "2 schedules run more often" in page, "the one of thirty seconds, and Celery Beat's of a minute"
    now = clock.now()
    lines, _ = shop.call(list_lines, shop.server.store, _any(), now)
    _, due = occurrences([of.row for of in lines if of.row.next_at], now, now + 86_400 * SECOND)
    first = next(at for at, row in due if row.name == "n0")
    narrowed = text_of(shop.get(f"/schedules/calendar?from={first}&to={first + 60 * SECOND}"))
    assert "n3" in narrowed
    assert shop.get("/schedules/calendar?from=x&to=99999999999999999999").status_code == 200


@pytest.mark.parametrize("minute", [0, 1, 14, 15, 239, 240, 241, 254, 255, 719, 1439])
def test_the_whole_window_is_shown_at_any_time_of_the_day(shop: Any, minute: int) -> None:
    """Also what is due in its last, partial quarter of an hour."""
    shop.post("/schedules/new", **(NEW | {"name": "daily", "expression": "0 4 * * *", "timezone": "UTC"}), step="save")
    midnight = clock.now() // (86_400 * SECOND) * 86_400 * SECOND
    now = midnight + minute * 60 * SECOND + 7
    due = midnight + 4 * 3_600 * SECOND + (86_400 * SECOND if minute >= 240 else 0)
    shop.write(lambda db: db.execute("UPDATE schedule SET next_at = ? WHERE name = 'daily'", (due,)).rowcount)
    clock.use(lambda: now * 1000)
    try:
        assert shop.sign_in().status_code == 303
        page = shop.get("/schedules/calendar").text
    finally:
        clock.use()
    assert len(re.findall(r"\bdaily\b", text_of_part(page))) == 1
    bars = re.findall(r'<a href="/schedules/calendar\?from=(\d+)&amp;to=(\d+)#due"[^>]*><rect', page)
    assert any(int(first) <= due < int(last) for first, last in bars)


def test_every_due_time_of_a_day_is_in_the_window_and_in_the_chart() -> None:
    for now in range(T, T + 86_400 * SECOND, 61 * SECOND):
        start, end, buckets = window(now)
        assert end - now == 86_400 * SECOND
        assert start <= now
        assert 0 <= (end - 1 - start) // BUCKET < buckets <= 97


def text_of_part(page: str) -> str:
    """What is listed below the chart."""
    return " ".join(re.sub(r"<[^>]+>", " ", page.partition('id="due"')[2]).split())


def _any() -> Any:
    from z4j.web.pages.tasks.filters import Filters

    return Filters()


# -- the API ---------------------------------------------------------------------------------------------------------------
def test_the_api_does_the_same(shop: Any) -> None:
    body = {
        "app": "shop", "engine": "celery", "environment": "production", "name": "by-api", "kind": "interval", "expression": "5m",
        "task_name": "shop.ship", "args": [1],
    }  # fmt: skip
    made = ask(shop, "POST", "/schedules", body)
    assert made.status_code == 201
    id = made.json()["id"]
    assert ask(shop, "POST", "/schedules", body | {"args": []}).status_code == 400
    assert ask(shop, "POST", "/schedules", body, role="viewer").status_code == 403
    assert ask(shop, "POST", f"/schedules/{id}", {"expression": "10m", "jitter_s": 3}).status_code == 202
    told = ask(shop, "GET", f"/schedules/{id}", role="viewer").json()["schedule"]
    assert (told["expression"], told["jitter_us"], told["args"], told["says"]) == ("600", 3_000_000, "[1]", "Every 10 minutes")
    fire = ask(shop, "POST", f"/schedules/{id}/actions", {"action": "fire"}).json()
    assert fire["task_id"] == shop.frames[-1]["params"]["new_id"]
    for action, status in (("disable", 400), ("enable", 202), ("revert", 409), ("delete", 400), ("dance", 400)):
        assert ask(shop, "POST", f"/schedules/{id}/actions", {"action": action}).status_code == status, action
    assert ask(shop, "POST", f"/schedules/{id}/actions", {"action": "delete", "confirm": "delete"}).status_code == 202
    assert ask(shop, "GET", f"/schedules/{id}").status_code == 404
    listed = ask(shop, "GET", "/schedules?app=shop").json()["schedules"]
    assert {of["name"] for of in listed} == {"in-code", "odd"}
    assert [of["scheduler"] for of in ask(shop, "GET", "/schedulers").json()["schedulers"]] == ["celery_beat"]
    code = next(of["id"] for of in listed if of["name"] == "in-code")
    assert ask(shop, "POST", f"/schedules/{code}/actions", {"action": "disable", "reason": "x"}).status_code == 202
    assert ask(shop, "POST", f"/schedules/{code}/actions", {"action": "revert"}).status_code == 202
