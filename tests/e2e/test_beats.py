# SPDX-License-Identifier: AGPL-3.0-or-later
"""A real Celery Beat under a real server: two of them are told as double, one that is killed by what it misses."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.support.operator import Orders
from tests.support.stack import CELERY_PYTHON, ROOT, Child, Stack, wait_for

pytestmark = pytest.mark.timeout(300)


def start_beat(shop: Stack, name: str) -> Child:
    env = {"STORE": "code", "PYTHONPATH": str(ROOT / "adapters/celery/tests/apps")}
    words = ["-A", "beat_app", "beat", "--loglevel", "INFO", "--pidfile", "", "-s", str(shop.folder / f"{name}-schedule")]
    return shop.start(name, [CELERY_PYTHON, "-m", "celery", *words], env)


def told(orders: Orders, name: str) -> Any:
    return next((of for of in orders.get("/schedules")["schedules"] if of["name"] == name), None)


def test_two_beats_are_told_as_double_and_a_killed_one_by_what_it_misses(shop: Stack) -> None:
    orders = Orders(shop, ())
    first = start_beat(shop, "first")
    every = wait_for(lambda: (of := told(orders, "every")) and of["last_at"] and of, seconds=60, what="the schedule is listed and fires")
    assert (every["scheduler"], every["is_code"], every["state"]) == ("celery_beat", True, "on time")
    assert told(orders, "nightly")["says"] == "At 02:30"

    second = start_beat(shop, "second")
    boots = "SELECT count(DISTINCT boot) FROM fire WHERE schedule_id = ?"
    wait_for(lambda: shop.rows(boots, every["id"])[0][0] == 2, seconds=60, what="the second fires too")
    query = "SELECT id, boot FROM fire WHERE schedule_id = ? AND is_double = 1"
    doubles = wait_for(
        lambda: shop.rows(query, every["id"]),
        seconds=10,
        what="told as double",
    )
    newer = shop.rows("SELECT boot FROM fire WHERE schedule_id = ? ORDER BY id DESC LIMIT 1", every["id"])[0][0]
    since = shop.rows("SELECT min(id) FROM fire WHERE schedule_id = ? AND boot = ?", every["id"], newer)[0][0]
    assert min(row[0] for row in doubles) <= since + 3, "within two fires of each"
    assert told(orders, "every")["state"] == "double"
    second.end()

    first.kill()
    killed = time.monotonic()
    missed = wait_for(lambda: told(orders, "every")["state"] == "missed", seconds=90, what="told as missed")
    assert missed
    assert time.monotonic() - killed < 61, "within a minute of the first missed fire"

    def newest() -> Any:
        fire = orders.get(f"/schedules/{every['id']}")["fires"][0]
        return fire if fire["outcome"] == "missed" else None

    assert "no process" in wait_for(newest, seconds=60, what="the missed fire has a row")["error"]

    orders.post(f"/schedules/{every['id']}/actions", action="disable", reason="nobody needs it")
    assert told(orders, "every")["is_enabled"] is True, "nobody is there to take the change"
    third = start_beat(shop, "third")
    wait_for(lambda: told(orders, "every")["is_enabled"] is False, seconds=60, what="the next beat is told")
    assert told(orders, "every")["state"] == "off"
    orders.post(f"/schedules/{every['id']}/actions", action="revert")
    wait_for(lambda: told(orders, "every")["state"] == "on time", seconds=60, what="back to code")
    assert third.process.poll() is None
