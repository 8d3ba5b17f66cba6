# SPDX-License-Identifier: AGPL-3.0-or-later
"""The list of workers: who is connected, what is noted of them, and what was refused."""

from __future__ import annotations

import dataclasses

from tests.support.database import T
from tests.support.site import text_of
from tests.unit.web.pages.conftest import EVIL, Shop
from z4j import clock
from z4j.store.fleet import agents
from z4j.store.fleet.gaps import RefusedRow
from z4j.store.fleet.workers import WorkerRow, list_workers
from z4j.web.pages.workers.list import SKEW, notes, refused


def row_of(shop: Shop) -> WorkerRow:
    [row] = shop.call(list_workers, shop.server.store)
    assert isinstance(row, WorkerRow)
    return row


def test_a_worker_is_listed_while_it_is_connected_and_after_it_left(shop: Shop) -> None:
    [worker] = shop.get("/workers.json").json()["workers"]
    assert (worker["name"], worker["state"], worker["engines"], worker["queues"]) == ("w1", "connected", "celery 5", ["work"])
    assert 'href="/workers/w1?app=shop&amp;environment=production"' in shop.get("/workers").text
    at = clock.now()
    shop.write(lambda db: agents.record_left(db, 1, "b9", at, "gone", is_orderly=False))
    [worker] = shop.get("/workers.json").json()["workers"]
    assert (worker["state"] == "connected", worker["held"]) == (False, 0)
    assert shop.get("/workers.csv").text.count("\r\n") == 2


def test_names_are_escaped_and_lead_to_their_own_page(shop: Shop) -> None:
    shop.join("b2", f"w/{EVIL}")
    page = shop.get("/workers")
    assert f"w/{EVIL}" in text_of(page)
    assert EVIL not in page.text
    [href] = [part.split('"')[0] for part in page.text.split('href="')[1:] if part.startswith("/workers/w%2F")]
    assert shop.get(href.replace("&amp;", "&")).status_code == 200


def test_without_workers_the_page_says_so_and_a_bad_place_is_refused(empty: Shop) -> None:
    assert empty.get("/workers").status_code == 200
    assert empty.get("/workers.json").json() == {"workers": [], "after": None}
    for path in ("/workers", "/workers.json"):
        assert empty.get(f"{path}?after={EVIL}").status_code == 400


def test_another_scope_shows_other_workers(shop: Shop) -> None:
    assert len(shop.get("/workers.json?app=shop&environment=production").json()["workers"]) == 1
    for query in ("app=other", "environment=staging", "engine=rq"):
        assert shop.get(f"/workers.json?{query}").json()["workers"] == []


def test_what_is_wrong_with_a_worker_is_noted_and_nothing_else(shop: Shop) -> None:
    row = row_of(shop)
    usual = len(notes(row))

    def noted(**facts: object) -> int:
        return len(notes(dataclasses.replace(row, agent=dataclasses.replace(row.agent, **facts)))) - usual  # type: ignore[arg-type]

    assert noted(clock_skew_us=SKEW) == 0
    assert noted(clock_skew_us=SKEW + 1) == noted(clock_skew_us=-SKEW - 1) == 1
    assert noted(dropped=3) == noted(faults=2) == noted(spool_bytes=1_000_001) == noted(allow="read") == 1
    assert noted(seal_key="k1", app_seal_key="k2") == 1
    assert noted(seal_key="k1", app_seal_key="k1") == 0
    assert noted(dropped=3, faults=2, allow="read") == 3
    assert len(notes(dataclasses.replace(row, processes=2))) == usual + 1


def test_refused_records_are_told_with_their_number() -> None:
    said = refused(RefusedRow("shop", "bad_time", 1_234, T))
    assert (said.app, said.at) == ("shop", T)
    assert "1,234" in said.text
    assert "bad time" in said.text


def test_a_wrong_position_is_refused_before_the_file_begins(shop: Shop) -> None:
    answer = shop.get("/workers.csv?after=nonsense")
    assert answer.status_code == 400
    assert "not a valid position" in answer.text
