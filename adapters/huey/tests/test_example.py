# SPDX-License-Identifier: Apache-2.0
"""The example runs as its README says, and what Huey's guide shows does the same with z4j as without, also when nobody listens."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from z4j_agent.conformance.gateway import Gateway
from z4j_agent.conformance.harness import Harness, free_port, wait_for

EXAMPLE = Path(__file__).resolve().parents[3] / "examples/huey"
CONSUMER = [sys.executable, "-m", "huey.bin.huey_consumer"]
DOCUMENTED = """
import sys
from huey import SqliteHuey, crontab
from huey.exceptions import TaskException
huey = SqliteHuey(filename="demo.db")
INSTALL

@huey.task()
def add(a, b):
    print(f"adding {a} and {b}", flush=True)
    return a + b

@huey.task(retries=1)
def flaky_task(url):
    print(f"flaky {url}", flush=True)
    raise LookupError(url)

@huey.periodic_task(crontab(minute="0", hour="3", month="2", day="30"))
def never():
    pass

@huey.signal()
def heard(signal, task, *args):
    print("signal", signal, task.name, task.retries, *(repr(each) for each in args), flush=True)

@huey.pre_execute()
def before(task):
    print("pre", task.name, flush=True)

@huey.post_execute()
def after(task, value, error):
    print("post", task.name, value, repr(error), flush=True)

def main():
    print(add(1, 2).get(blocking=True, timeout=20))
    print(huey.enqueue(add.s(1, 2).then(add, 4).then(add, 5)).get(blocking=True, timeout=20))
    print(add.schedule((3, 4), delay=1).get(blocking=True, timeout=20))
    late = add.schedule((5, 6), delay=60)
    late.revoke()
    print(add.map([(1, 1), (2, 2)]).get(blocking=True, timeout=20))
    print(huey.pending_count(), late.is_revoked(), sorted(huey._registry._registry))
    try:
        flaky_task("dawn").get(blocking=True, timeout=20)
    except TaskException as error:
        print(error)
        sys.exit(7)
"""
CHANGING = re.compile(
    r"[0-9a-f]{8}-[0-9a-f-]{27}|\d+\.\d{3}s|^\[[^]]*\] |0x[0-9a-f]+|, line \d+"
    r"|\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d+)?|(?<=:)\d+(?=:)|(?<=File \")/[^\"]*/"
)
"""Times, ids, folders and addresses in Huey's log."""


class Broker(Harness):
    """Only a broker and a folder."""


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    harness = Broker(tmp_path, f"z4j+ws://z4a_{'x' * 43}@127.0.0.1:{free_port()}")
    try:
        yield harness
    finally:
        harness.tear_down()


def test_the_example_runs(broker: Broker) -> None:
    gateway = Gateway()
    gateway.start()
    try:
        broker.url = gateway.url
        environment = broker.environment() | {"BROKER_URL": f"redis://127.0.0.1:{broker.start_valkey()}/0"}
        with (broker.folder / "worker.log").open("wb") as log:
            worker = subprocess.Popen([*CONSUMER, "app.huey"], cwd=EXAMPLE, env=environment, stdout=log, stderr=log)
        broker.processes.append(worker)
        done = subprocess.run(
            [sys.executable, "produce.py"], cwd=EXAMPLE, env=environment, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.stdout == "5\n", done.stderr
        told = wait_for(lambda: [r for r in gateway.records("") if r.kind == "succeeded"], "the task is told")
        assert (told[0].name, told[0].queue, told[0].rest["result"]) == ("app.add", "sums", "5")
        code = next(r.meta["code"] for r in gateway.records(told[0].task_id) if r.kind == "enqueued")
        assert re.fullmatch(r"__main__:\d+", code)
        worker.send_signal(signal.SIGINT)
        assert worker.wait(20) == 0
    finally:
        gateway.stop()


@pytest.mark.parametrize("pool", ["thread", "process"])
def test_the_guide_s_tasks_do_not_notice(broker: Broker, pool: str) -> None:
    bare = run_documented(broker, "bare", pool, "")
    watched = run_documented(broker, "watched", pool, "import z4j_huey; z4j_huey.install(huey)")
    assert watched == bare
    assert bare["producer"][0] == 7
    said = [line for line in bare["producer"][1].splitlines() if not line.startswith("signal")]
    assert said[:4] == ["3", "[3, 7, 12]", "7", "[2, 4]"]
    assert bare["worker"].count("flaky dawn") == 2
    assert (broker.folder / "spool").exists(), "it was watched"


def run_documented(broker: Broker, name: str, pool: str, install: str) -> dict[str, Any]:
    """What there is to see of a run: what it printed, exit codes, and what Huey logs without times and ids."""
    folder = broker.folder / name
    folder.mkdir()
    (folder / "documented.py").write_text(DOCUMENTED.replace("INSTALL", install), "utf-8")
    log = f"{name}-worker"
    worker = broker.start(log, [*CONSUMER, "documented.huey", "-k", pool, "-w", "1", "-d", "0.05", "-m", "0.1"], cwd=folder)
    wait_for(lambda: "commands are available" in broker.log(log), "the consumer is ready")
    made = subprocess.run(
        [sys.executable, "-c", "import documented; documented.main()"],
        cwd=folder, env=broker.environment(), capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert made.returncode == 7, made.stderr
    wait_for(lambda: broker.log(log).count("post flaky_task") == 2, "the last task is over")
    worker.send_signal(signal.SIGINT)
    status = worker.wait(20)
    ours = re.compile(r"z4j|^ +[\^~]+$")
    lines = [CHANGING.sub("…", line) for line in broker.log(log).splitlines()]
    return {
        "producer": (made.returncode, made.stdout, made.stderr),
        "status": status,
        "worker": sorted(line for line in lines if not ours.search(line) and "Huey consumer started with" not in line),
    }
