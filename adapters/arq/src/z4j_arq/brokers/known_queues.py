# SPDX-License-Identifier: Apache-2.0
"""The queues that this process uses, and their Redis: arq's default queue has the same name in every Redis, so a name alone is ambiguous.

Contains no pool of the application, so that none is kept alive. Sends no request to Redis, except in `keep_fingerprint`.
"""

from __future__ import annotations

import weakref
from typing import Any, Final

import redis

import z4j_agent
from z4j_agent.capture.broker import fingerprint_redis
from z4j_arq.brokers.broker import Broker, QueueKey, identity_of_settings

MOST_QUEUES: Final = 1_000
"""Maximum number of queues, so that an application with generated names does not fill the memory; the oldest is removed."""


class Known:
    """The queues to which this process has enqueued, and the identity of each Redis."""

    def __init__(self) -> None:
        self._met: dict[QueueKey, tuple[weakref.ref[Any], Broker]] = {}
        self._identities: weakref.WeakKeyDictionary[Any, str] = weakref.WeakKeyDictionary()
        self._brokers: weakref.WeakKeyDictionary[Any, Broker] = weakref.WeakKeyDictionary()
        self._first = ""
        """The address of the Redis that was used first: `Z4J_BROKER` is the name of this one."""

    def meet(self, pool: Any, queue: str) -> str:
        """Records that the application has enqueued to a queue. Returns the identity of its Redis."""
        key = (self.identity_of(pool), queue)
        known = self._met.get(key)
        if known is None or known[0]() is not pool:
            self._met[key] = weakref.ref(pool), self.broker_of(pool)
            if len(self._met) > MOST_QUEUES:
                self._met.pop(next(iter(self._met)), None)
        return key[0]

    def met(self) -> list[tuple[QueueKey, Broker]]:
        return [(key, broker) for key, (_, broker) in list(self._met.items())]

    def broker_of(self, pool: Any, writer: Any = None) -> Broker:
        """Returns the broker of an ArqRedis; `writer` is a Worker with serialisers of its own."""
        keyed_by = pool if writer is None else writer
        broker = self._brokers.get(keyed_by)
        if broker is None:
            broker = self._brokers[keyed_by] = Broker.of(pool, writer)
        return broker

    def identity_of(self, pool: Any) -> str:
        identity = self._identities.get(pool)
        if identity is None:
            identity = self._identities[pool] = self._identify(pool)
        return identity

    def identity_of_worker(self, worker: Any) -> str:
        """Returns the identity of a worker's Redis, by its settings while it has no pool: arq creates one at the worker's start
        (arq/worker.py: `main`)."""
        if worker.pool is not None:
            return self.identity_of(worker.pool)
        agent = z4j_agent.current()
        return self._named(identity_of_settings(worker.redis_settings, agent.host if agent is not None else ""))

    def _identify(self, pool: Any) -> str:
        agent = z4j_agent.current()
        return self._named(Broker.of(pool).identity(agent.host if agent is not None else ""))

    def _named(self, address: str) -> str:
        agent = z4j_agent.current()
        self._first = self._first or address
        return agent.settings.broker if agent is not None and agent.settings.broker and address == self._first else address

    def keep_fingerprint(self, identity: str, client: Any) -> None:
        """Reads the fingerprint of a Redis; originals that are made later contain it."""
        agent = z4j_agent.current()
        if agent is None or identity in agent.fingerprints:
            return
        try:
            agent.fingerprints[identity] = fingerprint_redis(client, client.connection_pool)
        except redis.ResponseError:  # the account may not read it
            agent.fingerprints[identity] = ""
