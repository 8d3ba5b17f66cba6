# SPDX-License-Identifier: AGPL-3.0-or-later
"""The one file that is shipped: built, started, connected to by a real worker, restarted, and everything is still there."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.support.browserless import Person
from tests.support.demo import running_demo
from tests.support.executable import build
from tests.support.stack import stack, wait_for


@pytest.fixture(scope="module")
def executable() -> Path:
    return build()


@pytest.mark.timeout(420)
def test_executable_serves_survives_and_remembers(executable: Path, tmp_path: Path) -> None:
    with stack(tmp_path) as shop:
        shop.start_broker()
        shop.command("migrate")
        shop.add_app()
        server = shop.start_server([executable])
        worker = shop.start_worker()
        person = Person.sign_in(shop)
        tasks = shop.produce("shop.charge", 3, "[5]")
        wait_for(lambda: [shop.states().get(task) for task in tasks] == [11, 11, 11], what="the worker's tasks arrived")
        assert "card of order 5 declined" in person.get_task(tasks[0]).text
        assert server.end() in (0, -signal.SIGTERM)
        shop.start_server([executable])
        assert "card of order 5 declined" in person.get_task(tasks[0]).text
        assert "/static/" in person.get("/tasks").text
        more = shop.produce("shop.ship", 2, "[6]")
        wait_for(lambda: [shop.states().get(task) for task in more] == [12, 12], what="the worker found the way back")
        assert worker.end() == 0


def children_of(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_killed_launcher_takes_the_server_with_it(executable: Path, tmp_path: Path) -> None:
    """One file is two processes; the server must not outlive its launcher and block the data folder."""
    with stack(tmp_path) as shop:
        shop.command("migrate")
        server = shop.start_server([executable])
        [inner] = children_of(server.process.pid)
        os.kill(server.process.pid, signal.SIGKILL)
        server.process.wait(5)
        wait_for(lambda: not Path(f"/proc/{inner}").exists(), seconds=15, what="the inner process ended by itself")
        shop.start_server([executable])


def test_version(executable: Path) -> None:
    printed = subprocess.run([executable, "version"], capture_output=True, text=True, timeout=60, check=True).stdout
    assert printed.startswith("z4j 0.")


@pytest.mark.timeout(420)
def test_executable_is_a_demo_of_its_own(executable: Path, tmp_path: Path) -> None:
    """From an empty folder with an empty environment: the month, a real task, a recorded action, and the sizes that are promised."""
    assert executable.stat().st_size < 45_000_000
    with running_demo(tmp_path, program=[executable], cwd=tmp_path, env={}, tasks=60_000) as demo:
        assert demo.started_s < 40
        failed = next(task for task in demo.tasks(state="failed", engine="huey", limit=500) if task["worker"] == "huey@hall-1")
        retried = demo.settled(demo.post(f"/tasks/{failed['id']}/actions", action="retry_task"))
        wait_for(
            lambda: [task["worker"][:10] for task in demo.tasks(task_id=retried["params"]["new_id"])] == ["warehouse@"], what="its run"
        )
        recorded = demo.tasks(state="failed", engine="celery", env="production", limit=1)[0]
        noted = demo.settled(demo.post(f"/tasks/{recorded['id']}/actions", action="retry_task"))
        assert "demo" in noted["detail"]["note"]
        wait_for(lambda: len({row["scheduler"] for row in demo.get("/schedules")["schedules"]}) == 8, what="all schedulers")
    assert {path.name for path in tmp_path.iterdir()} == {"demo", "demo.log"}
