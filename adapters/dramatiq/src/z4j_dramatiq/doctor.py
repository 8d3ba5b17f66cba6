# SPDX-License-Identifier: Apache-2.0
"""Known problems of Dramatiq configurations that can be detected inside a process."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from dramatiq.encoder import PickleEncoder
from dramatiq.message import get_encoder
from dramatiq.middleware import Retries, TimeLimit

from z4j_agent.contract.adapter import Finding
from z4j_dramatiq.broker_identity import DramatiqPart
from z4j_dramatiq.queues import kind_of
from z4j_dramatiq.state import BrokerState


def _of_middleware(state: BrokerState) -> Iterator[Finding]:
    middleware = state.broker.middleware
    if middleware and middleware[0] is not state.middleware:
        yield Finding(
            "error",
            f"{type(middleware[0]).__name__} runs before z4j's middleware: messages that it skips or fails are not reported.",
            "Call z4j_dramatiq.install(broker) after every add_middleware(..., before=...).",
        )
    if not any(isinstance(each, Retries) for each in middleware):
        yield Finding(
            "warning",
            "Without the Retries middleware Dramatiq acknowledges a failed message as done, without a dead letter.",
            "Add Retries(max_retries=0) if messages must not be retried.",
        )
    if not any(isinstance(each, TimeLimit) for each in middleware):
        yield Finding(
            "warning",
            "The TimeLimit middleware is missing: a task that hangs occupies its thread permanently.",
            "Add TimeLimit(time_limit=600_000).",
        )
    elif state.worker is not None and not state.is_booted:
        yield Finding(
            "warning",
            "This worker was not started by the dramatiq command, so its time limits are not enforced.",
            'Call broker.emit_after("process_boot") before worker.start(), or use the command.',
        )


def _of_broker(broker: Any) -> Iterator[Finding]:
    match kind_of(broker):
        case "redis":
            if not broker.maintenance_chance:
                yield Finding(
                    "error",
                    "Maintenance is disabled: messages of a killed worker are not requeued.",
                    "Create the broker without maintenance_chance=0 in at least one process.",
                )
        case "rabbitmq":
            if not broker.confirm_delivery:
                yield Finding(
                    "warning",
                    "Publisher confirms are disabled: a message that RabbitMQ refuses is shown as queued and never runs.",
                    "Create the broker with RabbitmqBroker(..., confirm_delivery=True).",
                )
        case "stub":
            yield Finding("warning", "The stub broker stores its messages in the memory of this process.", "Use it in tests only.")


def _of_encoder() -> Iterator[Finding]:
    if isinstance(get_encoder(), PickleEncoder):
        yield Finding(
            "warning",
            "This worker reads pickle. Anyone who can write to the broker can run code here.",
            "Use Dramatiq's JSONEncoder, its default.",
        )


class Doctor(DramatiqPart):
    """Findings about this process."""

    def findings(self) -> list[Finding]:
        """Findings about this process, each with its remedy."""
        return [*_of_middleware(self.state), *_of_broker(self.broker), *_of_encoder()]
