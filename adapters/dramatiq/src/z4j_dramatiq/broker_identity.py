# SPDX-License-Identifier: Apache-2.0
"""The identities of this process's brokers, computed without a request to a broker."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, ClassVar

import z4j_agent
from z4j_agent.capture.broker import identify, identify_pool
from z4j_agent.contract.adapter import Adapter, Original, Refused
from z4j_dramatiq.messages import ENGINE
from z4j_dramatiq.queues import kind_of
from z4j_dramatiq.state import BrokerState

watched: list[DramatiqPart] = []
"""One adapter for each broker, in order of installation: commands that name no broker apply to the first one."""


def identity_of(broker: Any) -> str:
    """Returns the identity of a broker; "" for one in memory or of an unknown kind. The owner's own name (`Z4J_BROKER`) applies to the
    first broker."""
    agent = z4j_agent.current()
    if agent is None:
        return ""
    if agent.settings.broker and watched and watched[0].broker is broker:
        return agent.settings.broker
    match kind_of(broker):
        case "redis":
            return _of_redis(broker, agent.host)
        case "rabbitmq":
            return _of_rabbitmq(broker.parameters, agent.host)
    return ""


def _of_redis(broker: Any, this_host: str) -> str:
    prefix = "" if broker.namespace == "dramatiq" else str(broker.namespace)
    return identify_pool(broker.client.connection_pool, prefix, this_host=this_host)


def _of_rabbitmq(parameters: Any, this_host: str) -> str:
    """Several addresses are the nodes of one cluster, in any order."""
    listed = parameters if isinstance(parameters, list) else [parameters]
    return ";".join(
        sorted({identify("amqp", str(each.host), int(each.port), str(each.virtual_host) or "/", this_host=this_host) for each in listed})
    )


class DramatiqPart(Adapter):
    """Base class of the adapter's parts: its broker, and the other brokers of the process. Each broker has an adapter; commands are sent
    to the first."""

    engine: ClassVar[str] = ENGINE
    state: BrokerState
    only: str = ""
    """The broker of the command, "" if it names none."""

    @property
    def broker(self) -> Any:
        return self.state.broker

    def brokers(self) -> Mapping[str, str]:
        agent = z4j_agent.current()
        fingerprints = agent.fingerprints if agent is not None else {}
        ordered = sorted(watched, key=lambda adapter: adapter.state.worker is None)  # that of the worker first
        identities = (identity_of(adapter.broker) for adapter in ordered)
        return {identity: fingerprints.get(identity, "") for identity in identities if identity}

    def of_broker(self, broker: str) -> DramatiqPart:
        adapter = next((adapter for adapter in watched if broker and identity_of(adapter.broker) == broker), None)
        if adapter is None:
            return self
        bound = copy.copy(adapter)
        bound.only = broker
        return bound

    def siblings(self) -> list[DramatiqPart]:
        return watched or [self]

    def broker_of(self, original: Original) -> Any:
        """Returns the adapter for the original's broker; one that names none belongs to the only broker. Raises Refused."""
        if not original.broker and len(watched) > 1:
            raise Refused(
                "this process uses several brokers, and the original names none. Nothing was sent.",
                check="broker.unknown",
            )
        return self.of_broker(original.broker).broker
