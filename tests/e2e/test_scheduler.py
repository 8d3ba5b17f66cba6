# SPDX-License-Identifier: AGPL-3.0-or-later
"""The steps of the contract of schedulers (`z4j_agent.conformance.scheduling`) for z4j's own, which is no adapter: through the API of a
real server, with a real worker of Dramatiq, which has no other scheduler."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from croniter import croniter

from tests.support.operator import Orders
from tests.support.stack import Stack, running_shop, wait_for

SECOND = 1_000_000
TASK = "dramatiq_order"


class Own:
    """z4j's own scheduler as an operator has it."""

    def __init__(self, shop: Stack) -> None:
        self.orders = Orders(shop, ("dramatiq",))
        self.orders.start_workers()
        self.orders.unlock.touch()
        self.shop = shop

    def make(self, number: int, **changes: Any) -> int:
        wanted = {
            "app": "shop", "engine": "dramatiq", "name": f"order {number}", "kind": "interval", "expression": "1", "task_name": TASK,
            "args": [number],
        }  # fmt: skip
        return int(self.orders.post("/schedules", **(wanted | changes))["id"])

    def refused(self, **changes: Any) -> str:
        wanted = {"app": "shop", "engine": "dramatiq", "name": "x", "kind": "interval", "expression": "1", "task_name": TASK, "args": [1]}
        answer = self.orders.client.post("/schedules", json=wanted | changes)
        assert answer.status_code == 400, answer.text
        return answer.text

    def ask(self, id: int, action: str, **more: Any) -> Any:
        return self.orders.post(f"/schedules/{id}/actions", action=action, **more)

    def told(self, id: int) -> Any:
        return self.orders.get(f"/schedules/{id}")["schedule"]

    def ran(self, number: int) -> int:
        return self.orders.ran()[f"dramatiq {number}"]

    def await_run(self, number: int, more_than: int = 0) -> int:
        wait_for(lambda: self.ran(number) > more_than, seconds=20, what=f"order {number} runs")
        return self.ran(number)

    def await_silence(self, number: int) -> None:
        time.sleep(1.5)
        before = self.ran(number)
        time.sleep(3)
        assert self.ran(number) == before, "it fires although it is off"


@pytest.fixture(scope="module")
def own(prepared: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Own]:
    """One server, broker and worker for all tests: the schedules of each have numbers of their own."""
    with running_shop(tmp_path_factory.mktemp("scheduler"), prepared) as shop:
        yield Own(shop)


def test_its_entries_are_made_listed_switched_changed_and_deleted(own: Own) -> None:
    id = own.make(1)
    own.await_run(1)
    told = wait_for(lambda: (of := own.told(id)) and of["last_at"] and of, seconds=10, what="its last run is told")
    assert (told["scheduler"], told["kind"], told["expression"], told["is_code"], told["args"]) == ("z4j", "interval", "1", False, "[1]")
    assert told["next_at"] > told["last_at"]
    fire = next(of for of in own.orders.get(f"/schedules/{id}")["fires"] if of["outcome"] == "sent")
    assert fire["fired_at"] - fire["due_at"] < 20 * SECOND
    task = wait_for(lambda: own.orders.get("/tasks", task_id=fire["task_id"])["tasks"], seconds=10, what="its task is told, too")[0]
    assert task["name"] == TASK

    own.ask(id, "disable", reason="enough")
    assert (own.told(id)["is_enabled"], own.told(id)["next_at"]) == (False, None)
    own.await_silence(1)
    own.ask(id, "enable")
    own.await_run(1, own.ran(1))

    own.orders.post(f"/schedules/{id}", kind="cron", expression="15 4 * * 1-5", timezone="Europe/Berlin")
    changed = own.told(id)
    assert (changed["expression"], changed["args"]) == ("15 4 * * mon-fri", "[1]"), "what was not changed stays"
    own.await_silence(1)
    before = own.ran(1)
    asked = own.ask(id, "fire")
    assert asked["task_id"]
    own.await_run(1, before)
    assert own.told(id)["next_at"] == changed["next_at"], "running it now moves nothing"

    own.ask(id, "delete", confirm="delete")
    assert own.orders.client.get(f"/schedules/{id}").status_code == 404

    at = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=5)
    once = own.make(2, kind="once", expression=at.isoformat())
    own.await_run(2)
    time.sleep(3)
    assert own.ran(2) == 1
    due = [of["due_at"] for of in own.orders.get(f"/schedules/{once}")["fires"]]
    assert due == [int(at.timestamp()) * SECOND]


def test_a_restart_of_the_server_keeps_every_change(own: Own) -> None:
    fires, silent, later = own.make(11), own.make(12), own.make(13, kind="cron", expression="30 2 * * *", timezone="America/New_York")
    own.await_run(12)
    own.ask(silent, "disable", reason="enough")
    own.orders.post(f"/schedules/{later}", expression="45 3 * * sun")
    server = next(child for child in reversed(own.shop.children) if child.name == "server")
    server.end()
    time.sleep(1)
    own.shop.start_server()
    wait_for(lambda: own.orders.get("/workers")["workers"], seconds=60, what="the worker is back")
    own.await_run(11, own.ran(11))
    assert own.told(fires)["is_enabled"]
    own.await_silence(12)
    assert (own.told(later)["expression"], own.told(later)["timezone"]) == ("45 3 * * sun", "America/New_York")
    own.ask(fires, "disable", reason="enough")


def test_what_it_cannot_hold_is_refused(own: Own) -> None:
    assert "Minute: “61” is outside the range 0 to 59" in own.refused(kind="cron", expression="61 * * * *")
    bad: tuple[dict[str, Any], ...] = (
        {"kind": "cron", "expression": "every now and then"}, {"kind": "cron", "expression": "0 0 * * *", "timezone": "Mars/Olympus"},
        {"expression": "often"}, {"kind": "once", "expression": "tomorrow"}, {"kind": "never"}, {"task_name": ""},
        {"args": []}, {"kwargs": {"colour": "red"}},
    )  # fmt: skip
    for changes in bad:
        own.refused(**changes)


def test_zones_days_and_weekdays_mean_what_they_say(own: Own) -> None:
    """Beside croniter, which is asked in local time; of day and weekday one is enough, as in cron."""
    for number, (expression, zone) in enumerate(
        (("30 2 * * *", "Asia/Kolkata"), ("0 12 * * 0", "UTC"), ("0 12 * * mon-wed,sat", "Europe/Berlin"), ("5 0 1 1,7 *", "UTC"),
         ("0 */6 13 * fri", "Asia/Tokyo"), ("0 0 29 2 *", "America/Sao_Paulo")),
        start=21,
    ):  # fmt: skip
        due = [
            datetime.fromtimestamp(at / 1e6, ZoneInfo(zone))
            for at in upcoming(own, own.make(number, kind="cron", expression=expression, timezone=zone))
        ]
        wanted = croniter(expression, datetime.now(ZoneInfo(zone)).replace(tzinfo=None), day_or=True)
        assert [of.replace(tzinfo=None) for of in due] == [wanted.get_next(datetime) for _ in due], expression


def upcoming(own: Own, id: int) -> list[int]:
    found: list[int] = own.told(id)["upcoming"]
    assert len(found) == 5
    return found
