# SPDX-License-Identifier: AGPL-3.0-or-later
"""Changes the server's own data for a user: checks the role, and commits the change together with its audit row."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from z4j import clock
from z4j.exceptions import NotAllowed
from z4j.operations.commands import Actor
from z4j.rules.permissions import ACTIONS, may_act
from z4j.store.access.audit import Appended, AuditLog
from z4j.store.sqlite.db import Connection, Store
from z4j.text import JsonObject

T = TypeVar("T")


async def check_role(store: Store, log: AuditLog, actor: Actor, action: str, target: str) -> None:
    """Raises NotAllowed, and records the refusal in the audit log, if the actor's role does not permit an action."""
    if may_act(actor.role, action):
        return
    await log.note(
        store, at=clock.now(), actor=actor.name, role=actor.role, action=action, target=target, outcome="refused", detail={"why": "role"},
        address=actor.address,
    )  # fmt: skip
    whom = "an administrator" if ACTIONS.get(action) == "admin" else "an operator or an administrator"
    raise NotAllowed(f"Your role, {actor.role}, does not allow this. No changes were made.", f"Ask {whom}.")


async def change(
    store: Store, log: AuditLog, actor: Actor, action: str, target: Callable[[T], str], detail: JsonObject | Callable[[T], JsonObject],
    work: Callable[[Connection], T | None],
) -> T | None:  # fmt: skip
    """Returns what `work` returned, committed durably together with a row about `target` of it; None, and no row, if it returned None.

    `detail` may be computed from the result, too.
    """

    def commit(db: Connection) -> tuple[T, Appended] | None:
        found = work(db)
        if found is None:
            return None
        return found, log.append(
            db, at=clock.now(), actor=actor.name, role=actor.role, action=action, target=target(found),
            detail=detail(found) if callable(detail) else detail, address=actor.address,
        )  # fmt: skip

    done = await store.write(commit, durable=True)
    if done is None:
        return None
    log.keep_head(done[1])
    return done[0]
