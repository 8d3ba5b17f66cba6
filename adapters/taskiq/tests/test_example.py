# SPDX-License-Identifier: Apache-2.0
"""The example runs as its README says, and taskiq's own does the same with z4j as without, also when nobody listens."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from z4j_agent.conformance.gateway import Gateway
from z4j_agent.conformance.harness import Harness, free_port, wait_for

EXAMPLE = Path(__file__).resolve().parents[3] / "examples/taskiq"
DOCUMENTED = """
import asyncio, sys
from taskiq import TaskiqEvents
from taskiq_redis import ListQueueBroker, RedisAsyncResultBackend

broker = ListQueueBroker("redis://127.0.0.1:PORT", socket_timeout=None).with_result_backend(
    RedisAsyncResultBackend("redis://127.0.0.1:PORT", result_ex_time=60)
)
INSTALL

@broker.on_event(TaskiqEvents.WORKER_STARTUP)
async def stay_awake(state):
    loop = asyncio.get_running_loop()
    def wake():
        state.waker = loop.call_later(0.1, wake)
    wake()

@broker.task
async def add_one(value: int) -> int:
    return value + 1

@broker.task
def divide(value: int) -> float:
    return value / 0

@broker.task(timeout=0.2)
async def sleep() -> None:
    await asyncio.sleep(9)

@broker.task
async def leave() -> None:
    sys.exit(3)

async def main() -> None:
    await broker.startup()
    for task in (await add_one.kiq(1), await divide.kiq(1), await sleep.kiq(), await leave.kiq()):
        result = await task.wait_result(timeout=10)
        if not result.is_err:
            print(f"Returned value: {result.return_value}")
        else:
            print(f"Error found while executing task: {result.error!r}")
    try:
        await add_one.kiq(object())
    except Exception as error:
        print(type(error).__name__, str(error.__cause__)[:60])
    await broker.shutdown()
    raise LookupError("at the end")

if __name__ == "__main__":
    asyncio.run(main())
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
    broker.url = gateway.url
    environment = broker.environment() | {"BROKER_URL": f"redis://127.0.0.1:{broker.start_valkey()}/0"}
    worker = subprocess.Popen(
        [sys.executable, "-m", "taskiq", "worker", "app:broker", "--workers", "1"],
        cwd=EXAMPLE,
        env=environment,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    broker.processes.append(worker)
    try:
        done = subprocess.run(
            [sys.executable, "produce.py"], cwd=EXAMPLE, env=environment, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.stdout == "5\n", done.stderr
        told = wait_for(lambda: [r for r in gateway.records("") if r.kind == "succeeded"], "the task is told")
        assert (told[0].name, told[0].rest["result"]) == ("app:add", "5")
        code = next(r.meta["code"] for r in gateway.records(told[0].task_id) if r.kind == "enqueued")
        assert re.fullmatch(r"__main__:\d+", code)
        worker.terminate()
        assert worker.wait(20) == 0
    finally:
        gateway.stop()


def test_taskiqs_own_example_does_not_notice(broker: Broker) -> None:
    bare = run_documented(broker, "bare", "")
    watched = run_documented(broker, "watched", "import z4j_taskiq; z4j_taskiq.install(broker)")
    assert watched == bare
    assert bare["producer"][0] == 1
    assert "Returned value: 2" in bare["producer"][1]
    assert bare["worker"] == 0
    assert (broker.folder / "spool").exists(), "it was watched"


def run_documented(broker: Broker, name: str, install: str) -> dict[str, object]:
    """What there is to see of a run: the producer's exit code and output, and how the worker ended."""
    folder = broker.folder / name
    folder.mkdir()
    port = broker.start_valkey()
    (folder / "documented.py").write_text(DOCUMENTED.replace("INSTALL", install).replace("PORT", str(port)), "utf-8")
    worker = broker.start(name, [sys.executable, "-m", "taskiq", "worker", "documented:broker", "--workers", "1"], cwd=folder)
    wait_for(lambda: "Listening started" in broker.log(name), "the worker is ready", seconds=30)
    made = subprocess.run(
        [sys.executable, "documented.py"], cwd=folder, env=broker.environment(), capture_output=True, text=True, timeout=60, check=False
    )
    worker.terminate()
    log = broker.log(name)
    return {
        "producer": (made.returncode, made.stdout, made.stderr.splitlines()[-1]),
        "worker": worker.wait(20),
        "errors": re.findall(r"^\w*(?:Error|Exit): .*$", log, re.M),
    }
