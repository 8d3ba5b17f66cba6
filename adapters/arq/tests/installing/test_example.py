# SPDX-License-Identifier: Apache-2.0
"""The example runs as its README says, and arq's own behaves the same with z4j as without, also without a server."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from arq import create_pool
from arq.connections import RedisSettings

from z4j_agent.conformance import ExampleContract, Harness

EXAMPLES = Path(__file__).resolve().parents[4] / "examples"
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


class TestArq(ExampleContract):
    folder = EXAMPLES / "arq"
    worker = ("-m", "arq", "app.WorkerSettings")
    expected = ("add", "arq:queue", "5")
    files: ClassVar[Mapping[str, str]] = {"documented.py": DOCUMENTED}
    install = "import z4j_arq; z4j_arq.install()"

    def run_own(self, broker: Harness, folder: Path, variant: str) -> dict[str, Any]:
        made = self.run(broker, folder, "documented.py")
        worker = self.run(broker, folder, "-m", "arq", "--burst", "documented.WorkerSettings")
        log = [CHANGING.sub("", line) for line in worker.stderr.splitlines()]
        return {
            "producer": (made.returncode, made.stdout, made.stderr),
            "worker": (worker.returncode, sorted(worker.stdout.splitlines())),
            "log": sorted({line for line in log if not OURS.search(line)}),
            "results": asyncio.run(results(self.port)),
        }

    def check_own(self, seen: dict[str, Any]) -> None:
        assert seen["results"]["broken"] == ("break_down", (), {"at": "dawn"}, 2, False, "LookupError('dawn')")


async def results(port: int) -> dict[str, Any]:
    pool = await create_pool(RedisSettings(port=port))
    stored = {
        result.job_id: (result.function, result.args, result.kwargs, result.job_try, result.success, repr(result.result))
        for result in await pool.all_job_results()
    }
    await pool.flushall()
    await pool.connection_pool.disconnect(inuse_connections=True)
    return {str(job_id): result for job_id, result in stored.items()}
