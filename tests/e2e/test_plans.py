# SPDX-License-Identifier: AGPL-3.0-or-later
"""Plans over hundreds and thousands of tasks of three engines, with real brokers and workers; the witnesses are the tasks themselves."""

from __future__ import annotations

import time
from collections import Counter

import pytest

from tests.support.operator import Orders
from tests.support.stack import Stack, wait_for, wait_for_count

pytestmark = pytest.mark.timeout(900)
ENGINES = ("celery", "rq", "huey")
QUEUED, FAILED, SUCCEEDED = 2, 11, 12


@pytest.fixture
def orders(shop: Stack) -> Orders:
    return Orders(shop, ENGINES)


def run_plans(orders: Orders, failing: int, waiting: int) -> None:
    """`failing` tasks of each engine that failed are retried by a plan that is aborted halfway and outlives a kill of the server;
    `waiting` tasks of each in queues nobody serves are cancelled."""
    shop = orders.shop
    orders.start_workers()
    for engine in ENGINES:
        orders.produce(engine, "orders", failing)
    wait_for_count(lambda: orders.count(FAILED), 3 * failing, what="every order has failed")
    orders.unlock.touch()
    assert orders.ran() == Counter({f"{engine} {number}": 1 for engine in ENGINES for number in range(failing)})

    first = orders.post("/plans", action="retry_task", filter={"state": "failed"}, reason="the warehouse is back")
    plan = first["plan"]
    assert (plan["items"], plan["excluded"]) == (3 * failing, {})
    assert {group["engine"]: group["items"] for group in first["groups"]} == dict.fromkeys(ENGINES, failing)
    assert len(plan["samples"]) == 20
    orders.post(f"/plans/{plan['id']}/execute", digest=plan["digest"], pace=f"{12 * failing}/m")
    wait_for(lambda: orders.account(plan["id"]).get("done", 0) > failing // 2, seconds=120, what="a part of it is done")
    server = next(child for child in reversed(shop.children) if child.name == "server")
    server.kill()
    time.sleep(1)
    shop.start_server()
    began = orders.account(plan["id"]).get("done", 0)
    wait_for(lambda: orders.account(plan["id"]).get("done", 0) > max(began, failing), seconds=120, what="it goes on by itself")
    orders.post(f"/plans/{plan['id']}/abort")
    orders.wait(plan["id"], "aborted")
    account = orders.account(plan["id"])
    assert set(account) == {"done", "aborted"}, account
    assert 0 < account["aborted"] < 3 * failing
    wait_for_count(lambda: sum(orders.ran().values()), 3 * failing + account["done"], what="what was retried has run")
    assert max(orders.ran().values()) == 2, "nothing ran twice"

    rest = orders.post("/plans", action="retry_task", filter={"state": "failed"})["plan"]
    assert rest["items"] == account["aborted"], (account, rest)
    assert rest["excluded"] == {"already retried": account["done"]}
    orders.post(f"/plans/{rest['id']}/execute", digest=rest["digest"])
    orders.wait(rest["id"], "done")
    assert orders.account(rest["id"]) == {"done": rest["items"]}
    wait_for_count(lambda: sum(orders.ran().values()), 6 * failing, what="every order has run again")
    assert set(orders.ran().values()) == {2}
    wait_for_count(lambda: orders.count(SUCCEEDED), 3 * failing, what="the store knows it")

    for engine in ENGINES:
        orders.produce(engine, "idle", waiting)
    wait_for_count(lambda: orders.count(QUEUED), 3 * waiting, what="the waiting ones are known")
    stop = orders.post("/plans", action="cancel_task", filter={"queue": "idle"})["plan"]
    assert stop["items"] == 3 * waiting
    orders.post(f"/plans/{stop['id']}/execute", digest=stop["digest"])
    orders.wait(stop["id"], "done")
    account = orders.account(stop["id"])
    assert account["done"] + account.get("refused", 0) == 3 * waiting, account
    assert account["done"] >= waiting
    assert "the log is intact" in shop.command("audit", "verify")


def test_a_plan_over_tasks_of_three_engines(orders: Orders) -> None:
    run_plans(orders, 150, 40)


@pytest.mark.long
@pytest.mark.timeout(6_000)
def test_a_plan_over_a_hundred_thousand_tasks(orders: Orders) -> None:
    run_plans(orders, 33_000, 400)
