# SPDX-License-Identifier: Apache-2.0
"""Huey is installed and uninstalled as often as the application likes, beside other libraries, also after the agent was stopped."""

from __future__ import annotations

from typing import Any

from huey import MemoryHuey
from huey.api import Huey
from huey.consumer import Consumer

import z4j_huey
from z4j_agent.conformance import Harness, ReportingInstallContract


class TestHuey(ReportingInstallContract):
    package = z4j_huey

    def target(self, harness: Harness) -> Any:
        made = MemoryHuey("work")
        self.task = made.task(name="ship")(lambda: None)
        return made

    def owners(self, target: Any) -> list[Any]:
        return [target, Huey, Consumer]

    def enqueue(self, target: Any) -> str:
        return str(self.task().id)
