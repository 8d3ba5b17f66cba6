# SPDX-License-Identifier: Apache-2.0
"""The broker of each Huey object of this process. Identities are computed without a request to a broker.

Two Huey objects may have the same name and different storages, so a queue is identified by its broker and its name.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Final

import z4j_agent
from z4j_agent.capture.broker import Identities, fingerprint_file, fingerprint_redis, identify, identify_pool
from z4j_agent.capture.guard import let_through
from z4j_agent.contract.adapter import Original, Refused, SeveralTargets
from z4j_agent.runtime import gevent_bridge
from z4j_huey.messages import ENGINE
from z4j_huey.state import HueyState

SEVERAL = "several Huey objects of this process with different brokers match, and the command names no broker"
watched: list[Any] = []
"""The Huey objects of this process, the one that was installed first in front: `Z4J_BROKER` is the name of its broker."""


def identity_of(huey: Any) -> str:
    """Returns the identity of an object's broker; "" for a storage in memory or of an unknown kind."""
    return _identities.of(huey.storage, watched[0].storage if watched else None)


def broker_key_of(huey: Any) -> tuple[str | int, str]:
    """Returns a key that is equal for two objects with the same queue."""
    return identity_of(huey) or id(huey.storage), str(huey.name)


def _identify(storage: Any, this_host: str) -> str:
    """Reads the attributes of Huey's storages, because an application may have its own class (huey/storage.py,
    huey/contrib/sql_huey.py)."""
    if hasattr(getattr(storage, "pool", None), "connection_kwargs"):
        return identify_pool(storage.pool, this_host=this_host)
    if (path := _path_of(storage)) is not None:
        return identify("file", str(path.parent), database=path.name, this_host=this_host)
    options = getattr(getattr(storage, "database", None), "connect_params", None)
    if isinstance(options, dict) and options.get("host"):  # a server that peewee connects to
        kind = type(storage.database).__name__.lower().removesuffix("database")
        return identify(kind, str(options["host"]), options.get("port"), str(storage.database.database), this_host=this_host)
    return ""


_identities: Final = Identities(_identify, z4j_agent.current)
"""Identities by storage, because immediate mode replaces the storage of an object."""


def _path_of(storage: Any) -> Path | None:
    """The file or folder of a storage, None for another kind of storage and SQLite's ":memory:"."""
    path = getattr(storage, "filename", None) or getattr(storage, "path", None)
    if not isinstance(path, str | os.PathLike) or str(path) == ":memory:":
        return None
    return Path(path).absolute()


def fingerprint(huey: Any) -> str:
    """Returns the fingerprint of a storage: the same through every address. "" if unknown. Sends a request to Redis."""
    storage = huey.storage
    if hasattr(getattr(storage, "pool", None), "connection_kwargs"):
        return fingerprint_redis(storage.conn, storage.pool)
    path = _path_of(storage)
    return fingerprint_file(path) if path is not None else ""


def keep_fingerprint(state: HueyState) -> None:
    """Reads the fingerprint of each broker once; originals that are made later contain it."""
    agent, identity = z4j_agent.current(), identity_of(state.huey)
    if agent is None or not identity or identity in agent.fingerprints:
        return
    try:
        fingerprint_read = fingerprint(state.huey)
    except Exception as error:
        let_through(error)  # it cannot be reached now, and is read again later
        return
    if fingerprint_read:
        agent.fingerprints[identity] = fingerprint_read


class HueyPart(SeveralTargets):
    """The Huey objects of this process, and the selection of those to which a command applies. Used in the agent's thread."""

    engine: ClassVar[str] = ENGINE
    states: list[HueyState]

    def brokers(self) -> Mapping[str, str]:
        agent = z4j_agent.current()
        fingerprints = agent.fingerprints if agent is not None else {}
        identities = (identity_of(state.huey) for state in (*self.serving(), *self.states))
        return {identity: fingerprints.get(identity, "") for identity in identities if identity}

    def states_in_scope(self) -> list[HueyState]:
        """Returns the objects to which a command may apply."""
        return [state for state in list(self.states) if self.only in ("", identity_of(state.huey))]

    def serving(self) -> list[HueyState]:
        """Returns the objects whose tasks this process runs; in a producer all objects."""
        return [state for state in self.states if state.lifecycle.consumer is not None] or list(self.states)

    def named(self, queue: str, name: str = "", broker: str = "") -> HueyState:
        """Returns the monitored object of this name in this broker, of several one that has the task. Raises Refused."""
        states = [state for state in self.states_in_scope() if state.huey.name == queue and broker in ("", identity_of(state.huey))]
        if not states:
            raise Refused(
                f"it belongs to the Huey object {queue[:80]!r}, which this process does not have. No changes were made.",
                check="queue.unknown",
            )
        if len({broker_key_of(state.huey) for state in states}) > 1:
            raise Refused(f"{SEVERAL}. No changes were made.", check="broker.unknown")
        return next((state for state in states if state.has(name)), states[0])

    def of_original(self, original: Original) -> HueyState:
        return self.named(original.queue, original.name, original.broker)

    def in_first(self, act: Callable[[HueyState], dict[str, Any]], has: Callable[[HueyState], bool]) -> dict[str, Any]:
        """Calls `act` for the object that has the task. Raises Refused."""
        states = self.states_in_scope()
        if len({broker_key_of(state.huey) for state in states}) > 1:
            holding = [state for state in states if gevent_bridge.ask(state.hub, partial(has, state))]
            if len({broker_key_of(state.huey) for state in holding}) > 1:
                raise Refused(f"{SEVERAL}. No changes were made.", check="broker.unknown")
            states = holding or states
        refused = Refused("no Huey object is monitored in this process. No changes were made.")
        for state in states:
            try:
                return gevent_bridge.ask(state.hub, partial(act, state))
            except Refused as error:
                refused = error
        raise refused
