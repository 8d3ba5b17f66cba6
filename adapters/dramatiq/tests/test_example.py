# SPDX-License-Identifier: Apache-2.0
"""The example runs as its README says, and what Dramatiq's guide shows does the same with z4j as without, also when nobody listens."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from z4j_agent.conformance.gateway import Gateway
from z4j_agent.conformance.harness import Harness, free_port, wait_for

EXAMPLE = Path(__file__).resolve().parents[3] / "examples/dramatiq"
DOCUMENTED = """
import sys
import dramatiq
from dramatiq.brokers.redis import RedisBroker
from dramatiq.results import Results
from dramatiq.results.backends import RedisBackend
from dramatiq.results.errors import ResultFailure

broker = RedisBroker(port=PORT)
broker.add_middleware(Results(backend=RedisBackend(port=PORT)))
INSTALL
dramatiq.set_broker(broker)

def get(url):
    return "word " * len(url)

@dramatiq.actor(store_results=True)
def count_words(url):
    count = len(get(url).split(" "))
    print(f"There are {count} words at {url!r}.")
    return count

@dramatiq.actor(max_retries=1, min_backoff=50, max_backoff=60, store_results=True)
def break_down(url):
    print(f"Breaking at {url!r}.")
    raise LookupError(url)

if __name__ == "__main__":
    messages = [count_words.send(url) for url in ("http://example.com", "a")]
    (count_words.message("b") | count_words.message_with_options(args=("c",), pipe_ignore=True)).run()
    for message in messages:
        print(message.asdict()["options"].keys(), message.get_result(block=True))
    try:
        break_down.send("dawn").get_result(block=True)
    except ResultFailure as error:
        print(error, error.orig_exc_type)
        sys.exit(7)
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


def test_the_example_runs(broker: Broker) -> None:
    gateway = Gateway()
    gateway.start()
    try:
        broker.url = gateway.url
        environment = broker.environment() | {"BROKER_URL": f"redis://127.0.0.1:{broker.start_valkey()}/0"}
        with (broker.folder / "worker.log").open("wb") as log:
            command = [sys.executable, "-m", "dramatiq", "app", "-p", "1", "-t", "2"]
            worker = subprocess.Popen(command, cwd=EXAMPLE, env=environment, stdout=log, stderr=log)
        broker.processes.append(worker)
        sent = subprocess.run(
            [sys.executable, "-c", "from app import add; add.send(2, 3)"],
            cwd=EXAMPLE, env=environment, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert sent.returncode == 0, sent.stderr
        told = wait_for(lambda: [r for r in gateway.records("") if r.kind == "succeeded"], "the task is told")
        assert (told[0].name, told[0].queue) == ("add", "default")
        assert [r.meta["code"] for r in gateway.records(told[0].task_id) if r.kind == "enqueued"] == ["__main__:1"]
        worker.terminate()
        assert worker.wait(20) == 0
    finally:
        gateway.stop()


def test_the_guide_s_actors_do_not_notice(broker: Broker) -> None:
    port = broker.start_valkey()
    bare = run_documented(broker, port, "bare", "")
    watched = run_documented(broker, port, "watched", "import z4j_dramatiq; z4j_dramatiq.install(broker)")
    assert watched == bare
    assert bare["producer"][0] == 7
    assert "There are 19 words at 'http://example.com'." in bare["worker"]
    assert bare["worker"].count("Breaking at 'dawn'.") == 2
    assert (broker.folder / "spool").exists(), "it was watched"


def run_documented(broker: Broker, port: int, name: str, install: str) -> dict[str, Any]:
    """What there is to see of a run: what it printed, exit codes, and what Dramatiq logs without times and ids."""
    folder = broker.folder / name
    folder.mkdir()
    (folder / "documented.py").write_text(DOCUMENTED.replace("INSTALL", install).replace("PORT", str(port)), "utf-8")
    log = f"{name}-worker"
    # one thread: what two print into Dramatiq's pipe at once is torn
    worker = broker.start(log, [sys.executable, "-m", "dramatiq", "documented", "-p", "1", "-t", "1"], cwd=folder)
    made = subprocess.run(
        [sys.executable, "documented.py"],
        cwd=folder, env=broker.environment(), capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    wait_for(lambda: broker.log(log).count("There are") == 4, "the pipeline ran")
    worker.terminate()
    status = worker.wait(20)
    lines = [
        re.sub(r"^\[[^]]*\] ", "", re.sub(r"[0-9a-f-]{36}|\d+ milliseconds|0x[0-9a-f]+", "…", line))
        for line in broker.log(log).splitlines()
    ]
    said = sorted(
        line for line in lines if line.startswith(("There are", "Breaking", "LookupError")) or " [WARNING] " in line or " [ERROR] " in line
    )
    return {
        "producer": (made.returncode, made.stdout, made.stderr),
        "status": status,
        "worker": [re.sub(r"\[PID \d+\] ", "", x) for x in said],
    }
