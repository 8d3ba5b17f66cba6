# SPDX-License-Identifier: Apache-2.0
"""RQ is installed and uninstalled as often as the application likes, beside other libraries, also after the agent was stopped."""

from __future__ import annotations

import contextlib
import importlib
import sys
from typing import Any

from redis import Redis
from rq import Queue

import z4j_rq
from z4j_agent.conformance import Harness, ReportingInstallContract


class TestRq(ReportingInstallContract):
    package = z4j_rq

    def target(self, harness: Harness) -> None:
        self.connection = Redis(port=harness.start_valkey())

    def close(self) -> None:
        self.connection.close()

    def owners(self, target: Any) -> list[Any]:
        """Every class of RQ, not just those we know we touch."""
        with contextlib.suppress(ImportError):  # RQ before 2.4 has none; `install` loads it
            importlib.import_module("rq.cron")
        modules = [module for name, module in list(sys.modules.items()) if name.partition(".")[0] == "rq"]
        values = [value for module in modules for value in list(vars(module).values()) if isinstance(value, type)]
        return sorted({value for value in values if value.__module__.partition(".")[0] == "rq"}, key=repr)

    def enqueue(self, target: Any) -> str:
        return str(Queue("work", connection=self.connection).enqueue("time.sleep", 0).id)
