# SPDX-License-Identifier: AGPL-3.0-or-later
"""What each condition of a query finds, and how many the counters say it finds."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.database import SECOND, T, database, life, origin, task, tell
from z4j import clock
from z4j.exceptions import BadInput
from z4j.rules.queries.parse import parse
from z4j.store.search import conditions
from z4j.store.search.conditions import TaskFilter
from z4j.store.sqlite.db import Store
from z4j.store.tasks import task_search
from z4j.store.tasks.tasks import count_tasks, list_tasks

pytestmark = pytest.mark.anyio
NOW = T + 3_600 * SECOND
ALL = ["wait", "c", "b2", "b", "a"]


@pytest.fixture
async def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Store]:
    monkeypatch.setattr(clock, "now", lambda: NOW)
    for limit in ("WALK_US", "ORDER_US"):
        monkeypatch.setattr(task_search, limit, 60_000_000)  # however busy the machine is
    async with database(tmp_path) as store:
        await tell(store, origin("b1", worker="w1", release="1.0", environment="production"))
        await tell(store, origin("b2", worker="w2", release="2.0", environment="staging"))
        await tell(store, *life("a", T, name="mail.send", queue="mail", run="b1.7"))
        await tell(store, *life("b", T + 10 * SECOND, "failed", name="mail.bounce", queue="mail", run="b2.7"))
        await tell(
            store,
            task(
                "enqueued",
                "b2",
                T + 15 * SECOND,
                None,
                {"code": "shop/views.py:12", "route": "/buy", "label": "blue"},
                name="shop.buy",
                run="b1.7",
            ),
            task(
                "failed",
                "b2",
                T + 25 * SECOND,
                None,
                T + 20 * SECOND,
                5_000_000,
                "",
                "redis.exceptions.ConnectionError",
                "x",
                "",
                attempt=0,
                name="shop.buy",
                run="b1.7",
            ),
        )
        await tell(store, task("enqueued", "c", T + 20 * SECOND, name="shop.ship", queue="ship%", run="b1.7"))
        await tell(store, task("started", "c", T + 3_500 * SECOND, name="shop.ship", queue="ship%", attempt=1, run="b2.7"))
        await tell(store, task("enqueued", "wait", T + 3_000 * SECOND, name="shop.ship", queue="other", run="b1.7"))
        yield store


async def found(store: Store, text: str) -> list[str]:
    query = parse(text)
    return [row.task_id for row in (await list_tasks(store, TaskFilter(terms=query.terms, order=query.order))).rows]


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("", ALL),
        ("state:failed", ["b2", "b"]),
        ("state:failed,running", ["c", "b2", "b"]),
        ("-state:failed", ["wait", "c", "a"]),
        ("state:failed -state:failed", []),
        ("name:mail.*", ["b", "a"]),
        ("name:mail.send,shop.ship", ["wait", "c", "a"]),
        ("-name:mail.*", ["wait", "c", "b2"]),
        ("name:mail.* -name:mail.send", ["b"]),
        ("-name:never", ALL),
        ("name:never", []),
        ("name:never*", []),
        ("name:never,mail.send", ["a"]),
        ('name:"mail.*"', []),
        ('queue:ship%', ["c"]),
        ("queue:mail,other", ["wait", "b", "a"]),
        ("engine:celery", ALL),
        ("-engine:celery", []),
        ("app:shop", ALL),
        ("app:SH*", ALL),
        ("-app:shop", []),
        ("app:other", []),
        ("env:staging", ["c", "b"]),
        ("-env:staging", ["wait", "b2", "a"]),
        ("worker:w2", ["c", "b"]),
        ("worker:w1,w2", ["c", "b2", "b", "a"]),
        ("worker:w*", ["c", "b2", "b", "a"]),
        ("release:2.0", ["c", "b"]),
        ("release:1.* state:failed", ["b2"]),
        ("error:ConnectionError", ["b2"]),
        ("error:redis.*", ["b2"]),
        ("error:Conn*", ["b2"]),
        ("error:connectionerror", []),
        ("error:Error", []),
        ("error:ValueError,ConnectionError", ["b2", "b"]),
        ("state:failed -error:ValueError", ["b2"]),
        ("caller:shop/views.py:12", ["b2"]),
        ("caller:shop/*", ["b2"]),
        ("route:/buy", ["b2"]),
        ("-route:/b*", ["wait", "c", "b", "a"]),
        ("label:blue", ["b2"]),
        ("label:bl*", ["b2"]),
        ("-label:blue state:failed", ["b"]),
        ("ran:>1s", ["c", "b2"]),
        ("ran:>=900ms ran:<1s", ["b", "a"]),
        ("ran:<1s", ["b", "a"]),
        ("ran:>5s", ["c"]),
        ("waited:>=5s", ["wait", "b2"]),
        ("waited:>5m", ["wait"]),
        ("waited:<5s", ["b", "a"]),
        ("enqueued:known enqueued:unknown", ALL),
        ("enqueued:known", ["wait", "c", "b2", "b", "a"]),
        ("enqueued:unknown", []),
        ("attempt:1", ["wait", "b2", "b", "a"]),
        ("attempt:>1", ["c"]),
        ("attempt:<=1 state:failed", ["b2", "b"]),
        ("order:ran", ["c", "b2", "b", "a"]),
        ("order:waited state:failed", ["b2", "b"]),
        ("order:first", ALL),
    ],
)  # fmt: skip
async def test_conditions(store: Store, text: str, ids: list[str]) -> None:
    assert await found(store, text) == ids
    query = parse(text)
    counts = await count_tasks(store, TaskFilter(terms=query.terms))
    if counts is not None and query.order == "first":
        states = [term.value for term in query.terms if term.field == "state" and not term.is_not]
        not_states = [term.value for term in query.terms if term.field == "state" and term.is_not]
        counted = sum(tasks for state, tasks in counts.by_state if (not states or state in states) and state not in not_states)
        assert counted == len(ids), "the counters know exactly"


async def test_alternatives_to_what_stands_alone(store: Store) -> None:
    both = TaskFilter(name="mail.send", terms=parse("name:mail.bounce").terms)
    assert [row.task_id for row in (await list_tasks(store, both)).rows] == ["b", "a"]


async def test_what_the_counters_know(store: Store) -> None:
    for text in ("state:failed name:a* -queue:x env:y app:z engine:q",):
        assert TaskFilter(terms=parse(text).terms).is_counted
    for text in ("worker:x", "release:x", "error:x", "word", "args.0:1", "ran:>1s", "attempt:2", "label:x"):
        assert not TaskFilter(terms=parse(text).terms).is_counted
        assert await count_tasks(store, TaskFilter(terms=parse(text).terms)) is None


async def test_too_many_names_for_one_condition(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conditions, "MAX_NAMES", 1)
    with pytest.raises(BadInput, match="begin with “mail"):
        await found(store, "name:mail.*")
    assert await found(store, "name:mail.s*") == ["a"]


async def test_many_alternatives_are_walked_along_another_index(store: Store) -> None:
    names = ",".join(f"n{number}" for number in range(50))
    await tell(store, *(task("enqueued", f"t{number}", T + (100 + number) * SECOND, name=f"n{number}", run="b1.7") for number in range(50)))
    assert len(await found(store, f"name:{names}")) == 50
    assert len(await found(store, "name:n*")) == 50
    assert await found(store, f"name:{names} queue:mail") == []


async def test_an_order_by_duration_says_how_much_was_searched(store: Store) -> None:
    page = await list_tasks(store, TaskFilter(order="ran"), limit=2)
    assert [row.task_id for row in page.rows] == ["c", "b2"]
    assert (page.searched, page.older, page.newer, page.searched_to) == (5, None, None, None)
