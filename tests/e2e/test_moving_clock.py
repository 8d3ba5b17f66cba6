# SPDX-License-Identifier: AGPL-3.0-or-later
"""The clock of a machine is set forward by three days and back again while server, agents and schedules run on it."""

from __future__ import annotations

import json
import os
import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx2
import pytest

from tests.support.browserless import Person
from tests.support.moving_clock import MovingClock
from tests.support.stack import SERVER_PYTHON, Stack, stack, wait_for, wait_for_count
from z4j.store.backups.backup_results import BackupResults, write_results

pytestmark = pytest.mark.timeout(240)
DAY_S, HOUR_S = 86_400, 3_600
SUCCEEDED = 12
SETTINGS = {"Z4J_DAYS_KEPT": "1", "Z4J_BACKUPS_DAILY": "7"}


class Machine:
    """A server and a worker whose clock is moved."""

    def __init__(self, made: Stack) -> None:
        self.stack, self.clock = made, MovingClock(made.folder)
        self.ids: list[str] = []
        """Tasks that were enqueued."""
        made.start_broker()
        words: list[str | Path] = [SERVER_PYTHON, "-m", "z4j", "serve", "--port", str(made.port)]
        self.server = server = made.start("server", words, self.clock.environment | SETTINGS)
        wait_for(lambda: made.answers(server), what=f"the server answers, see {server.log}")
        made.start_worker(env=self.clock.environment | {"Z4J_ALLOW": "all"})
        token = made.command("token", "create", "--api", "test", "--role", "operator").strip()
        self.api = httpx2.Client(base_url=f"{made.address}/api/v1", headers={"Authorization": f"Bearer {token}"}, timeout=60)
        made.at_end.append(self.api.close)
        wait_for(lambda: self.api.get("/workers").json()["workers"], seconds=30, what="the worker is connected")

    def work(self, amount: int = 40) -> None:
        """Tasks are enqueued and run, and all of them are known."""
        self.enqueue(amount)
        wait_for_count(self.known, len(self.ids), what="every task has succeeded")

    def work_while_the_clock_moves(self, seconds: int) -> None:
        """What agents report has times that the clock of the server has not reached when it arrives."""
        os.kill(self.server.process.pid, signal.SIGSTOP)
        self.enqueue(20)
        wait_for(lambda: set(self.ids) <= {id for word, id, *_ in self.stack.testimony() if word == "end"}, what="the tasks have run")
        self.clock.move(seconds)
        os.kill(self.server.process.pid, signal.SIGCONT)
        wait_for_count(self.known, len(self.ids), what="every task has succeeded")

    def enqueue(self, amount: int) -> None:
        done = self.stack.run(SERVER_PYTHON.parents[2] / "celery/bin/python", "tests.support.produce", "shop.ship", str(amount), "[1]",
                              env=self.clock.environment)  # fmt: skip
        assert done.returncode == 0, done.stderr
        self.ids += done.stdout.split()

    def known(self) -> int:
        states = self.stack.states()
        return sum(states.get(id) == SUCCEEDED for id in self.ids)

    def schedule(self, name: str, **changes: str) -> int:
        [environment] = {each["environment"] for each in self.api.get("/workers").json()["workers"]}
        body = {
            "app": "shop", "engine": "celery", "environment": environment, "name": name, "task_name": "shop.ship", "args": [7],
            "queue": "work", **changes,
        }  # fmt: skip
        answer = self.api.post("/schedules", json=body)
        assert answer.status_code < 300, answer.text
        return int(answer.json()["id"])

    def fired(self, id: int) -> int:
        """How many tasks the schedule has made."""
        return int(self.stack.rows("SELECT count(*) FROM fire WHERE schedule_id = ? AND outcome = 'sent'", id)[0][0])

    def check_goes_on(self, id: int) -> None:
        """It fires, and no more often than once a second."""
        before, began = self.fired(id), time.monotonic()
        wait_for(lambda: self.fired(id) >= before + 3, what="the schedule goes on")
        time.sleep(1)
        assert self.fired(id) - before <= time.monotonic() - began + 3, "no storm"

    def check_health(self) -> None:
        wait_for(lambda: httpx2.get(f"{self.stack.address}/healthz", timeout=60).text == "ok\n", what="every duty goes on")


