# SPDX-License-Identifier: Apache-2.0
"""Identities of the brokers of one process: two of them may have queues of the same name. Sends no request to a broker, except in
`keep_fingerprint`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Final

import z4j_agent
from z4j_agent.capture.broker import Identities, fingerprint_redis, identify, identify_pool, identify_url
from z4j_agent.capture.guard import let_through
from z4j_agent.contract.adapter import Refused, SeveralTargets
from z4j_taskiq.messages import ENGINE, is_rabbitmq
from z4j_taskiq.state import BrokerState

watched: list[Any] = []
"""The brokers of this process, in order of installation: `Z4J_BROKER` is the name of the first."""
SEVERAL = "several brokers of this process match, and the command names none. No changes were made."


def identity_of(broker: Any) -> str:
    """Returns the identity of a broker; "" for one in memory or of an unknown kind."""
    return _identities.of(broker, watched[0] if watched else None)


def broker_key_of(broker: Any) -> str | int:
    """Returns a key that is equal for two objects of one broker."""
    return identity_of(broker) or id(broker)


def _identify(broker: Any, this_host: str) -> str:
    if hasattr(getattr(broker, "connection_pool", None), "connection_kwargs"):
        return identify_pool(broker.connection_pool, this_host=this_host)
    if hasattr(broker, "sentinel") and hasattr(broker, "master_name"):  # the name stays the same after a failover, the addresses do not
        options = getattr(broker.sentinel, "connection_kwargs", {})
        return identify("redis+sentinel", str(broker.master_name), 1, str(options.get("db") or 0), this_host=this_host)
    if is_rabbitmq(broker):
        options, url = getattr(broker, "_conn_kwargs", {}), getattr(broker, "url", None)
        if url:
            return identify_url(str(url), this_host=this_host)
        return identify(
            "amqp", str(options.get("host") or ""), options.get("port"), str(options.get("virtualhost") or "/"), this_host=this_host
        )
    servers = getattr(broker, "servers", None)  # taskiq-nats: one cluster, in any order of its nodes
    if isinstance(servers, str | list | tuple):
        return identify_url(";".join([servers] if isinstance(servers, str) else map(str, servers)), this_host=this_host)
    return ""


_identities: Final = Identities(_identify, z4j_agent.current)


def the_one(states: Iterable[BrokerState]) -> BrokerState | None:
    """Returns the first of these, None without any. Raises Refused if they belong to several brokers."""
    candidates = list(states)
    if len({broker_key_of(state.broker) for state in candidates}) > 1:
        raise Refused(SEVERAL, check="broker.unknown")
    return candidates[0] if candidates else None


def keep_fingerprint(broker: Any, client: Any) -> None:
    """Reads the fingerprint of a Redis; originals that are made later contain it."""
    agent, identity = z4j_agent.current(), identity_of(broker)
    if agent is None or not identity or identity in agent.fingerprints:
        return
    try:
        agent.fingerprints[identity] = fingerprint_redis(client, broker.connection_pool)
    except Exception as error:
        let_through(error)  # the account may not read it
        agent.fingerprints[identity] = ""


class TaskiqPart(SeveralTargets):
    """The brokers of this process, and the selection of those to which a command applies. Used in the agent's thread."""

    engine: ClassVar[str] = ENGINE
    states: list[BrokerState]

    def brokers(self) -> Mapping[str, str]:
        """Returns the brokers, those of this process's worker first."""
        agent = z4j_agent.current()
        fingerprints = agent.fingerprints if agent is not None else {}
        ordered = sorted(self.states, key=lambda state: state.receiver is None)
        return {identity: fingerprints.get(identity, "") for state in ordered if (identity := identity_of(state.broker))}

    def states_in_scope(self, broker: str = "") -> list[BrokerState]:
        """Returns the brokers to which a command may apply."""
        only = broker or self.only
        return [state for state in list(self.states) if only in ("", identity_of(state.broker))]

    def listening(self) -> list[BrokerState]:
        """Returns those of them whose worker this process is."""
        return [state for state in self.states_in_scope() if state.receiver is not None]
