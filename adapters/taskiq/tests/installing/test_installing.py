# SPDX-License-Identifier: Apache-2.0
"""taskiq is installed and uninstalled as often as the application likes, beside other libraries, also after the agent was stopped."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

from taskiq import InMemoryBroker
from taskiq.receiver import Receiver

import z4j_taskiq
from z4j_agent.conformance import Harness, ReportingInstallContract
from z4j_taskiq.schedulers.scheduler_loop import LOOP_CLASS


class TestTaskiq(ReportingInstallContract):
    package = z4j_taskiq

    def target(self, harness: Harness) -> Any:
        return InMemoryBroker()

    def owners(self, target: Any) -> list[Any]:
        return [target, InMemoryBroker, Receiver, *([LOOP_CLASS] if LOOP_CLASS is not None else [])]

    def enqueue(self, target: Any) -> str:
        async def ship() -> None: ...

        task = target.task(task_name=f"ship{uuid.uuid4()}")(ship)
        return str(asyncio.run(task.kiq()).task_id)
