# SPDX-License-Identifier: Apache-2.0
"""The example runs as its README says, and arq's own does the same with z4j as without, also when nobody listens."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from arq import create_pool
from arq.connections import RedisSettings

from z4j_agent.conformance.gateway import Gateway
from z4j_agent.conformance.harness import Harness, free_port, wait_for

EXAMPLE = Path(__file__).resolve().parents[3] / "examples/arq"
DOCUMENTED = """
import asyncio, sys
from arq import Retry, create_pool, func
from arq.connections import RedisSettings
INSTALL
REDIS_SETTINGS = RedisSettings(port=PORT)

async def download_content(ctx, url):
    text = await ctx["session"](url)
    print(f"{url}: {text:.80}...", flush=True)
    return len(text)

async def break_down(ctx, *, at):
    if ctx["job_try"] < 2:
        raise Retry(defer=0.1)
    raise LookupError(at)

async def startup(ctx):
    async def get(url):
        return url * 100
    ctx["session"] = get

async def shutdown(ctx):
    del ctx["session"]

async def main():
    redis = await create_pool(REDIS_SETTINGS)
    for url in ("https://facebook.com", "https://microsoft.com", "https://github.com"):
        await redis.enqueue_job("download_content", url, _job_id=url)
    await redis.enqueue_job("break_down", at="dawn", _job_id="broken")
    await redis.enqueue_job("nothing", _job_id="unknown")

class WorkerSettings:
    functions = [download_content, break_down]
    on_startup = startup
    on_shutdown = shutdown
    redis_settings = REDIS_SETTINGS
    poll_delay = 0.05

if __name__ == "__main__":
    asyncio.run(main())
"""

CHANGING = re.compile(r'^[\d:]{8}: *|File ".*/|(?: delayed=)?\d+\.\d+s|mem_usage=\S+|clients_connected=\S+|db_keys=\S+')
"""Times, sizes and folders in arq's log."""
OURS = re.compile(r"z4j|value = await coroutine|^ +[\^~]+$")
"""The one frame of ours in a traceback that arq logs."""


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
        worker = subprocess.Popen([sys.executable, "-m", "arq", "app.WorkerSettings"], cwd=EXAMPLE, env=environment, stderr=subprocess.PIPE)
        broker.processes.append(worker)
        done = subprocess.run(
            [sys.executable, "produce.py"], cwd=EXAMPLE, env=environment, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.stdout == "5\n", done.stderr
        told = wait_for(lambda: [r for r in gateway.records("") if r.kind == "succeeded"], "the task is told")
        assert (told[0].name, told[0].rest["result"]) == ("add", "5")
        code = next(r.meta["code"] for r in gateway.records(told[0].task_id) if r.kind == "enqueued")
        assert re.fullmatch(r"__main__:\d+", code)
        worker.terminate()
        assert worker.wait(20) == 0
        assert worker.stderr is not None
        worker.stderr.close()
    finally:
        gateway.stop()


def test_arqs_own_example_does_not_notice(broker: Broker) -> None:
    port = broker.start_valkey()
    bare = run_documented(broker, port, "bare", "")
    watched = run_documented(broker, port, "watched", "import z4j_arq; z4j_arq.install()")
    assert set(watched.pop("log")) ^ set(bare.pop("log")) == set()
    assert watched == bare
    assert bare["results"]["broken"] == ("break_down", (), {"at": "dawn"}, 2, False, "LookupError('dawn')")
    assert (broker.folder / "spool").exists(), "it was watched"


def run_documented(broker: Broker, port: int, name: str, install: str) -> dict[str, Any]:
    """What there is to see of a run: what it printed, exit codes, logs without times and addresses, and what arq keeps in Redis."""
    folder = broker.folder / name
    folder.mkdir()
    (folder / "documented.py").write_text(DOCUMENTED.replace("INSTALL", install).replace("PORT", str(port)), "utf-8")
    environment = broker.environment()

    def run(*command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *command], cwd=folder, env=environment, capture_output=True, text=True, timeout=60, check=False
        )

    made = run("documented.py")
    worker = run("-m", "arq", "--burst", "documented.WorkerSettings")
    log = [CHANGING.sub("", line) for line in worker.stderr.splitlines()]
    return {
        "producer": (made.returncode, made.stdout, made.stderr),
        "worker": (worker.returncode, sorted(worker.stdout.splitlines())),
        "log": sorted(line for line in log if not OURS.search(line)),
        "results": asyncio.run(results(port)),
    }


async def results(port: int) -> dict[str, Any]:
    pool = await create_pool(RedisSettings(port=port))
    kept = {
        found.job_id: (found.function, found.args, found.kwargs, found.job_try, found.success, repr(found.result))
        for found in await pool.all_job_results()
    }
    await pool.flushall()
    await pool.connection_pool.disconnect(inuse_connections=True)
    return {str(job_id): result for job_id, result in kept.items()}