@pytest.fixture
def machine(tmp_path: Path, prepared: Stack) -> Iterator[Machine]:
    with stack(tmp_path, is_fresh=True) as made:
        made.copy(prepared)
        (made.data / "backups").mkdir(mode=0o700)
        write_results(made.data, BackupResults(since=time.time_ns() // 1_000))
        yield Machine(made)


def unfinished(shop: Stack, ids: list[str]) -> dict[str, Any]:
    """What is known of the tasks that have not succeeded: the stored row, and what the worker itself wrote."""
    found = {}
    for id in ids:
        if shop.states().get(id) != SUCCEEDED:
            rows = shop.rows("SELECT state, enqueued_at, started_at, last_at FROM task WHERE task_id = ?", UUID(id).bytes)
            found[id] = rows, [line for line in shop.testimony() if id in line]
    return found


def test_a_clock_that_is_set_forward_and_back_costs_nothing(machine: Machine) -> None:
    shop, clock = machine.stack, machine.clock
    often = machine.schedule("every second", kind="interval", expression="1", catch_up="once")
    nightly = machine.schedule("nightly", kind="cron", expression="30 4 * * *", catch_up="skip")
    due = shop.rows("SELECT next_at FROM schedule WHERE id = ?", nightly)
    person = Person.sign_in(shop)
    machine.work()
    machine.check_goes_on(often)

    clock.move(3 * DAY_S)
    machine.check_goes_on(often)
    machine.work()
    assert "/login" in str(person.client.get("/settings/appliance").url), "a session of twelve hours has ended"
    person.client.post("/login", data={"name": "ada", "password": "a long enough passphrase"})
    page = wait_for(lambda: text if "ahead of the time" in (text := person.get("/settings/appliance").text) else "", what="it is shown")
    assert "moved forward by" in page
    assert "/settings/appliance#clock" in person.get("/tasks").text, "on the strip of every page"
    machine.check_health()
    assert machine.known() == len(machine.ids), "nothing was deleted, although a day is kept"
    backups = shop.data / "backups/results.json"
    wait_for(lambda: json.loads(backups.read_text())["results"], seconds=60, what="the nightly backup that is due")

    machine.work_while_the_clock_moves(-2 * HOUR_S)
    machine.check_goes_on(often)
    machine.work()
    person.get("/tasks")
    machine.check_health()

    clock.move(2 * HOUR_S - 3 * DAY_S)
    machine.check_goes_on(often)
    machine.work()
    for path in ("/tasks", "/queues", "/workers", "/schedules", "/settings/appliance", f"/schedules/{often}"):
        person.get(path)
    assert "ahead of the time" not in person.get("/settings/appliance").text
    machine.check_health()
    assert shop.rows("SELECT next_at FROM schedule WHERE id = ?", nightly) == due, "due tonight, as before"
    assert machine.api.post(f"/schedules/{often}/actions", json={"action": "disable", "reason": "seen enough"}).status_code < 300

    def open_fires() -> int:
        return int(shop.rows("SELECT count(*) FROM fire WHERE outcome IN ('waiting', 'handed')")[0][0])

    wait_for(lambda: not open_fires(), what="every fire is answered")
    sent = [row[0] for row in shop.rows("SELECT task_id FROM fire WHERE outcome = 'sent'")]
    wait_for(lambda: not unfinished(shop, sent), seconds=30, what=lambda: f"every task of the schedule has run: {unfinished(shop, sent)}")
    begun = Counter(id for word, id, attempt, *_ in shop.testimony() if (word, attempt) == ("begin", "0"))
    assert begun == Counter([*machine.ids, *sent]), "each task ran once, and none but those"
    stored = Counter(bytes(row[0]) for row in shop.rows("SELECT task_id FROM task"))
    assert max(stored.values()) == 1
    assert shop.rows("SELECT cause, events FROM refused") == [], "no record was too far ahead of the clock"
    rows = shop.rows("SELECT detail FROM audit WHERE action = 'clock_step' ORDER BY seq")
    steps = [json.loads(row[0])["seconds"] for row in rows]
    assert [round(seconds / HOUR_S) for seconds in steps] == [72, -2, -70]
    assert "intact" in shop.command("audit", "verify")
