# SPDX-License-Identifier: AGPL-3.0-or-later
"""`z4j task | queue | worker | plan` against a server and workers that run."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.operator import Orders
from tests.support.stack import SERVER_PYTHON, Stack, wait_for

pytestmark = pytest.mark.timeout(300)
QUEUED, FAILED, SUCCEEDED = 2, 11, 12


class Terminal:
    """Somebody at a shell, with an API token."""

    def __init__(self, orders: Orders, role: str = "operator") -> None:
        self.orders = orders
        self.token = orders.shop.command("token", "create", "--api", role, "--role", role).strip()

    def z4j(self, *words: str) -> tuple[int, str]:
        """(exit code, all that was printed)."""
        env = self.orders.environment(Z4J_SERVER=self.orders.shop.address, Z4J_API_TOKEN=self.token)
        done = self.orders.shop.run(SERVER_PYTHON, "z4j", *words, env=env)
        return done.returncode, done.stdout + done.stderr

    def ok(self, *words: str) -> str:
        code, said = self.z4j(*words)
        assert code == 0, (words, code, said)
        return said

    def json(self, *words: str) -> Any:
        return json.loads(self.ok(*words, "--json"))


@pytest.fixture
def orders(shop: Stack) -> Orders:
    orders = Orders(shop, ("celery", "rq"), is_single=True)
    orders.start_workers()
    return orders


def test_an_operator_needs_no_browser(orders: Orders) -> None:
    shell = Terminal(orders)
    for engine in orders.engines:
        orders.produce(engine, "orders", 2)
    wait_for(lambda: orders.count(FAILED) == 4, seconds=60, what="the warehouse is closed")
    orders.unlock.touch()

    listed = shell.json("task", "list", "--state", "failed", "--engine", "celery")["tasks"]
    assert [row["name"] for row in listed] == ["celery_order"] * 2
    assert shell.json("task", "list", "state:failed", "engine:celery -name:other")["tasks"] == listed
    assert shell.z4j("task", "list", "stat:failed")[0] == 2
    task_id = listed[0]["task_id"]
    assert f" {task_id} " in shell.ok("task", "list", "--engine", "celery")
    assert json.loads(shell.ok("task", "show", task_id))["row"]["state"] == "failed"

    assert "done, task " in shell.ok("task", "retry", task_id, "--reason", "it is open again")
    assert "done, task " in shell.ok("task", "edit", task_id, "--arg", "0=77")
    assert "done, task " in shell.ok("task", "run", "celery_order", "--app", "shop", "--engine", "celery", "--arg", "99")
    wait_for(lambda: orders.count(SUCCEEDED) == 3, seconds=60, what="all three have run")
    assert {"celery 77", "celery 99"} <= set(orders.ran())
    assert shell.z4j("task", "cancel", task_id)[0] == 5, "it has ended"
    assert shell.z4j("task", "show", "no-such-task")[0] == 4

    frozen = shell.json("plan", "freeze", "retry_task", "--state", "failed", "--engine", "rq", "--reason", "open")["plan"]
    assert frozen["items"] == 2
    assert shell.z4j("plan", "execute", str(frozen["id"]), "000000000000")[0] not in (0, 1), "another hash than what was looked at"
    assert "2 done" in shell.ok("plan", "execute", str(frozen["id"]), frozen["digest"][:12])
    assert "retry task" in shell.ok("plan", "list")
    wait_for(lambda: orders.count(SUCCEEDED) == 5, seconds=60, what="the plan's have run")

    code, said = shell.z4j("queue", "pause", "orders")
    assert (code, "more than one" in said) == (2, True), "Celery and RQ both have one of that name"
    assert "done" in shell.ok("queue", "pause", "orders", "--engine", "rq")
    assert "paused" in shell.ok("queue", "list")
    orders.produce("rq", "orders", 3)
    waiting = wait_for(lambda: orders.count(QUEUED) == 3 or orders.count(QUEUED) == 2, seconds=60, what="they wait")
    assert waiting
    assert "rq_order" in shell.ok("queue", "peek", "orders", "--engine", "rq")
    assert shell.z4j("queue", "purge", "orders", "--engine", "rq", "--confirm", "yes")[0] == 2
    assert "done" in shell.ok("queue", "purge", "orders", "--engine", "rq", "--confirm", "purge")
    assert "done" in shell.ok("queue", "resume", "orders", "--engine", "rq")

    worker = next(row["name"] for row in shell.json("worker", "list")["workers"] if "celery" in row["name"])
    assert "done" in shell.ok("worker", "resize", worker, "1")
    assert "done" in shell.ok("worker", "shutdown", worker, "--confirm", "shutdown")
    wait_for(lambda: next(c for c in orders.shop.children if c.name == "celery-worker").process.poll() == 0, seconds=30, what="it ends")
    assert shell.z4j("task", "retry", task_id)[0] == 7, "nobody of Celery is there"
    other = next(row["name"] for row in shell.json("worker", "list")["workers"] if row["name"] != worker)
    assert "done" in shell.ok("worker", "shutdown", other, "--confirm", "shutdown")
    wait_for(lambda: next(c for c in orders.shop.children if c.name == "rq-worker").process.poll() is not None, seconds=30, what="it ends")
    failed = next(row["task_id"] for row in shell.json("task", "list", "--engine", "rq", "--state", "failed")["tasks"])
    assert shell.z4j("task", "retry", failed)[0] == 7, "nor of RQ"
    assert shell.z4j("worker", "shutdown", "nobody", "--confirm", "shutdown")[0] == 4


def test_a_viewer_looks_and_touches_nothing(orders: Orders) -> None:
    shell = Terminal(orders, "viewer")
    assert "celery" in shell.ok("queue", "list")
    for words in (
        ("queue", "pause", "orders", "--engine", "rq"),
        ("plan", "freeze", "retry_task", "--state", "failed"),
        ("task", "run", "celery_order", "--app", "shop", "--engine", "celery"),
    ):
        assert shell.z4j(*words)[0] == 3, words
    shell.token = "made-up"
    code, said = shell.z4j("task", "list")
    assert (code, "made-up" in said) == (3, False)
