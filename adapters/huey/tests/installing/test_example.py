# SPDX-License-Identifier: Apache-2.0
"""The example runs as its README says, and Huey's own behaves the same with z4j as without, also without a server."""

from __future__ import annotations

import re
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from z4j_agent.conformance import ExampleContract, Harness, wait_for

EXAMPLES = Path(__file__).resolve().parents[4] / "examples"
CONSUMER = ("-m", "huey.bin.huey_consumer")
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


class TestHuey(ExampleContract):
    folder = EXAMPLES / "huey"
    worker = (*CONSUMER, "app.huey")
    expected = ("app.add", "sums", "5")
    end = signal.SIGINT
    files: ClassVar[Mapping[str, str]] = {"documented.py": DOCUMENTED}
    install = "import z4j_huey; z4j_huey.install(huey)"
    variants = ("thread", "process")

    def run_own(self, broker: Harness, folder: Path, variant: str) -> dict[str, Any]:
        worker = self.begin(broker, folder, *CONSUMER, "documented.huey", "-k", variant, "-w", "1", "-d", "0.05", "-m", "0.1")
        wait_for(lambda: "commands are available" in broker.log(folder.name), "the consumer is ready")
        made = self.run(broker, folder, "-c", "import documented; documented.main()")
        assert made.returncode == 7, made.stderr
        wait_for(lambda: broker.log(folder.name).count("post flaky_task") == 2, "the last task is over")
        worker.send_signal(signal.SIGINT)
        status = worker.wait(60)
        ours = re.compile(r"z4j|^ +[\^~]+$")
        lines = [CHANGING.sub("…", line) for line in broker.log(folder.name).splitlines()]
        return {
            "producer": (made.returncode, made.stdout, made.stderr),
            "status": status,
            "worker": sorted(line for line in lines if not ours.search(line) and "Huey consumer started with" not in line),
        }

    def check_own(self, seen: dict[str, Any]) -> None:
        assert seen["producer"][0] == 7
        printed = [line for line in seen["producer"][1].splitlines() if not line.startswith("signal")]
        assert printed[:4] == ["3", "[3, 7, 12]", "7", "[2, 4]"]
        assert seen["worker"].count("flaky dawn") == 2
