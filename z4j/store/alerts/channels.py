# SPDX-License-Identifier: AGPL-3.0-or-later
"""Channels that messages are sent through. Their addresses contain passwords and tokens, so they are stored encrypted; pages and lists show
`shown`. Times are microseconds UTC."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from typing import Literal, NamedTuple

from z4j.store.sqlite import sql
from z4j.store.sqlite.db import Connection, Store

SQL = sql.load("alerts/channels")
ChannelKind = Literal["apprise", "webhook"]


@dataclass(frozen=True, slots=True)
class Channel:
    """A channel as pages show it. `failing_since`: since when deliveries fail, with the last `error`."""

    id: int
    name: str
    kind: ChannelKind
    shown: str
    is_enabled: bool
    is_weekly: bool
    weekly_at: int
    changed_by: str
    changed_at: int
    delivered_at: int | None
    failing_since: int | None
    error: str


class Address(NamedTuple):
    """The address of a channel: a URL, and for a webhook the signing key."""

    name: str
    kind: ChannelKind
    url: str
    key: str
    is_enabled: bool


async def list_channels(store: Store) -> list[Channel]:
    """Lists all channels by name."""
    rows = await store.fetch_all(SQL["list_channels"])
    return [Channel(*(*row[:4], bool(row[4]), bool(row[5]), *row[6:])) for row in rows]


async def read_address(store: Store, id: int) -> Address | None:
    """Returns the address of a channel; None if it does not exist. Raises SealError if it cannot be decrypted."""
    row = await store.fetch_one(SQL["read_sealed"], {"id": id})
    if row is None:
        return None
    name, kind, sealed, is_enabled = row
    values = store.seal.open(sealed, _about(id))
    return Address(name, kind, values["url"], values["key"], bool(is_enabled))


def put_channel(
    db: Connection, id: int | None, *, name: str, kind: ChannelKind, shown: str, url: str, key: str, is_weekly: bool, actor: str, at: int
) -> int | None:  # fmt: skip
    """Adds a channel, or replaces the one with this id. Returns its id; None if there is none, or if another one has this name."""
    params = {"name": name, "kind": kind, "shown": shown, "is_weekly": is_weekly, "actor": actor, "at": at}
    try:
        if id is None:
            id = db.execute(SQL["add_channel"], params).lastrowid
        assert id is not None
        sealed = db.seal.close({"url": url, "key": key}, _about(id))
        return id if db.execute(SQL["change_channel"], {**params, "id": id, "sealed": sealed}).rowcount else None
    except sqlite3.IntegrityError:
        return None


def set_enabled(db: Connection, id: int, *, is_enabled: bool, actor: str, at: int) -> bool:
    """Enables or disables a channel. Returns whether it exists."""
    return bool(db.execute(SQL["set_enabled"], {"id": id, "is_enabled": is_enabled, "actor": actor, "at": at}).rowcount)


def delete_channel(db: Connection, id: int) -> bool:
    """Deletes a channel. Returns whether there was one."""
    return bool(db.execute(SQL["delete_channel"], {"id": id}).rowcount)


def note_delivered(db: Connection, id: int, at: int) -> None:
    """Records a successful delivery."""
    db.execute(SQL["note_delivered"], {"id": id, "at": at})


def note_failed(db: Connection, id: int, error: str, at: int) -> None:
    """Records a failed delivery."""
    db.execute(SQL["note_failed"], {"id": id, "error": error, "at": at})


async def list_weekly(store: Store, before: int) -> list[tuple[int, int]]:
    """Lists (channel, time of its last weekly message) of channels whose last one was before a time."""
    return [(row[0], row[1]) for row in await store.fetch_all(SQL["list_weekly"], {"before": before})]


def set_weekly(db: Connection, id: int, expected: int, at: int) -> bool:
    """Records the weekly message. Returns False if it was already recorded."""
    return bool(db.execute(SQL["set_weekly"], {"id": id, "expected": expected, "at": at}).rowcount)


def _about(id: int) -> str:
    return f"channel {id}"
