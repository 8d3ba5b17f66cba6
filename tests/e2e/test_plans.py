# SPDX-License-Identifier: AGPL-3.0-or-later
"""Plans over thousands of tasks of three engines, with real brokers and workers; the witnesses are the tasks themselves."""

from __future__ import annotations

import os
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.support.stack import ROOT, Stack, stack, wait_for

pytestmark = pytest.mark.timeout(900)
ENGINES = ("celery", "rq", "huey")
SIDE = "tests.support.many"
ENDED = ("done", "changed", "refused", "failed", "expired", "unknown", "aborted")


class Orders:
    """The three applications in one app, and a client of the API."""

    def __init__(self, shop: Stack) -> None:
        self.shop = shop
        self.unlock = shop.folder / "unlock"
        token = shop.command("token", "create", "--api", "test", "--role", "operator").strip()
        self.client = httpx2.Client(base_url=f"{shop.address}/api/v1", headers={"Authorization": f"Bearer {token}"}, timeout=60)

    def environment(self, **more: str) -> dict[str, str]:
        return {**os.environ, **self.shop.environment(), "UNLOCK": str(self.unlock), **more}

    def python(self, engine: str) -> Path:
        return ROOT / f".venvs/{engine}/bin/python"

    def start_workers(self) -> None:
        words: dict[str, tuple[str, ...]] = {
            "celery": ("-m", "celery", "-A", f"{SIDE}.celery_side", "worker", "-Q", "orders", "-c", "2", "--loglevel", "WARNING"),
            "rq": ("-m", f"{SIDE}.rq_side", "worker"),
            "huey": ("-m", "huey.bin.huey_consumer", f"{SIDE}.huey_side.huey", "-w", "2", "-n", "-q"),
        }
        for engine in ENGINES:
            self.shop.start(f"{engine}-worker", [self.python(engine), *words[engine]], {"UNLOCK": str(self.unlock)})
        wait_for(lambda: len(self.get("/workers")["workers"]) >= 3, seconds=60, what="the workers of three engines are connected")

    def produce(self, engine: str, queue: str, amount: int) -> None:
        module = f"{SIDE}.huey_produce" if engine == "huey" else f"{SIDE}.{engine}_side"
        done = subprocess.run(
            [self.python(engine), "-m", module, queue, str(amount)], cwd=ROOT, env=self.environment(HUEY_QUEUE=queue), capture_output=True,
            text=True, timeout=300, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr

    def get(self, path: str, **query: Any) -> Any:
        return self.client.get(path, params=query).raise_for_status().json()

    def post(self, path: str, **body: Any) -> Any:
        answer = self.client.post(path, json=body)
        assert answer.status_code < 300, answer.text
        return answer.json()

    def count(self, state: int) -> int:
        return int(self.shop.rows("SELECT coalesce(sum(tasks), 0) FROM counter WHERE state = ?", state)[0][0])

    def account(self, id: int) -> dict[str, int]:
        found = self.get(f"/plans/{id}")
        account = {word: items for word, items in found["account"].items() if items}
        assert sum(account.values()) == found["plan"]["items"]
        return account

    def ran(self) -> Counter[str]:
        return Counter(" ".join(line) for line in self.shop.testimony())

    def wait(self, id: int, *status: str) -> dict[str, Any]:
        def look() -> Any:
            found = self.get(f"/plans/{id}")
            return found["plan"] if found["plan"]["status"] in status and not found["account"]["sent"] else None

        return wait_for(look, seconds=300, what=f"plan {id} is {status}")


@pytest.fixture
def orders(tmp_path: Path) -> Iterator[Orders]:
    with stack(tmp_path) as shop:
        shop.start_broker()
        shop.command("migrate")
        shop.add_app()
        shop.start_server()
        yield Orders(shop)


def run_plans(orders: Orders, failing: int, waiting: int) -> None:
    """`failing` tasks of each engine that failed are retried by a plan that is aborted halfway and outlives a kill of the server;
    `waiting` tasks of each in queues nobody serves are cancelled."""
    shop = orders.shop
    orders.start_workers()
    for engine in ENGINES:
        orders.produce(engine, "orders", failing)
    wait_for(lambda: orders.count(11) >= 3 * failing, seconds=300, what="every order has failed")
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
    wait_for(lambda: sum(orders.ran().values()) == 3 * failing + account["done"], seconds=120, what="what was retried has run")
    assert max(orders.ran().values()) == 2, "nothing ran twice"

    rest = orders.post("/plans", action="retry_task", filter={"state": "failed"})["plan"]
    assert rest["items"] == account["aborted"]
    assert rest["excluded"] == {"it was run again already": account["done"]}
    orders.post(f"/plans/{rest['id']}/execute", digest=rest["digest"])
    orders.wait(rest["id"], "done")
    assert orders.account(rest["id"]) == {"done": rest["items"]}
    wait_for(lambda: sum(orders.ran().values()) == 6 * failing, seconds=120, what="every order has run again")
    assert set(orders.ran().values()) == {2}
    wait_for(lambda: orders.count(12) == 3 * failing, seconds=60, what="the store knows it")

    for engine in ENGINES:
        orders.produce(engine, "idle", waiting)
    wait_for(lambda: orders.count(2) == 3 * waiting, seconds=60, what="the waiting ones are known")
    stop = orders.post("/plans", action="cancel_task", filter={"queue": "idle"})["plan"]
    assert stop["items"] == 3 * waiting
    orders.post(f"/plans/{stop['id']}/execute", digest=stop["digest"])
    orders.wait(stop["id"], "done")
    account = orders.account(stop["id"])
    assert account["done"] + account.get("refused", 0) == 3 * waiting, account
    assert account["done"] >= waiting
    assert "all as they were written" in shop.command("audit", "verify")


def test_a_plan_over_five_thousand_tasks_of_three_engines(orders: Orders) -> None:
    run_plans(orders, 1_500, 200)


@pytest.mark.long
@pytest.mark.timeout(6_000)
def test_a_plan_over_a_hundred_thousand_tasks(orders: Orders) -> None:
    run_plans(orders, 33_000, 400)
