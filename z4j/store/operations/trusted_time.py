# SPDX-License-Identifier: AGPL-3.0-or-later
"""Stores the time that retention trusts, so that a restart does not hide that the clock was set."""

from __future__ import annotations

import json

from z4j.rules.clock_watch import TrustedTime
from z4j.store.sqlite import sql
from z4j.store.sqlite.db import Connection, Store

SQL = sql.load("operations/trusted_time")


async def read_trusted(store: Store) -> TrustedTime | None:
    """Returns the trusted time, or None if none was stored yet."""
    row = await store.fetch_one(SQL["read_trusted"])
    return TrustedTime(*json.loads(row[0])) if row else None


def put_trusted(db: Connection, trusted: TrustedTime) -> None:
    """Replaces the trusted time."""
    db.execute(SQL["put_trusted"], {"value": json.dumps([trusted.at, trusted.waited_us])})
