# SPDX-License-Identifier: AGPL-3.0-or-later
"""Limits how many different names one app may have: beyond the limit its names are stored as `OTHERS`, and counted. Brokers are stored as
unknown instead: a command is sent to an agent that uses the broker of its task, and none uses `OTHERS`.

Without a limit an app that invents names fills the database, the caches and the lists of every other app. The names of an app are those
that its tasks, processes, queues and registered tasks have now: where some are no longer used, their places are given to new ones.
Runs in the writer's transaction.
"""

from __future__ import annotations

import time
from typing import Final

from z4j import clock
from z4j.formats import number, plural
from z4j.store.fleet import gaps
from z4j.store.names import names
from z4j.store.sqlite import sql
from z4j.store.sqlite.db import Connection

SQL = sql.load("names/name_limits")

OTHERS: Final = "(others)"
LIMITS: Final = {"name": 5_000, "queue": 2_000, "worker": 5_000, "environment": 50, "release": 2_000, "engine": 20, "broker": 200}
BLOCKS: Final = {
    "name": "list_name", "queue": "list_queue", "worker": "list_worker", "environment": "list_environment", "release": "list_release",
    "engine": "list_engine", "broker": "list_broker",
}  # fmt: skip
CAUSE: Final = "names beyond the limit: "
"""How the causes begin under which reports are counted (see `gaps`); what follows is the kind."""
RELOAD_S: Final = 60.0
"""Interval of checking a reached limit again."""
_CACHES: Final = "names of apps"


class _Known:
    """The names that one app has of one kind, with their ids."""

    __slots__ = ("ids", "new", "read_at")

    def __init__(self, ids: dict[str, int]) -> None:
        self.ids = ids
        self.new: dict[str, int] = {}
        """Given since then: a transaction that refers to them may not have written it yet."""
        self.read_at = time.monotonic()


def intern(db: Connection, app_id: int, kind: str, text: str) -> int:
    """Returns the id of a name of an app; beyond the limit that of `OTHERS` (of a broker: 0); 0 for the empty string."""
    if not text:
        return 0
    known: _Known | None = db.recall(_CACHES).get((app_id, kind))
    if known is not None and (id := known.ids.get(text)) is not None:
        return id
    return _intern_new(db, app_id, kind, text)


def is_known(db: Connection, app_id: int, kind: str, text: str) -> bool:
    """Whether a name has its place, or is given one; counted where not."""
    intern(db, app_id, kind, text)
    return not text or text in db.recall(_CACHES)[app_id, kind].ids


def limited(db: Connection, app_id: int, kind: str, text: str) -> str:
    """Returns the name itself, or `OTHERS` beyond the limit."""
    known: _Known | None = db.recall(_CACHES).get((app_id, kind))
    if not text or (known is not None and text in known.ids):
        return text
    return text if is_known(db, app_id, kind, text) else OTHERS


def is_counting(db: Connection) -> bool:
    """Whether a name was replaced since the last `flush`."""
    return bool(db.recall("names beyond"))


def flush(db: Connection, app_id: int) -> None:
    """Stores what was counted for an app since the last call."""
    counted: dict[tuple[int, str], int] = db.recall("names beyond")
    if counted:
        mine = {CAUSE + kind: counted.pop((app, kind)) for app, kind in list(counted) if app == app_id}
        gaps.record_refused(db, app_id, mine, clock.now())


def ids_in_use(db: Connection) -> set[int]:
    """Returns every id in the cache, whether or not a row refers to it yet."""
    return {id for known in db.recall(_CACHES).values() for id in known.ids.values()}


def forget(db: Connection) -> None:
    """Empties the cache."""
    db.recall(_CACHES).clear()


def _intern_new(db: Connection, app_id: int, kind: str, text: str) -> int:
    caches, key = db.recall(_CACHES), (app_id, kind)
    known: _Known | None = caches.get(key)
    limit = LIMITS[kind]
    if known is None or (len(known.ids) >= limit and time.monotonic() - known.read_at > RELOAD_S):
        used = {name: id for id, name in db.execute(SQL[BLOCKS[kind]], {"app_id": app_id}) if name != OTHERS}
        known = caches[key] = _Known(used | (known.new if known is not None else {}))
        if text in known.ids:
            return known.ids[text]
    if text != OTHERS and len(known.ids) < limit:
        known.ids[text] = known.new[text] = names.intern(db, kind, text)
        return known.ids[text]
    if text != OTHERS:  # this name was counted when it was replaced: its row is only written again
        counted = db.recall("names beyond")
        counted[key] = counted.get(key, 0) + 1
    return 0 if kind == "broker" else names.intern(db, kind, OTHERS)


def refused_text(cause: str, events: int) -> str:
    """Returns half a sentence about records that were refused, or stored under another name, for a cause of `gaps`."""
    kind = cause.removeprefix(CAUSE)
    if kind == cause:
        return f"{plural(events, 'record')} refused ({cause.replace('_', ' ')})"
    word = "task name" if kind == "name" else kind
    stored = "stored as unknown" if kind == "broker" else f"shown as {OTHERS}"
    return f"{plural(events, 'report')} of a {word} over the limit of {number(LIMITS.get(kind, 0))}: {stored}"
