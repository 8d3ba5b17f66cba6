# SPDX-License-Identifier: AGPL-3.0-or-later
"""Queues and workers page by page: an app with very many of them hides none of another's, and costs no page its time."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.requests import Request

from tests.support.database import SECOND, T, database, life, origin, tell
from tests.support.site import Site, site, text_of
from tests.unit.store.fleet.test_agents import hello
from z4j import clock
from z4j.exceptions import BadInput
from z4j.store.fleet import agents, gaps
from z4j.store.fleet.queues import FIRST, each_queue, list_queues, place_of
from z4j.store.fleet.workers import list_workers, page_of_workers
from z4j.store.names import name_limits, names
from z4j.store.tasks.task_search import END_OF_TIME, cursor
from z4j.web.frame.paging import moment_from
from z4j.web.pages.settings.connection_strings import connect_app, make_api_token
from z4j.wire.records import Fault, FaultFacts, Gap, GapFacts

pytestmark = pytest.mark.anyio
QUEUES, WORKERS = 2_000, 300


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Site]:
    """An app "aaa" with thousands of queues and hundreds of workers, and "shop" with one of each."""
    with site(tmp_path) as made:
        store = made.server.store
        for name in ("aaa", "shop"):
            made.call(connect_app, store, name, "h", "test")
        at = clock.now()

        def fill(db: Any) -> None:
            places = [(1, names.intern(db, "queue", f"q{number}"), names.intern(db, "name", f"n{number}")) for number in range(QUEUES)]
            places.append((2, names.intern(db, "queue", "work"), names.intern(db, "name", "shop.ship")))
            environment, engine = names.intern(db, "environment", "production"), names.intern(db, "engine", "celery")
            rows = [(app, environment, engine, queue, name, state, 3) for app, queue, name in places for state in (2, 4, 10, 11)]
            db.executemany("INSERT INTO counter VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
            for number in range(WORKERS):
                agents.record_hello(db, 1, hello(f"b{number}", worker=f"w{number}"), at, 0)
            agents.record_hello(db, 2, hello("mine", worker="zz"), at, 0)

        made.write(fill)
        made.add_user()
        made.enter()
        made.token = made.call(make_api_token, store, "viewer", "viewer", 1, "test")[1]  # type: ignore[attr-defined]
        yield made


def read_all(shop: Any, what: str, **query: str) -> list[dict[str, Any]]:
    headers, found, after = {"Authorization": f"Bearer {shop.token}"}, [], ""
    while after is not None:
        answer = shop.client.get(f"/api/v1/{what}", params=query | ({"after": after} if after else {}), headers=headers).json()
        found += answer[what]
        after = answer["after"]
    return found


@pytest.mark.parametrize(("what", "many"), [("queues", QUEUES), ("workers", WORKERS)])
def test_every_row_stands_on_exactly_one_page(shop: Any, what: str, many: int) -> None:
    seen, href, pages = [], f"/{what}", 0
    while href:
        answer = shop.get(href)
        assert answer.status_code == 200
        rows = [part.split('"')[0] for part in answer.text.split(f'href="/{what}/')[1:]]
        assert len(set(rows)) <= 100
        seen += sorted(set(rows))
        next_page = [part for part in answer.text.split('href="') if 'rel="next"' in part.split(">")[0]]
        href = next_page[0].split('"')[0].replace("&amp;", "&") if next_page else ""
        pages += 1
    assert len(seen) == len(set(seen)) == many + 1
    assert pages == many // 100 + 1
    assert len(read_all(shop, what)) == many + 1
    [mine] = read_all(shop, what, app="shop")
    assert mine["name"] in ("work", "zz")
    assert shop.get(f"/{what}?after=%5B1%5D").status_code == 400
    assert len(shop.get(f"/{what}.csv").text.splitlines()) == many + 2


def test_an_app_is_found_among_the_many_of_another(shop: Any) -> None:
    assert "work" in text_of(shop.get("/queues?app=shop"))
    assert shop.get("/queues/work?app=shop&environment=production&engine=celery").status_code == 200
    assert "zz" in text_of(shop.get("/workers?app=shop"))
    assert shop.get("/workers/zz?app=shop&environment=production").status_code == 200
    assert shop.get("/workers/zz").status_code == 200


def test_a_page_of_queues_is_quick_among_many(shop: Any) -> None:
    """Against the same page of an app with one queue, in turns, so that a busy machine slows both."""
    times: dict[str, list[float]] = {"/queues": [], "/queues?app=shop": []}
    for _ in range(15):
        for href, found in times.items():
            began = time.perf_counter()
            assert shop.get(href).status_code == 200
            found.append(time.perf_counter() - began)
    many, one = (sorted(found)[7] for found in times.values())
    print(f"/queues: {many * 1_000:.1f} ms with {QUEUES:,} queues, {one * 1_000:.1f} ms with one")
    assert many < max(0.1, one * 8)


async def test_the_order_of_queues_goes_on_where_it_was(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        for number in range(7):
            await tell(store, origin(), *life(f"t{number}", T, queue=f"q{number}"))
        first = await list_queues(store, limit=3)
        assert [row.name for row in first] == ["q0", "q1", "q2"]
        await tell(store, *life("new", T, queue="q15"))  # one that comes before the place moves nothing behind it
        rest = await list_queues(store, after=place_of(first[-1]))
        assert [row.name for row in rest] == ["q3", "q4", "q5", "q6"]
        assert [row.name async for row in each_queue(store)] == ["q0", "q1", "q15", "q2", "q3", "q4", "q5", "q6"]
        assert await list_queues(store, app="other", after=FIRST) == []


async def test_processes_of_an_app_are_forgotten_beyond_a_limit_and_of_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    monkeypatch.setattr(agents, "MOST", 50)
    async with database(tmp_path) as store:
        await store.write(lambda db: db.execute("INSERT INTO app (name, created_at) VALUES ('loud', 0)").rowcount)
        await store.write(lambda db: agents.record_hello(db, 1, hello("mine"), T, 0))
        await store.write(lambda db: agents.record_left(db, 1, "mine", T + 1, "gone", is_orderly=False))
        for number in range(200):
            boot = f"b{number}"
            await store.write(partial(agents.record_hello, app_id=2, hello=hello(boot, worker=boot), at=T + 5, skew=0))
            if number % 2:
                await store.write(partial(agents.record_left, app_id=2, boot=boot, at=T + 6, reason="bye", is_orderly=True))
        counts: dict[int, int] = dict(await store.fetch_all("SELECT app_id, count(*) FROM agent GROUP BY app_id"))
        assert counts[1] == 1
        assert counts[2] <= 106, "all that are connected, and few that left"
        assert {row.name for row in await list_workers(store) if row.app == "shop"} == {"w1"}
        found = await page_of_workers(store, limit=10)
        assert (len(found.rows), found.connected) == (10, 100)


async def test_gaps_and_faults_of_one_app_hide_none_of_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that is years ahead, and thousands of reports, neither push another app's off the page nor fill the database."""
    monkeypatch.setattr(gaps, "MOST", 300)
    years = 10 * 365 * 86_400 * SECOND
    async with database(tmp_path) as store:
        await store.write(lambda db: db.execute("INSERT INTO app (name, created_at) VALUES ('loud', 0)").rowcount)

        def report(db: Any) -> None:
            for number in range(1_000):
                gaps.record_gap(db, 2, Gap(f"k{number}", T + years, GapFacts(1, 1, T, T, "full")))
                gaps.record_fault(db, 2, Fault(f"k{number}", T + years, FaultFacts("here", "bad", 1)))
            gaps.record_gap(db, 1, Gap("k", T, GapFacts(1, 1, T, T, "full")))
            gaps.record_fault(db, 1, Fault("k", T, FaultFacts("here", "bad", 1)))

        await store.write(report)
        for rows in (await gaps.list_gaps(store, since=T - 1), await gaps.list_faults(store, since=T - 1)):
            assert {row.app for row in rows} == {"shop", "loud"}
            assert sum(row.app == "loud" for row in rows) == gaps.EACH
        assert (await store.fetch_all("SELECT count(*) FROM gap WHERE app_id = 2"))[0][0] == 300
        assert (await store.fetch_all("SELECT count(*) FROM fault WHERE app_id = 2"))[0][0] == 300


