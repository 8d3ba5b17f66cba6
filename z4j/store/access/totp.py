# SPDX-License-Identifier: AGPL-3.0-or-later
"""Stores the second factor of each user. Secrets are passed sealed (`web/auth/totp.py`); recovery codes are stored as SHA-256."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from z4j.store.sqlite import sql
from z4j.store.sqlite.db import Connection, Store

SQL = sql.load("access/totp")


@dataclass(frozen=True, slots=True)
class TotpRow:
    """`secret` is sealed; `confirmed_at` (microseconds UTC) is None until the first code was right."""

    secret: bytes
    confirmed_at: int | None
    last_step: int


def get_totp(db: Connection, user_id: int) -> TotpRow | None:
    """Returns the second factor of a user from the writer's connection, or None."""
    row = db.execute(SQL["get_totp"], {"user_id": user_id}).fetchone()
    return TotpRow(*row) if row else None


def put_totp(db: Connection, user_id: int, secret: bytes, at: int) -> bool:
    """Stores a secret that is to be confirmed. Returns False, without a change, if there is a confirmed one."""
    return db.execute(SQL["put_totp"], {"user_id": user_id, "secret": secret, "at": at}).rowcount == 1


def confirm_totp(db: Connection, user_id: int, at: int) -> None:
    """Records when the user confirmed the second factor, in microseconds UTC."""
    db.execute(SQL["confirm_totp"], {"user_id": user_id, "at": at})


def use_step(db: Connection, user_id: int, step: int, newest: int) -> bool:
    """Whether this step, or a later one up to `newest` (the newest that can be right now), had not been used yet; it has now."""
    return db.execute(SQL["use_step"], {"user_id": user_id, "step": step, "newest": newest}).fetchone() is not None


def delete_totp(db: Connection, user_id: int) -> bool:
    """Deletes the second factor and the recovery codes of a user. Returns False if there was none."""
    db.execute(SQL["delete_recovery_codes"], {"user_id": user_id})
    return db.execute(SQL["delete_totp"], {"user_id": user_id}).rowcount == 1


def put_recovery_codes(db: Connection, user_id: int, hashes: Iterable[bytes]) -> None:
    """Replaces the recovery codes of a user."""
    db.execute(SQL["delete_recovery_codes"], {"user_id": user_id})
    for hash in hashes:
        db.execute(SQL["add_recovery_code"], {"user_id": user_id, "hash": hash})


def use_recovery_code(db: Connection, user_id: int, hash: bytes, at: int) -> bool:
    """Whether it worked; it never does again."""
    return db.execute(SQL["use_recovery_code"], {"user_id": user_id, "hash": hash, "at": at}).fetchone() is not None


async def find_totp(store: Store, user_id: int) -> TotpRow | None:
    """Returns the second factor of a user from a reader, or None."""
    row = await store.fetch_one(SQL["get_totp"], {"user_id": user_id})
    return TotpRow(*row) if row else None


async def count_recovery_codes(store: Store, user_id: int) -> int:
    """Returns how many recovery codes are unused."""
    row = await store.fetch_one(SQL["count_recovery_codes"], {"user_id": user_id})
    return int(row[0]) if row else 0
