# SPDX-License-Identifier: Apache-2.0
"""Depths of queues, read from the broker without changing it."""

from __future__ import annotations

from typing import Any

import z4j_agent
from z4j_agent.capture.broker import fingerprint_redis
from z4j_agent.capture.guard import faults, let_through
from z4j_agent.contract.adapter import QueueInfo
from z4j_celery.apps import broker_key_of, identity_of
from z4j_celery.brokers import redis_lists
from z4j_celery.brokers.message import driver_of
from z4j_celery.state import CeleryPart

NOT_FOUND = 404


def _depths(app: Any, names: list[str], *, is_only: bool) -> dict[str, int | None]:
    try:
        with app.connection_for_write() as connection:
            _keep_fingerprint(app, connection)
            if driver_of(app) != "redis":
                return {name: _depth(connection, name) for name in names}
        with redis_lists.open_redis(app) as lists:  # kombu asks EXISTS without the prefix of its own keys (PREFIXED_SIMPLE_COMMANDS)
            return {name: lists.depth(name) for name in names}
    except Exception as error:
        if is_only:
            raise
        let_through(error)
        faults.report("reading the queues of a broker of Celery", error)
        return dict.fromkeys(names)


def _keep_fingerprint(app: Any, connection: Any) -> None:
    """Reads the fingerprint of a Redis server; originals that are made later contain it. RabbitMQ reports nothing that identifies one
    broker."""
    agent, identity = z4j_agent.current(), identity_of(app)
    if agent is None or not identity or identity in agent.fingerprints or connection.transport.driver_type != "redis":
        return
    try:
        channel = connection.default_channel
        prefix = str(getattr(channel, "global_keyprefix", "") or "")
        agent.fingerprints[identity] = fingerprint_redis(channel.client, channel.client.connection_pool, prefix)
    except Exception as error:
        let_through(error)  # the account may not read it
        agent.fingerprints[identity] = ""


def _depth(connection: Any, name: str) -> int | None:
    """Number of waiting messages, 0 for a queue that does not exist. RabbitMQ closes the channel for such a queue."""
    with connection.channel() as channel:
        try:
            return int(channel.queue_declare(name, passive=True).message_count)
        except connection.channel_errors as error:
            return 0 if getattr(error, "reply_code", getattr(error, "code", None)) == NOT_FOUND or "NOT_FOUND" in str(error) else None


class Queues(CeleryPart):
    """Depths of the queues of this process's apps."""

    def list_queues(self) -> list[QueueInfo]:
        """Returns the queues of each app; two apps with one broker share them. A broker that cannot be reached does not affect the others'
        queues."""
        queues_by_broker: dict[tuple[str | int, str], QueueInfo] = {}
        names: dict[str | int, tuple[Any, dict[str, None]]] = {}
        for state in self.states_in_scope():
            names.setdefault(broker_key_of(state.app), (state.app, {}))[1].update(dict.fromkeys(state.known_queues()))
        for broker_key, (app, queues) in names.items():
            for name, depth in _depths(app, list(queues), is_only=len(names) == 1).items():
                queues_by_broker[broker_key, name] = QueueInfo(name, depth, broker=identity_of(app))
        return list(queues_by_broker.values())
