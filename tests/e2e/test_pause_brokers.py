# SPDX-License-Identifier: AGPL-3.0-or-later
"""Two workers of one app, environment and host take from the queue `orders` of two Redis databases: a pause, and a schedule of z4j's own,
is of one of them."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.support.operator import SIDE, Orders
from tests.support.stack import SERVER_PYTHON, Child, Stack, is_seen_within, wait_for

pytestmark = pytest.mark.timeout(300)
COMMANDS = {
    "rq": ("-m", f"{SIDE}.rq_side", "worker"),
    "celery": ("-m", "celery", "-A", f"{SIDE}.celery_side", "worker", "-P", "solo", "--loglevel", "WARNING", "--without-mingle"),
}
ENGINES = ("rq", pytest.param("celery", marks=pytest.mark.long))
"""What a pause does in each engine is in the contract of the adapters (`PausesContract`); here it passes through the whole product."""
BOTH = (0, 1)


class Two:
    """The same application on both databases of one broker."""

    def __init__(self, shop: Stack, engine: str) -> None:
        self.orders, self.engine, self.shop = Orders(shop, (engine,)), engine, shop
        self.orders.unlock.touch()
        self.workers = [self.start(which) for which in BOTH]
        wait_for(lambda: len(self.connected()) == 2, seconds=60, what="both workers are connected")
        for which in BOTH:
            self.produce(which)
        wait_for(lambda: self.ran(0) == self.ran(1) == 1, seconds=60, what="both take tasks")
        self.brokers = wait_for(self.known, seconds=60, what="both queues are reported")

    def environment(self, which: int) -> dict[str, str]:
        return self.orders.environment(BROKER_URL=f"redis://127.0.0.1:{self.shop.broker_port}/{which}", WITNESS=str(self.witness(which)))

    def witness(self, which: int) -> Path:
        return self.shop.folder / f"witness-{which}"

    def start(self, which: int) -> Child:
        words: list[str | Path] = [self.orders.python(self.engine), *COMMANDS[self.engine]]
        if self.engine == "celery":
            words += ["-n", f"of-{which}@here"]
        return self.shop.start(f"worker-{which}", words, self.environment(which))

    def restart(self, which: int) -> None:
        before = self.connected()
        self.workers[which].kill()
        self.workers[which] = self.start(which)
        wait_for(lambda: self.connected() - before, seconds=150, what="the worker is connected again")

    def connected(self) -> set[str]:
        rows = self.shop.rows("SELECT boot FROM agent WHERE left_at IS NULL AND worker_id IS NOT NULL")
        return {str(row[0]) for row in rows}

    def produce(self, which: int) -> None:
        done = self.shop.run(self.orders.python(self.engine), f"{SIDE}.{self.engine}_side", "orders", "1", env=self.environment(which))
        assert done.returncode == 0, done.stderr

    def ran(self, which: int) -> int:
        return len(self.witness(which).read_text().splitlines()) if self.witness(which).exists() else 0

    def rows(self) -> list[dict[str, Any]]:
        return [row for row in self.orders.get("/queues")["queues"] if row["name"] == "orders"]

    def known(self) -> list[str]:
        names = sorted(row["broker"] for row in self.rows())
        return names if len(names) == 2 and all(names) else []

    def paused(self) -> list[str]:
        return [hold["broker"] for hold in self.orders.get("/queues")["paused"]]

    def shell(self, *words: str) -> str:
        """What a command of `z4j` prints."""
        own = {"Z4J_SERVER": self.shop.address, "Z4J_API_TOKEN": self.orders.client.headers["Authorization"].removeprefix("Bearer ")}
        done = self.shop.run(SERVER_PYTHON, "z4j", *words, env=self.environment(0) | own)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def act(self, action: str, which: int) -> None:
        row = self.rows()[0]
        where = {"app": row["app"], "environment": row["environment"], "engine": self.engine, "queue": "orders"}
        made = self.orders.post("/queues/actions", action=action, broker=self.brokers[which], **where)["commands"]
        assert made
        for command in made:
            wait_for(lambda id=command["id"]: self.orders.get(f"/commands/{id}")["status"] == "done", what=f"{action} is done")  # type: ignore[misc]


@pytest.mark.parametrize("engine", ENGINES)
def test_a_pause_stops_the_queue_of_one_database(shop: Stack, engine: str) -> None:
    two = Two(shop, engine)
    two.act("pause_queue", 0)
    assert two.paused() == [two.brokers[0]]
    for which in BOTH:
        two.produce(which)
    wait_for(lambda: two.ran(1) == 2, seconds=60, what="the other database's worker goes on")
    assert not is_seen_within(2, lambda: two.ran(0) > 1)
    for which in BOTH:
        two.restart(which)
    two.produce(1)
    wait_for(lambda: two.ran(1) == 3, seconds=60, what="it goes on after a restart, too")
    assert not is_seen_within(2, lambda: two.ran(0) > 1), "what is paused stays so after a restart"
    lines = [line for line in two.shell("queue", "list").splitlines() if " orders in " in line]
    assert {broker: line.endswith("paused") for line in lines for broker in two.brokers if f"orders in {broker} " in line} == {
        two.brokers[0]: True,
        two.brokers[1]: False,
    }
    two.act("resume_queue", 0)
    wait_for(lambda: two.ran(0) == 2, seconds=60, what="it goes on when it is resumed")
    assert two.paused() == []


@pytest.mark.parametrize("engine", ENGINES)
def test_a_pause_from_before_the_upgrade_is_of_both_until_each_goes_on(shop: Stack, engine: str) -> None:
    """As it was stored then: without a broker."""
    two = Two(shop, engine)
    two.act("pause_queue", 0)
    for worker in two.workers:
        worker.kill()
    with closing(sqlite3.connect(shop.data / "z4j.db", timeout=20)) as database, database:
        database.execute("UPDATE hold SET broker = ''")
    wait_for(lambda: not two.connected(), what="both workers are away")
    for which in BOTH:
        two.workers[which] = two.start(which)
    wait_for(lambda: len(two.connected()) == 2, seconds=60, what="both workers are connected")
    wait_for(lambda: two.paused() == [""], what="it is in force")
    for which in BOTH:
        two.produce(which)
        assert not is_seen_within(2, lambda which=which: two.ran(which) > 1)  # type: ignore[misc]
    two.act("resume_queue", 1)
    wait_for(lambda: two.ran(1) == 2, seconds=60, what="the one that is resumed goes on")
    assert two.paused() == [two.brokers[0]]
    assert not is_seen_within(2, lambda: two.ran(0) > 1)
    two.act("resume_queue", 0)
    wait_for(lambda: two.ran(0) == 2, seconds=60, what="so does the other")


def test_a_schedule_makes_its_tasks_in_its_broker(shop: Stack) -> None:
    two = Two(shop, "rq")
    row = two.rows()[0]
    name = f"{SIDE}.rq_side.rq_order"
    schedule = {"kind": "interval", "expression": "1", "task_name": name, "args": [7], "queue": "orders", "name": "every second"}
    where = {"app": row["app"], "environment": row["environment"], "engine": "rq"}
    refused = two.orders.client.post("/schedules", json=where | schedule)
    assert (refused.status_code, "Choose a broker" in refused.json()["detail"]) == (400, True)
    before = two.ran(0)
    id = two.orders.post("/schedules", **where, **schedule, broker=two.brokers[1])["id"]
    wait_for(lambda: two.ran(1) >= 4, seconds=60, what="its worker runs what is due")
    two.orders.post(f"/schedules/{id}/actions", action="fire")
    assert two.ran(0) == before
    fires = two.orders.get(f"/schedules/{id}")["fires"]
    assert {fire["outcome"] for fire in fires} <= {"sent", "handed"}, fires
