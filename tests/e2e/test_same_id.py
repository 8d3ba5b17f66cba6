# SPDX-License-Identifier: AGPL-3.0-or-later
"""An id that the application uses again is a row for each execution, on six engines, whether the producer is watched or not."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.many.same_id import ID
from tests.support.operator import SIDE, Orders
from tests.support.stack import Stack, wait_for

pytestmark = pytest.mark.timeout(300)
ENGINES = ("celery", "rq", "huey", "arq", "dramatiq", "taskiq")


def enqueue(orders: Orders, engine: str, number: int, *, is_watched: bool) -> None:
    environment = orders.environment() | ({} if is_watched else {"Z4J_URL": ""})
    done = orders.shop.run(orders.python(engine), f"{SIDE}.same_id", engine, str(number), env=environment)
    assert done.returncode == 0, done.stderr


def runs(orders: Orders, engine: str) -> list[dict[str, Any]]:
    """The executions with the id, the earliest first."""
    found = [task for task in orders.get("/tasks", task_id=ID)["tasks"] if task["engine"] == engine]
    return sorted(found, key=lambda task: int(task["id"]))


def test_every_night_has_its_own_row(shop: Stack) -> None:
    orders = Orders(shop, ENGINES)
    orders.start_workers()
    nights = [(1, True, "succeeded"), (2, True, "failed"), (3, False, "succeeded"), (4, True, "failed")]
    for number, is_watched, state in nights:
        orders.unlock.touch() if state == "succeeded" else orders.unlock.unlink()
        for engine in ENGINES:
            enqueue(orders, engine, number, is_watched=is_watched)

        def is_told(number: int = number) -> bool:
            return all([task["state"] for task in runs(orders, engine)] == [night[2] for night in nights[:number]] for engine in ENGINES)

        wait_for(is_told, seconds=60, what=f"night {number} is told by {ENGINES}")
    for engine in ENGINES:
        told = [orders.get(f"/tasks/{task['id']}")["row"] for task in runs(orders, engine)]
        assert [task["args"] for task in told] == ["[1]", "[2]", "[3]", "[4]"], engine
        assert [("refused" in (task["error"] or "")) for task in told] == [False, True, False, True], engine
