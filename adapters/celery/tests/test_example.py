# SPDX-License-Identifier: Apache-2.0
"""The example runs as its README says, and an application notices nothing: with z4j as without, also when nobody listens."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from z4j_agent.conformance.gateway import Gateway
from z4j_agent.conformance.harness import Harness, free_port, wait_for

EXAMPLE = Path(__file__).resolve().parents[3] / "examples/celery"
HOST = """
import sys
from celery import Celery
app = Celery("host", broker="redis://127.0.0.1:PORT/DB", backend="redis://127.0.0.1:PORT/DB")
app.conf.worker_hijack_root_logger = False
INSTALL

@app.task
def add(x, y):
    return x + y

@app.task
def divide(x):
    return x / 0

@app.task
def leave():
    sys.exit(3)

if __name__ == "__main__":
    print(add.delay(4, 4).get(timeout=20))
    for task in (divide.delay(1), leave.delay()):
        try:
            task.get(timeout=20)
        except Exception as error:
            print(type(error).__name__, str(error).partition(" Job: ")[0])
    try:
        add.delay(object(), 1)
    except Exception as error:
        print(type(error).__name__)
    print(add.apply((1, 2)).get(), divide.apply((1,)).state)
    raise LookupError("at the end")
"""
UNINSTALLED = """
import z4j_celery
from celery import Celery, signals
app = Celery("gone", broker="memory://")
names = [name for name in dir(signals) if hasattr(getattr(signals, name), "receivers")]
count = lambda: sum(len(getattr(signals, name).receivers or ()) for name in names)
before = count()
z4j_celery.install(app)
assert count() > before
z4j_celery.uninstall(app)
assert count() == before, (before, count())
print("gone")
"""


class Broker(Harness):
    """Only a broker and a folder."""


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    harness = Broker(tmp_path, f"z4j+ws://z4a_{'x' * 43}@127.0.0.1:{free_port()}")
    try:
        yield harness
    finally:
        harness.tear_down()


def test_the_example_runs(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    gateway = Gateway()
    gateway.start()
    broker.url = gateway.url
    monkeypatch.setenv("BROKER_URL", f"redis://127.0.0.1:{broker.start_valkey()}/0")
    try:
        broker.start(
            "worker", [sys.executable, "-m", "celery", "-A", "app", "worker", "--concurrency", "1", "--loglevel", "INFO"], cwd=EXAMPLE
        )
        wait_for(lambda: " ready." in broker.log("worker"), "the worker is ready", seconds=40)
        send = [sys.executable, "-c", "from app import add; print(add.delay(2, 3).id)"]
        done = subprocess.run(send, cwd=EXAMPLE, env=broker.environment(), capture_output=True, text=True, timeout=60, check=True)
        task_id = done.stdout.strip()
        end = wait_for(lambda: [r for r in gateway.records(task_id) if r.kind == "succeeded"], "the task is told")[0]
        assert (end.name, end.rest["result"]) == ("app.add", "5")
    finally:
        gateway.stop()


def test_an_application_notices_nothing(broker: Broker) -> None:
    port = broker.start_valkey()
    bare = run_host(broker, "bare", port, 1, "")
    watched = run_host(broker, "watched", port, 2, "import z4j_celery; z4j_celery.install(app)")
    assert watched == bare
    code, said, _last, worker, _errors = bare
    assert (code, worker) == (1, 0)
    assert "8\n" in said
    assert "ZeroDivisionError division by zero" in said
    assert (broker.folder / "spool").exists(), "it was watched"


def run_host(broker: Broker, name: str, port: int, database: int, install: str) -> tuple[int, str, str, int, list[str]]:
    """What there is to see of a run: exit code, output and last words of the producer; exit code and errors of the worker."""
    folder = broker.folder / name
    folder.mkdir()
    host = HOST.replace("INSTALL", install).replace("PORT", str(port)).replace("DB", str(database))
    (folder / "host.py").write_text(host, "utf-8")
    worker = broker.start(
        name, [sys.executable, "-m", "celery", "-A", "host", "worker", "--concurrency", "1", "--loglevel", "INFO"], cwd=folder
    )
    wait_for(lambda: " ready." in broker.log(name), "the worker is ready", seconds=40)
    made = subprocess.run(
        [sys.executable, "host.py"], cwd=folder, env=broker.environment(), capture_output=True, text=True, timeout=60, check=False
    )
    worker.terminate()
    ended = worker.wait(20)
    errors = sorted(set(re.findall(r"^\w[\w.]*(?:Error|Exit)\b.*$", broker.log(name), re.M)))
    return made.returncode, made.stdout, made.stderr.splitlines()[-1], ended, [re.sub(r"Job: \d+", "", error) for error in errors]


def test_nothing_is_left_after_uninstall(broker: Broker) -> None:
    done = subprocess.run(
        [sys.executable, "-c", UNINSTALLED], env=broker.environment(), capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout == "gone\n", done.stderr
