# SPDX-License-Identifier: Apache-2.0
"""Which brokers this process uses, and what tells them apart. Asks no broker."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import z4j_agent
from z4j_agent.broker import identify, identify_pool
from z4j_dramatiq.queues import kind_of

if TYPE_CHECKING:
    from z4j_dramatiq.adapter import DramatiqAdapter

watched: list[DramatiqAdapter] = []
"""One adapter for each broker, the one that was installed first in front: it is what commands that name no broker are for."""


def identity_of(broker: Any) -> str:
    """Of what leads to it; "" for one in memory or of a kind this package does not know. The owner's own name (`Z4J_BROKER`) is that of
    the first."""
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
    """Several are the nodes of one cluster, in any order."""
    listed = parameters if isinstance(parameters, list) else [parameters]
    return ";".join(
        sorted({identify("amqp", str(each.host), int(each.port), str(each.virtual_host) or "/", this_host=this_host) for each in listed})
    )
