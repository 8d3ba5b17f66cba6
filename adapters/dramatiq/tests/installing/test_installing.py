# SPDX-License-Identifier: Apache-2.0
"""Dramatiq is installed and uninstalled as often as the application likes, beside other libraries, also after the agent was stopped."""

from __future__ import annotations

import uuid
from typing import Any

import dramatiq
from dramatiq.brokers.stub import StubBroker
from dramatiq.message import Message

import z4j_dramatiq
from z4j_agent.conformance import Harness, ReportingInstallContract


class TestDramatiq(ReportingInstallContract):
    package = z4j_dramatiq

    def target(self, harness: Harness) -> Any:
        return StubBroker()

    def owners(self, target: Any) -> list[Any]:
        return [Message, target, StubBroker]

    def enqueue(self, target: Any) -> str:
        return str(dramatiq.actor(lambda: None, broker=target, actor_name=f"a{uuid.uuid4()}", queue_name="work").send().message_id)
