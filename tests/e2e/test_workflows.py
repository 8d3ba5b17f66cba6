# SPDX-License-Identifier: AGPL-3.0-or-later
"""Workflows of real engines: what is drawn from each of their tasks, and what a retry of the failed ones plans."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.support.browserless import Person
from tests.support.operator import SIDE, Orders
from tests.support.stack import Stack, wait_for, wait_for_count

pytestmark = pytest.mark.timeout(300)
QUEUED, FAILED, SUCCEEDED = 2, 11, 12


def start(shop: Stack, engine: str, *worker: str) -> Orders:
    orders = Orders(shop, (engine,))
    shop.start(f"{engine}-worker", [orders.python(engine), *worker], orders.environment())
    wait_for(lambda: orders.get("/workers")["workers"], seconds=60, what="the worker is connected")
    done = shop.run(orders.python(engine), f"{SIDE}.{engine}_workflow", "send", env=orders.environment())
    assert done.returncode == 0, done.stderr
    return orders


def tasks(shop: Stack) -> dict[str, int]:
    """First argument → row."""
    wait_for(lambda: not shop.rows("SELECT 1 FROM task WHERE args IS NULL"), what="the arguments of every task are known")
    found = {}
    for id, args in shop.rows("SELECT id, args FROM task"):
        word = re.search(r'\[\s*"([^"]+)"', args)
        assert word, args
        found[word[1]] = id
    return found


def drawn(person: Person, id: int) -> dict[str, Any]:
    """The workflow of a task: the names of its tasks by their first argument, and how many senders are not known."""
    words = {row: word for word, row in tasks(person.stack).items()}
    found = person.get(f"/tasks/{id}/workflow.json").json()
    return {
        "tasks": sorted(words[task["id"]] for task in found["tasks"] if task["is_known"]),
        "links": {(words.get(link["source"], "?"), words[link["target"]], link["kind"]) for link in found["links"]},
    }


def planned(person: Person, orders: Orders, id: int) -> list[str]:
    """Presses *Retry failed tasks* on the page of a workflow. Returns what the frozen plan holds."""
    words = {row: word for word, row in tasks(person.stack).items()}
    page = person.get(f"/tasks/{id}/workflow").text
    ids = re.findall(r'<input type="hidden" name="id" value="(\d+)">', page)
    answer = person.client.post("/plans", data={"action": "retry_task", "id": ids, "reason": "again"})
    match = re.search(r"/plans/(\d+)", str(answer.url))
    assert match, answer.text
    plan = orders.get(f"/plans/{match[1]}")["plan"]
    items = [words[task] for (task,) in person.stack.rows("SELECT task FROM plan_item WHERE plan_id = ?", int(match[1]))]
    assert (plan["status"], plan["items"]) == ("frozen", len(items))
    return sorted(items)


def test_chains_and_groups_of_celery(shop: Stack) -> None:
    orders = start(shop, "celery", "-m", "celery", "-A", f"{SIDE}.celery_workflow", "worker", "-c", "2", "--loglevel", "WARNING")
    person = Person.sign_in(shop)
    wait_for_count(lambda: orders.count(FAILED), 4, what="four tasks have failed")
    wait_for_count(lambda: orders.count(SUCCEEDED), 5, what="five tasks have succeeded")
    rows = tasks(shop)
    members = [f"group {n}" for n in range(4)]
    for word in ("first", "group 1"):
        found = drawn(person, rows[word])
        assert found["tasks"] == ["first", *members]
        assert {("first", member, "parent") for member in members} <= found["links"]
        assert planned(person, orders, rows[word]) == ["group 1", "group 3"]
    for word in ("alone 0", "alone 1"):
        found = drawn(person, rows[word])
        assert (found["tasks"], found["links"]) == (["alone 0", "alone 1"], {("?", f"alone {n}", "group") for n in (0, 1)})
        assert "unknown sender" in person.get(f"/tasks/{rows[word]}/workflow").text
        assert planned(person, orders, rows[word]) == ["alone 1"]
    assert drawn(person, rows["begin"])["tasks"] == ["begin", "middle"]
    assert planned(person, orders, rows["begin"]) == ["middle"]


def test_dependencies_of_rq(shop: Stack) -> None:
    orders = start(shop, "rq", "-m", f"{SIDE}.rq_workflow", "worker")
    person = Person.sign_in(shop)
    wait_for_count(lambda: orders.count(FAILED), 2, what="two jobs have failed")
    wait_for_count(lambda: orders.count(SUCCEEDED), 2, what="two jobs have succeeded")
    rows = tasks(shop)
    whole = ["bad", "first", "good", "never"]
    for word in whole:
        found = drawn(person, rows[word])
        assert found["tasks"] == whole
        assert found["links"] == {("first", "good", "depends_on"), ("first", "bad", "depends_on"), ("bad", "never", "depends_on")}
        assert planned(person, orders, rows[word]) == ["bad"]
    assert [row["name"] for row in person.get(f"/tasks/{rows['first']}.json").json()["dependents"]] == [f"{SIDE}.rq_workflow.step"] * 2
