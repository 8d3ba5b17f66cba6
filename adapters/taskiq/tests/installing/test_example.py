# SPDX-License-Identifier: Apache-2.0
"""The example runs as its README says, and taskiq's own behaves the same with z4j as without, also without a server."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from z4j_agent.conformance import ExampleContract, Harness, wait_for

EXAMPLES = Path(__file__).resolve().parents[4] / "examples"
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


class TestTaskiq(ExampleContract):
    folder = EXAMPLES / "taskiq"
    worker = ("-m", "taskiq", "worker", "app:broker", "--workers", "1")
    expected = ("app:add", "taskiq", "5")
    files: ClassVar[Mapping[str, str]] = {"documented.py": DOCUMENTED}
    install = "import z4j_taskiq; z4j_taskiq.install(broker)"

    def run_own(self, broker: Harness, folder: Path, variant: str) -> dict[str, Any]:
        worker = self.begin(broker, folder, "-m", "taskiq", "worker", "documented:broker", "--workers", "1")
        wait_for(lambda: "Listening started" in broker.log(folder.name), "the worker is ready", seconds=30)
        made = self.run(broker, folder, "documented.py")
        worker.terminate()
        return {
            "producer": (made.returncode, made.stdout, made.stderr.splitlines()[-1]),
            "worker": worker.wait(60),
            "errors": re.findall(r"^\w*(?:Error|Exit): .*$", broker.log(folder.name), re.M),
        }

    def check_own(self, seen: dict[str, Any]) -> None:
        assert seen["producer"][0] == 1
        assert "Returned value: 2" in seen["producer"][1]
        assert seen["worker"] == 0
