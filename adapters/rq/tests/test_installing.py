# SPDX-License-Identifier: Apache-2.0
"""RQ is installed and uninstalled as often as the application likes, beside other libraries, also after the agent was stopped."""

from __future__ import annotations

from typing import Any

from redis import Redis
from rq import Queue, SimpleWorker, Worker
from rq.job import Job
from rq.registry import FailedJobRegistry, StartedJobRegistry
from rq.worker import BaseWorker

import z4j_rq
from z4j_agent.conformance import Harness, ReportingInstallContract


class TestRq(ReportingInstallContract):
    package = z4j_rq

    def target(self, harness: Harness) -> None:
        self.port = harness.start_valkey()

    def owners(self, target: Any) -> list[Any]:
        found = [Queue, Job, BaseWorker, Worker, SimpleWorker, FailedJobRegistry, StartedJobRegistry]
        try:
            from rq.cron import CronJob, CronScheduler
        except ImportError:  # before RQ 2.4
            return found
        return [*found, CronJob, CronScheduler]

    def enqueue(self, target: Any) -> str:
        with Redis(port=self.port) as connection:
            return str(Queue("work", connection=connection).enqueue("time.sleep", 0).id)