async def test_registered_tasks_of_one_app_hide_none_of_another(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        await store.write(lambda db: db.execute("INSERT INTO app (name, created_at) VALUES ('aaa', 0)").rowcount)

        def register(db: Any) -> None:
            engine = names.intern(db, "engine", "celery")
            for app, number in [(2, number) for number in range(200)] + [(1, 999)]:
                id = names.intern(db, "name", f"n{number}")
                db.execute("INSERT INTO task_name VALUES (?, ?, ?, 0, '()', '', 0, 0, '')", (app, id, engine))

        await store.write(register)
        rows = await agents.list_task_names(store, limit=100)
        assert [sum(row.app == app for row in rows) for app in ("aaa", "shop")] == [100, 1]
        assert await agents.find_task_name(store, "aaa", "celery", "n199") is not None


def test_what_is_beyond_the_limit_is_said_on_the_page(shop: Any) -> None:
    shop.write(lambda db: gaps.record_refused(db, 1, {name_limits.CAUSE + "name": 1234, name_limits.CAUSE + "broker": 5}, clock.now()))
    assert "1,234 reports of a task name over the limit of 5,000: shown as (others)" in text_of(shop.get("/workers"))
    assert "5 reports of a broker over the limit of 200: stored as unknown" in text_of(shop.get("/workers"))


def moment_of(text: str) -> tuple[int, int] | None:
    return moment_from(Request({"type": "http", "headers": [], "query_string": urlencode({"before": text}).encode()}), "before")


@given(st.tuples(st.integers(0, END_OF_TIME), st.integers(0, END_OF_TIME)).filter(lambda pair: len(cursor(pair)) < 40))
@settings(deadline=None)
def test_moments_return(pair: tuple[int, int]) -> None:
    assert moment_of(cursor(pair)) == pair


@pytest.mark.parametrize("text", ["x", "1", "1-", "-1", "-1-2", "1-x", "1-1-1", "²-1", "9" * 50 + "-1"])
def test_other_moments_are_refused(text: str) -> None:
    with pytest.raises(BadInput):
        moment_of(text)


def test_a_list_begins_without_a_moment() -> None:
    assert moment_of("") is None
