# SPDX-License-Identifier: Apache-2.0
"""APScheduler is installed and uninstalled as often as the application likes, beside other libraries, also after the agent was stopped."""

from __future__ import annotations

from typing import Any

from apscheduler.schedulers.background import BackgroundScheduler

import z4j_apscheduler
from z4j_agent.conformance import Harness, InstallContract


class TestApscheduler(InstallContract):
    package = z4j_apscheduler

    def target(self, harness: Harness) -> Any:
        return BackgroundScheduler(timezone="UTC")

    def owners(self, target: Any) -> list[Any]:
        return [target, BackgroundScheduler]
