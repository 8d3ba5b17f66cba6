# SPDX-License-Identifier: AGPL-3.0-or-later
"""Tokens of agents and of API clients. Only hashes are kept: a token is 256 random bits, so SHA-256 is slow enough."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from z4j.store.sqlite import sql
from z4j.store.sqlite.db import Connection, Store

SQL = sql.load("access/tokens")


@dataclass(frozen=True, slots=True)
class TokenRow:
    """A token without its secret. Times are microseconds UTC."""

    id: int
    kind: str
    label: str
    hint: str
    app: str
    role: str
    created_at: int
    created_by: str
    expires_at: int | None
    used_at: int | None
    revoked_at: int | None
    owner: str = ""
    """The person an API token belongs to; "" when it was made on the command line."""


class ApiToken(NamedTuple):
    """A valid API token. `owner_role` is what its owner may do now, "" without an owner: the token may never do more."""

    id: int
    label: str
    role: str
    owner_role: str
    used_at: int | None


def add_token(
    db: Connection,
    *,
    kind: str,
    hash: bytes,
    label: str,
    hint: str,
    app_id: int | None,
    role: str | None,
    at: int,
    by: str,
    expires_at: int | None = None,
    owner_id: int | None = None,
) -> int:
    """Adds a token of kind `agent` (with an app) or `api` (with a role). Returns its id."""
    params = {
        "kind": kind, "hash": hash, "label": label, "hint": hint, "app_id": app_id, "role": role, "at": at, "by": by,
        "expires_at": expires_at, "owner_id": owner_id,
    }  # fmt: skip
    return int(db.execute(SQL["add_token"], params).fetchone()[0])


def revoke_token(db: Connection, id: int, at: int) -> tuple[str, str, int | None] | None:
    """Revokes a token. Returns its (kind, label, app id), or None if there was none to revoke."""
    row = db.execute(SQL["revoke_token"], {"id": id, "at": at}).fetchone()
    return (row[0], row[1], row[2]) if row else None


def touch_token(db: Connection, id: int, at: int) -> None:
    """Records the last use of a token, in microseconds UTC."""
    db.execute(SQL["touch_token"], {"id": id, "at": at})


async def find_agent_token(store: Store, hash: bytes, at: int) -> tuple[int, int, str, str] | None:
    """Returns (token id, app id, app name, seal key id) of a valid agent token, or None."""
    row = await store.fetch_one(SQL["find_agent_token"], {"hash": hash, "at": at})
    return (row[0], row[1], row[2], row[3]) if row else None


async def find_api_token(store: Store, hash: bytes, at: int) -> ApiToken | None:
    """Returns an API token while it is valid and its owner is enabled, or None."""
    row = await store.fetch_one(SQL["find_api_token"], {"hash": hash, "at": at})
    return ApiToken(*row) if row else None


async def list_valid_agent_tokens(store: Store, ids: Iterable[int], at: int) -> set[int]:
    """Returns those of `ids` with which an agent may be connected."""
    return {row[0] for row in await store.fetch_all(SQL["list_valid_agent_tokens"], {"ids": json.dumps(sorted(ids)), "at": at})}


async def list_tokens(store: Store, *, limit: int = 1_000) -> list[TokenRow]:
    """Lists tokens, active ones first, then newest first."""
    return [TokenRow(*row) for row in await store.fetch_all(SQL["list_tokens"], {"limit": limit})]
