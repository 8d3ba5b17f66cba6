# SPDX-License-Identifier: Apache-2.0
"""Celery is installed and uninstalled as often as the application likes, beside other libraries, also after the agent was stopped."""

from __future__ import annotations

from typing import Any

from celery import Celery, Task, signals
from celery.backends.base import Backend

import z4j_celery
from z4j_agent.conformance import Harness, ReportingInstallContract


class TestCelery(ReportingInstallContract):
    package = z4j_celery
    is_enqueueing_patched = False

    def target(self, harness: Harness) -> Any:
        return Celery("host", broker="memory://", backend="cache+memory://", set_as_current=False)

    def owners(self, target: Any) -> list[Any]:
        return [Celery, Task, Backend, *(each for each in vars(signals).values() if isinstance(each, type(signals.task_prerun)))]

    def _attributes(self) -> dict[tuple[int, str], Any]:
        """Without Celery's note that a receiver is gone, which the garbage collector sets when it runs."""
        return {attribute: value for attribute, value in super()._attributes().items() if attribute[1] != "_dead_receivers"}

    def enqueue(self, target: Any) -> str:
        return str(target.send_task("shop.ship").id)
