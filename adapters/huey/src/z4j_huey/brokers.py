# SPDX-License-Identifier: Apache-2.0
"""Which broker each Huey object of this process uses, and what tells them apart. Asks no broker.

Two Huey objects may have one name and different storages, so a name alone is no place. An object's place is its broker and its name.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import z4j_agent
from z4j_agent.broker import Identities, fingerprint_file, fingerprint_redis, identify, identify_pool
from z4j_agent.guard import let_through

if TYPE_CHECKING:
    from collections.abc import Sequence

    from z4j_huey.capture import Capture

watched: list[Any] = []
"""The Huey objects of this process, the one that was installed first in front: `Z4J_BROKER` is the name of its broker."""


def identity_of(huey: Any) -> str:
    """Of what leads to its storage; "" for one in memory or of a kind this package does not know."""
    return _identities.of(huey.storage, watched[0].storage if watched else None)


def place_of(huey: Any) -> tuple[str | int, str]:
    """Equal for two objects whose tasks lie in one queue."""
    return identity_of(huey) or id(huey.storage), str(huey.name)


def _identify(storage: Any, this_host: str) -> str:
    """By the attributes of Huey's storages, for an application may have its own (huey/storage.py, huey/contrib/sql_huey.py)."""
    if hasattr(getattr(storage, "pool", None), "connection_kwargs"):
        return identify_pool(storage.pool, this_host=this_host)
    if (path := _path_of(storage)) is not None:
        return identify("file", str(path.parent), database=path.name, this_host=this_host)
    kept = getattr(getattr(storage, "database", None), "connect_params", None)
    if isinstance(kept, dict) and kept.get("host"):  # a server that peewee connects to
        kind = type(storage.database).__name__.lower().removesuffix("database")
        return identify(kind, str(kept["host"]), kept.get("port"), str(storage.database.database), this_host=this_host)
    return ""


_identities: Final = Identities(_identify, z4j_agent.current)
"""By storage, because immediate mode exchanges the one of an object."""


def _path_of(storage: Any) -> Path | None:
    """The file or folder of a storage that lies in one. SQLite's ":memory:" is none."""
    found = getattr(storage, "filename", None) or getattr(storage, "path", None)
    if not isinstance(found, str | os.PathLike) or str(found) == ":memory:":
        return None
    return Path(found).absolute()


def fingerprint(huey: Any) -> str:
    """What the storage says of itself: the same through every address. "" where it may not be asked. Asks Redis."""
    storage = huey.storage
    if hasattr(getattr(storage, "pool", None), "connection_kwargs"):
        return fingerprint_redis(storage.conn, storage.pool)
    path = _path_of(storage)
    return fingerprint_file(path) if path is not None else ""


def keep_fingerprint(capture: Capture) -> None:
    """Asks once for each broker; originals that are made from then on name it."""
    agent, identity = z4j_agent.current(), identity_of(capture.huey)
    if agent is None or not identity or identity in agent.fingerprints:
        return
    try:
        found = fingerprint(capture.huey)
    except Exception as error:
        let_through(error)  # it cannot be reached now, and is asked again
        return
    if found:
        agent.fingerprints[identity] = found


def brokers(captures: Sequence[Capture]) -> dict[str, str]:
    """{identity: fingerprint} of these objects, in their order."""
    agent = z4j_agent.current()
    told = agent.fingerprints if agent is not None else {}
    found = (identity_of(capture.huey) for capture in captures)
    return {identity: told.get(identity, "") for identity in found if identity}
