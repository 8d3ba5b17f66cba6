# SPDX-License-Identifier: Apache-2.0
"""arq is installed and uninstalled as often as the application likes, beside other libraries, also after the agent was stopped."""

from __future__ import annotations

import asyncio
from typing import Any

import arq.connections
import arq.worker
from arq.connections import ArqRedis, RedisSettings

import z4j_arq
from z4j_agent.conformance import Harness, ReportingInstallContract


class TestArq(ReportingInstallContract):
    package = z4j_arq

    def target(self, harness: Harness) -> None:
        self.port = harness.start_valkey()

    def owners(self, target: Any) -> list[Any]:
        return [ArqRedis, arq.connections, arq.worker, arq.worker.Worker]

    def enqueue(self, target: Any) -> str:
        return asyncio.run(self._enqueue())

    async def _enqueue(self) -> str:
        pool = await arq.connections.create_pool(RedisSettings(port=self.port))
        job = await pool.enqueue_job("ship")
        await pool.aclose()
        assert job is not None
        return str(job.job_id)
