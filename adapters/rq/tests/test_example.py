# SPDX-License-Identifier: Apache-2.0
"""The example runs as its README says, and RQ's own does the same with z4j as without, also when nobody listens."""

from __future__ import annotations

import contextlib
import importlib
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from rq import Queue
from rq.job import Job

import z4j_rq
from z4j_agent.conformance.gateway import Gateway
from z4j_agent.conformance.harness import Harness, free_port, wait_for

EXAMPLE = Path(__file__).resolve().parents[3] / "examples/rq"
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
        url = f"redis://127.0.0.1:{broker.start_valkey()}/0"
        environment = broker.environment() | {"BROKER_URL": url}
        with (broker.folder / "worker.log").open("wb") as log:
            command = [sys.executable, "-m", "rq.cli", "worker", "-c", "app", "--url", url, "sums"]
            worker = subprocess.Popen(command, cwd=EXAMPLE, env=environment, stdout=log, stderr=log)
        broker.processes.append(worker)
        done = subprocess.run(
            [sys.executable, "produce.py"], cwd=EXAMPLE, env=environment, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.stdout == "5\n", done.stderr
        told = wait_for(lambda: [r for r in gateway.records("") if r.kind == "succeeded"], "the task is told")
        assert (told[0].name, told[0].queue, told[0].rest["result"]) == ("app.add", "sums", "5")
        code = next(r.meta["code"] for r in gateway.records(told[0].task_id) if r.kind == "enqueued")
        assert re.fullmatch(r"__main__:\d+", code)
        worker.terminate()
        assert worker.wait(20) == 0, broker.log("worker")
    finally:
        gateway.stop()


def test_rqs_own_example_does_not_notice(broker: Broker) -> None:
    port = broker.start_valkey()
    bare = run_documented(broker, port, "bare", "")
    assert not (broker.folder / "spool").exists()
    watched = run_documented(broker, port, "watched", "import z4j_rq; z4j_rq.install()")
    assert watched == bare
    assert bare["producer"][0] == 7
    assert bare["kept"]["counted"][:2] == ("finished", 16)
    assert bare["worker"][1].count("breaking at dawn\n") == 2
    assert (broker.folder / "spool").exists(), "it was watched"


def run_documented(broker: Broker, port: int, name: str, install: str) -> dict[str, Any]:
    """What there is to see of a run: what it printed, exit codes, RQ's log without times and names, and what RQ keeps in Redis."""
    folder = broker.folder / name
    folder.mkdir()
    (folder / "documented_functions.py").write_text(FUNCTIONS, "utf-8")
    (folder / "documented.py").write_text(DOCUMENTED.replace("INSTALL", install).replace("PORT", str(port)), "utf-8")
    (folder / "settings.py").write_text(install + "\n", "utf-8")

    def run(*command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *command], cwd=folder, env=broker.environment(), capture_output=True, text=True, timeout=60, check=False
        )

    made = run("documented.py")
    worker = run("-m", "rq.cli", "worker", "--burst", "-c", "settings", "--url", f"redis://127.0.0.1:{port}/0", "default")
    connection = Redis(port=port)
    kept = {job_id: what_is_kept(job_id, connection) for job_id in ("counted", "broken", "after", "unknown", "canceled")}
    found = {
        "producer": (made.returncode, made.stdout, made.stderr),
        "worker": (worker.returncode, *(CHANGING.sub("…", text.replace(str(folder), "")) for text in (worker.stdout, worker.stderr))),
        "kept": kept,
        "keys": sorted(re.sub(r"[0-9a-f]{32}|[0-9a-f-]{36}", "…", key.decode()) for key in connection.keys("*")),
    }
    connection.flushall()
    connection.close()
    return found


def what_is_kept(job_id: str, connection: Any) -> tuple[Any, ...]:
    """Status, result, the last line of the traceback, arguments, retries, and the application's own meta."""
    job = Job.fetch(job_id, connection=connection)
    result = job.latest_result()
    trace = (result.exc_string or "").strip().rpartition("\n")[2] if result else ""
    meta = {key: value for key, value in job.meta.items() if key != "z4j"}
    return str(job.get_status().value), result and result.return_value, trace, job.args, job.kwargs, job.retries_left, job.result_ttl, meta


def test_uninstalling_leaves_rq_as_it_was(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of every class and method of RQ, not just those we know we touch."""
    for key, value in broker.environment().items():
        monkeypatch.setenv(key, value)
    with contextlib.suppress(ImportError):  # RQ before 2.4 has none; `install` loads it
        importlib.import_module("rq.cron")
    before = everything_of_rq()
    z4j_rq.install()
    try:
        during = everything_of_rq()
        assert {key for key in before if before[key] is not during[key]} >= {(Queue, "_enqueue_job"), (Job, "cancel")}
    finally:
        z4j_rq.uninstall()
    after = everything_of_rq()
    assert before.keys() == after.keys()
    assert [key for key in before if before[key] is not after[key]] == []


def everything_of_rq() -> dict[tuple[type, str], Any]:
    classes = {
        value
        for name, module in list(sys.modules.items())
        if name.partition(".")[0] == "rq"
        for value in vars(module).values()
        if isinstance(value, type) and value.__module__.partition(".")[0] == "rq"
    }
    return {
        (owner, name): value
        for owner in classes
        for name, value in vars(owner).items()
        if callable(value) or isinstance(value, classmethod)
    }
