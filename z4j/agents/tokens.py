# SPDX-License-Identifier: AGPL-3.0-or-later
"""Finds the app of an agent's token by its hash."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from z4j import clock
from z4j.store.access import tokens
from z4j.store.sqlite.db import Store


@dataclass(frozen=True, slots=True)
class AgentToken:
    """A valid agent token and its app."""

    token_id: int
    app_id: int
    app: str
    seal_key_id: str


async def find_token(store: Store, token: str) -> AgentToken | None:
    """Returns the app that a token belongs to; None if the token is unknown, revoked or expired."""
    if not token or len(token) > 200:
        return None
    row = await tokens.find_agent_token(store, hashlib.sha256(token.encode()).digest(), clock.now())
    return AgentToken(*row) if row else None
