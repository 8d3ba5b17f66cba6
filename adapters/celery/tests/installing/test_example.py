# SPDX-License-Identifier: Apache-2.0
"""The example runs as its README says, and Celery's own behaves the same with z4j as without, also without a server."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from z4j_agent.conformance import ExampleContract, Harness, wait_for

EXAMPLES = Path(__file__).resolve().parents[4] / "examples"
HOST = """
import sys
from celery import Celery
app = Celery("host", broker="redis://127.0.0.1:PORT/0", backend="redis://127.0.0.1:PORT/0")
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


class TestCelery(ExampleContract):
    folder = EXAMPLES / "celery"
    worker = ("-m", "celery", "-A", "app", "worker", "--concurrency", "1")
    producer = ("-c", "from app import add; add.delay(2, 3)")
    prints = ""
    expected = ("app.add", "celery", "5")
    files: ClassVar[Mapping[str, str]] = {"host.py": HOST}
    install = "import z4j_celery; z4j_celery.install(app)"

    def run_own(self, broker: Harness, folder: Path, variant: str) -> dict[str, Any]:
        worker = self.begin(broker, folder, "-m", "celery", "-A", "host", "worker", "--concurrency", "1", "--loglevel", "INFO")
        wait_for(lambda: " ready." in broker.log(folder.name), "the worker is ready", seconds=40)
        made = self.run(broker, folder, "host.py")
        worker.terminate()
        ended = worker.wait(60)
        errors = sorted(set(re.findall(r"^\w[\w.]*(?:Error|Exit)\b.*$", broker.log(folder.name), re.M)))
        return {
            "producer": (made.returncode, made.stdout, made.stderr.splitlines()[-1]),
            "worker": ended,
            "errors": [re.sub(r"Job: \d+", "", error) for error in errors],
        }

    def check_own(self, seen: dict[str, Any]) -> None:
        code, printed, _last = seen["producer"]
        assert (code, seen["worker"]) == (1, 0)
        assert "8\n" in printed
        assert "ZeroDivisionError division by zero" in printed
