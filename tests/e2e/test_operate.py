# SPDX-License-Identifier: AGPL-3.0-or-later
"""Operating several engines at once, with real brokers and workers: what they then do is the proof."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.operator import Orders
from tests.support.stack import Stack, is_seen_within, running_shop, wait_for

pytestmark = pytest.mark.timeout(600)
ENGINES = ("celery", "rq", "huey", "arq")
RUNS = 12
"""State code of a task that succeeded."""


@pytest.fixture(scope="module")
def orders(prepared: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orders]:
    """One server, broker and worker of each engine for all tests: each begins with queues that are paused and empty."""
    with running_shop(tmp_path_factory.mktemp("operate"), prepared) as shop:
        orders = Orders(shop, ENGINES, is_single=True)
        orders.unlock.touch()
        orders.start_workers()
        yield orders


def pause(orders: Orders) -> None:
    """Every queue is paused, and empty: what a worker had asked for already has run."""
    for engine in ENGINES:
        orders.ask_queue("pause_queue", engine)
        for _ in range(5):
            before = len(orders.shop.testimony())
            orders.produce(engine, "orders", 1)
            if not is_seen_within(2, lambda before=before: len(orders.shop.testimony()) > before):  # type: ignore[misc]
                orders.ask_queue("purge_queue", engine, confirm="purge")
                break
        else:
            raise AssertionError(f"{engine} takes from a paused queue")
    (orders.shop.folder / "witness").write_text("")


def waiting(orders: Orders, engine: str, amount: int) -> list[dict[str, Any]]:
    """The tasks that wait, the first enqueued first."""

    def look() -> Any:
        found = orders.get("/tasks", engine=engine, state="queued", limit=500)["tasks"]
        return found if len(found) == amount else None

    return list(reversed(wait_for(look, seconds=60, what=f"{amount} tasks of {engine} are known")))


def ran(orders: Orders, engine: str) -> list[int]:
    return [int(order) for who, order in orders.shop.testimony() if who == engine]


def test_one_plan_changes_the_order_of_four_engines(orders: Orders) -> None:
    pause(orders)
    for engine in ENGINES:
        orders.produce(engine, "orders", 6)
    chosen = []
    for engine in ENGINES:
        rows = waiting(orders, engine, 6)
        if engine != "rq":  # its producer names the function as a text, so only the worker can show arguments
            assert [row["args"] for row in rows] == [f"[{number}]" for number in range(6)], engine
        chosen += [rows[3]["id"], rows[5]["id"]]
    plan = orders.post("/plans", action="prioritise_task", ids=chosen, level="next", reason="the customer waits")["plan"]
    assert (plan["items"], plan["excluded"]) == (8, {})
    orders.post(f"/plans/{plan['id']}/execute", digest=plan["digest"])
    orders.wait(plan["id"], "done")
    assert orders.account(plan["id"]) == {"done": 8}
    for engine in ENGINES:
        orders.ask_queue("resume_queue", engine)
    wait_for(lambda: len(orders.shop.testimony()) >= 24, seconds=60, what="every order has run")
    for engine in ENGINES:
        assert ran(orders, engine) == [3, 5, 0, 1, 2, 4], engine


def run_purge(orders: Orders, amounts: dict[str, int]) -> None:
    """The waiting tasks of each engine are purged, put back by undo, and run in the order they were enqueued."""
    pause(orders)
    for engine, amount in amounts.items():
        orders.produce(engine, "orders", amount)
    for engine, amount in amounts.items():
        wait_for(lambda engine=engine, amount=amount: _known(orders, engine) == amount, seconds=60, what=f"{engine} is known")  # type: ignore[misc]
        purge = orders.ask_queue("purge_queue", engine, confirm="purge", reason="by mistake")
        assert purge["detail"]["tasks"] == amount, (engine, purge)
        undo = orders.post(f"/commands/{purge['id']}/undo")["plan"]
        assert (undo["items"], undo["excluded"]) == (amount, {}), engine
        orders.post(f"/plans/{undo['id']}/execute", digest=undo["digest"])
        orders.wait(undo["id"], "done")
        assert orders.account(undo["id"]) == {"done": amount}
    assert orders.shop.testimony() == []
    for engine in ENGINES:
        orders.ask_queue("resume_queue", engine)
    wait_for(lambda: len(orders.shop.testimony()) >= sum(amounts.values()), seconds=120, what="every order has run")
    for engine, amount in amounts.items():
        assert ran(orders, engine) == list(range(amount)), engine
    assert "the log is intact" in orders.shop.command("audit", "verify")


def test_what_was_purged_is_put_back_in_order(orders: Orders) -> None:
    run_purge(orders, {"celery": 40, "rq": 30, "huey": 20, "arq": 10})


@pytest.mark.long
def test_a_purge_of_a_thousand_is_put_back_in_order(orders: Orders) -> None:
    run_purge(orders, {"celery": 400, "rq": 300, "huey": 200, "arq": 100})


def _known(orders: Orders, engine: str) -> int:
    rows = orders.shop.rows("SELECT count(*) FROM task AS t JOIN name AS g ON g.id = t.engine_id WHERE g.text = ? AND t.state = 2", engine)
    return int(rows[0][0])
