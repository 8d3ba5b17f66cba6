# SPDX-License-Identifier: AGPL-3.0-or-later
"""z4j's own scheduler over real workers of all six engines, while its server is killed; the tasks' witness file counts."""

from __future__ import annotations

import json
import random
import time
from pathlib import Path

import pytest

from tests.e2e.test_operate_cli import Terminal
from tests.support.operator import Orders
from tests.support.stack import Child, Stack, wait_for

pytestmark = pytest.mark.timeout(300)
SECOND = 1_000_000
NUMBERS = {"celery": 901, "rq": 902, "huey": 903, "arq": 904, "dramatiq": 905, "taskiq": 906}

NAMES = {
    "celery": "celery_order", "rq": "tests.support.many.rq_side.rq_order", "huey": "tests.support.many.huey_side.huey_order",
    "arq": "arq_order", "dramatiq": "dramatiq_order", "taskiq": "taskiq_order",
}  # fmt: skip


@pytest.fixture
def orders(shop: Stack) -> Orders:
    orders = Orders(shop, tuple(NUMBERS))
    orders.start_workers()
    orders.unlock.touch()
    return orders


def server_of(shop: Stack) -> Child:
    return next(child for child in reversed(shop.children) if child.name == "server")


def fires(shop: Stack, id: int) -> list[tuple[int, str]]:
    """(due time, outcome) of a schedule, in order."""
    return [(row[0], row[1]) for row in shop.rows("SELECT due_at, outcome FROM fire WHERE schedule_id = ? ORDER BY due_at", id)]


def test_nothing_is_fired_twice_or_forgotten_while_the_server_is_killed(orders: Orders) -> None:
    shop, dice = orders.shop, random.Random(11)
    environments = {of["engine"]: of["environment"] for of in orders.get("/queues")["queues"]}
    made = {}
    for engine, number in NUMBERS.items():
        made[engine] = orders.post(
            "/schedules", app="shop", engine=engine, environment=environments.get(engine, ""), name=f"{engine} by the second",
            kind="interval", expression="1", task_name=NAMES[engine], args=[number], catch_up="all",
            queue="orders" if engine == "rq" else "",
        )["id"]  # fmt: skip
    for _ in range(3):
        time.sleep(dice.uniform(1.5, 3.0))
        server_of(shop).kill()
        time.sleep(dice.uniform(0.2, 1.5))
        shop.start_server()
    wait_for(lambda: len(orders.get("/workers")["workers"]) >= len(NUMBERS), seconds=60, what="the workers are back")
    time.sleep(2)
    for id in made.values():
        orders.post(f"/schedules/{id}/actions", action="disable", reason="the test has seen enough")

    def is_settled() -> bool:
        return all(outcome not in ("waiting", "handed") for id in made.values() for _, outcome in fires(shop, id))

    wait_for(is_settled, seconds=60, what="every fire is answered")
    for engine, number in NUMBERS.items():
        told = fires(shop, made[engine])
        due = [at for at, _ in told]
        errors = shop.rows("SELECT DISTINCT error FROM fire WHERE schedule_id = ?", made[engine])
        assert {outcome for _, outcome in told} == {"sent"}, (engine, told, errors)
        assert due == list(range(due[0], due[-1] + 1, SECOND)), f"{engine}: every second is there, and each once"
        assert len(due) >= 8

        def has_run(engine: str = engine, number: int = number, count: int = len(due)) -> bool:
            return orders.ran()[f"{engine} {number}"] >= count

        wait_for(has_run, seconds=60, what=f"every one of {engine} has run")
        assert orders.ran()[f"{engine} {number}"] == len(due), f"{engine}: none ran twice"


def test_schedules_on_the_command_line(shop: Stack, tmp_path: Path) -> None:
    """Made, listed, changed, exported, and imported from a crontab and from JSON."""
    shell = Terminal(Orders(shop, ()))
    shell.ok(
        "schedule", "create", "nightly", "--app", "shop", "--engine", "celery", "--task", "shop.report", "--cron", "30 2 * * 1-5",
        "--timezone", "Europe/Berlin", "--arg", "7", "--catch-up", "once",
    )  # fmt: skip
    assert "At 02:30, Monday through Friday" in shell.ok("schedule", "list")
    assert shell.z4j("schedule", "create", "bad", "--app", "shop", "--engine", "celery", "--task", "t", "--cron", "61 * * * *")[0] == 2
    assert shell.z4j("schedule", "create", "none", "--app", "shop", "--task", "t")[0] == 2
    shell.ok("schedule", "edit", "nightly", "--every", "5m", "--reason", "more often")
    told = json.loads(shell.ok("schedule", "show", "nightly"))
    assert (told["schedule"]["expression"], told["schedule"]["args"], len(told["schedule"]["upcoming"])) == ("300", "[7]", 5)
    assert [edit["reason"] for edit in told["edits"]] == ["more often", ""]
    assert shell.z4j("schedule", "disable", "nightly")[0] == 2, "a reason is asked for"
    shell.ok("schedule", "disable", "nightly", "--reason", "holidays")
    assert " off " in shell.ok("schedule", "list")
    shell.ok("schedule", "enable", "nightly")
    assert shell.z4j("schedule", "run", "nightly")[0] == 7, "nobody is connected"

    crontab = tmp_path / "crontab"
    crontab.write_text("CRON_TZ=Asia/Tokyo\n17 4 * * 0 /usr/bin/backup --full\n@reboot start\n", "utf-8")
    words = ("schedule", "import", "crontab", str(crontab), "--app", "shop", "--engine", "celery", "--task", "ops.run")
    code, said = shell.z4j(*words, "--dry-run")
    assert (code, "would import  /usr/bin/backup --full" in said, "1 of 2" in said) == (10, True, True)
    code, said = shell.z4j(*words)
    assert (code, "@reboot is not supported" in said) == (10, True)
    assert "a schedule with this name already exists" in shell.z4j(*words)[1]
    assert shell.z4j("schedule", "import", "crontab", str(crontab))[0] == 2

    out = tmp_path / "kept.json"
    shell.ok("schedule", "export", str(out))
    kept = json.loads(out.read_text())["schedules"]
    assert {of["name"]: (of["expression"], of["timezone"]) for of in kept} == {
        "nightly": ("300", ""), "/usr/bin/backup --full": ("17 4 * * sun", "Asia/Tokyo")
    }  # fmt: skip
    for name in ("nightly", "/usr/bin/backup --full"):
        shell.ok("schedule", "delete", name, "--confirm", "delete")
    assert "nightly" not in shell.ok("schedule", "list")
    # Nobody knows the parameters of ops.run, so its text was masked: an export never gives out what may be a secret.
    code, said = shell.z4j("schedule", "import", "json", str(out))
    assert (code, "is masked" in said, "1 of 2" in said) == (10, True, True), said
    shell.ok("schedule", "export", str(tmp_path / "again.json"))
    again = json.loads((tmp_path / "again.json").read_text())["schedules"]
    assert again == [of for of in kept if of["name"] == "nightly"]
    assert shell.z4j("schedule", "import", "scheduler", "no_such")[0] == 2
