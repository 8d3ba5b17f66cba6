# SPDX-License-Identifier: Apache-2.0
"""The example runs as its README says, and RQ's own behaves the same with z4j as without, also without a server."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from redis import Redis
from rq.job import Job

from z4j_agent.conformance import ExampleContract, Harness

EXAMPLES = Path(__file__).resolve().parents[4] / "examples"
FUNCTIONS = """
import time
from rq import get_current_job

def count_words_at_url(url):
    print(f"counting {url}", flush=True)
    get_current_job().meta["seen"] = url
    get_current_job().save_meta()
    return len(("word " * len(url)).split())

def break_down(at):
    print(f"breaking at {at}", flush=True)
    raise LookupError(at)
"""
DOCUMENTED = """
import sys, time
from redis import Redis
from rq import Queue, Retry
from rq.exceptions import InvalidJobOperation
INSTALL
from documented_functions import break_down, count_words_at_url

q = Queue("default", connection=Redis(port=PORT))
job = q.enqueue(count_words_at_url, "https://nvie.com", job_id="counted")
print(job.return_value(), job.meta.keys() - {"z4j"})
q.enqueue(break_down, at="dawn", retry=Retry(max=1), job_id="broken")
q.enqueue(count_words_at_url, "b", depends_on=job, job_id="after", meta={"kept": 1}, result_ttl=60)
q.enqueue("documented_functions.nothing", job_id="unknown")
canceled = q.enqueue(break_down, at="noon", job_id="canceled")
canceled.cancel()
try:
    canceled.cancel()
except InvalidJobOperation as error:
    print(error)
    sys.exit(7)
"""
CHANGING = re.compile(r"(?m)^\d\d:\d\d:\d\d +|\d+:\d+:\d+\.\d+|[0-9a-f]{32}|PID \d+|pid \d+")
"""Times and names in RQ's log."""


class TestRq(ExampleContract):
    folder = EXAMPLES / "rq"
    worker = ("-m", "rq.cli", "worker", "-c", "app", "--url", "URL", "sums")
    expected = ("app.add", "sums", "5")
    files: ClassVar[Mapping[str, str]] = {"documented_functions.py": FUNCTIONS, "documented.py": DOCUMENTED, "settings.py": "INSTALL\n"}
    install = "import z4j_rq; z4j_rq.install()"

    def run_own(self, broker: Harness, folder: Path, variant: str) -> dict[str, Any]:
        made = self.run(broker, folder, "documented.py")
        url = f"redis://127.0.0.1:{self.port}/0"
        worker = self.run(broker, folder, "-m", "rq.cli", "worker", "--burst", "-c", "settings", "--url", url, "default")
        with Redis(port=self.port) as connection:
            stored = {job_id: stored_fields(job_id, connection) for job_id in ("counted", "broken", "after", "unknown", "canceled")}
            keys = sorted(re.sub(r"[0-9a-f]{32}|[0-9a-f-]{36}", "…", key.decode()) for key in connection.keys("*"))
            connection.flushall()
        return {
            "producer": (made.returncode, made.stdout, made.stderr),
            "worker": (worker.returncode, *(CHANGING.sub("…", text.replace(str(folder), "")) for text in (worker.stdout, worker.stderr))),
            "kept": stored,
            "keys": keys,
        }

    def check_own(self, seen: dict[str, Any]) -> None:
        assert seen["producer"][0] == 7
        assert seen["kept"]["counted"][:2] == ("finished", 16)
        assert seen["worker"][1].count("breaking at dawn\n") == 2


def stored_fields(job_id: str, connection: Any) -> tuple[Any, ...]:
    """Status, result, the last line of the traceback, arguments, retries, and the application's own meta."""
    job = Job.fetch(job_id, connection=connection)
    result = job.latest_result()
    trace = (result.exc_string or "").strip().rpartition("\n")[2] if result else ""
    meta = {key: value for key, value in job.meta.items() if key != "z4j"}
    return str(job.get_status().value), result and result.return_value, trace, job.args, job.kwargs, job.retries_left, job.result_ttl, meta
