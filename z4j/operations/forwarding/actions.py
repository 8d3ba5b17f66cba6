# SPDX-License-Identifier: AGPL-3.0-or-later
"""Actions of users on targets: each one checks the role and is written with its audit row in one durable transaction."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Final

from z4j import clock
from z4j.exceptions import BadInput, NotFound, WrongState
from z4j.live import Live
from z4j.operations.audited_change import change, check_role
from z4j.operations.commands import Actor
from z4j.operations.forwarding.senders import shown_address
from z4j.operations.forwarding.service import Forwarder
from z4j.rules.forwarding.events import of_test
from z4j.rules.forwarding.target import TargetRequest, check_target
from z4j.store.access.audit import AuditLog
from z4j.store.forwarding import targets
from z4j.store.sqlite.db import Connection, Store
from z4j.text import JsonObject

ACTION: Final = "change_forwarding"


class ForwardingActions:
    """One per server."""

    def __init__(self, store: Store, live: Live, audit_log: AuditLog, forwarder: Forwarder) -> None:
        self.store = store
        self.live = live
        self.audit_log = audit_log
        self.forwarder = forwarder

    async def put_target(self, actor: Actor, id: int | None, request: TargetRequest, *, from_beginning: bool = False) -> int:
        """Adds a target, or changes the one with this id; an empty address, key or CA stays as it is. A new one gets what comes from now
        on, or with `from_beginning` everything there is. Returns its id.

        Raises NotAllowed, NotFound, BadInput, or SealError if the old address cannot be decrypted.
        """
        await check_role(self.store, self.audit_log, actor, ACTION, f"target {id or 'new'}")
        check_target(request)
        known = {each.id: each for each in await targets.list_targets(self.store)}
        if id is not None and id not in known:
            raise NotFound("Target not found. No changes were made.")
        old = await targets.read_address(self.store, id) if id is not None else None
        if old is not None and old.kind == request.kind:
            ca = request.ca or (old.ca if not request.url or request.url.startswith("tls:") else "")
            request = replace(request, url=request.url or old.url, key=request.key or old.key, ca=ca)
        if request.kind == "webhook" and not request.key:
            request = replace(request, key=secrets.token_urlsafe(32))
        shown = await asyncio.to_thread(shown_address, request)
        is_enabled = known[id].is_enabled if id is not None else True
        made = await self._change(
            actor, lambda found: f"target {found}",
            {"target": request.name, "kind": request.kind, "sent_to": shown, "audit": request.has_audit, "alerts": request.has_alerts,
             "actions": list(request.actions)},
            partial(targets.put_target, id=id, request=request, shown=shown, from_beginning=from_beginning, is_enabled=is_enabled,
                    actor=actor.name, at=clock.now()),
        )  # fmt: skip
        if made is None:
            raise BadInput(f"A target “{request.name}” already exists, or this one was deleted. No changes were made.")
        return made

    async def set_enabled(self, actor: Actor, id: int, *, is_enabled: bool) -> None:
        """Enables or disables a target. Raises NotAllowed, NotFound, or WrongState for one whose address was not entered yet."""
        await check_role(self.store, self.audit_log, actor, ACTION, f"target {id}")
        address = await targets.read_address(self.store, id)
        if is_enabled and address is not None and not address.url:
            raise WrongState("This target was imported without its address. No changes were made.", "Enter the address first.")
        at = clock.now()

        def work(db: Connection) -> int | None:
            return id if targets.set_enabled(db, id, is_enabled=is_enabled, actor=actor.name, at=at) else None

        what: JsonObject = {"change": "enabled" if is_enabled else "disabled"}
        if await self._change(actor, lambda _: f"target {id}", what, work) is None:
            raise NotFound("Target not found. No changes were made.")

    async def delete_target(self, actor: Actor, id: int) -> None:
        """Deletes a target. Raises NotAllowed or NotFound."""
        await check_role(self.store, self.audit_log, actor, ACTION, f"target {id}")

        def work(db: Connection) -> int | None:
            return id if targets.delete_target(db, id) else None

        if await self._change(actor, lambda _: f"target {id}", {"change": "deleted"}, work) is None:
            raise NotFound("Target not found. No changes were made.")

    async def test_target(self, actor: Actor, id: int) -> str:
        """Sends a test message now. Returns why it did not arrive, "" where it did. Raises NotAllowed, NotFound or SealError."""
        await check_role(self.store, self.audit_log, actor, ACTION, f"target {id}")
        address = await targets.read_address(self.store, id)
        if address is None:
            raise NotFound("Target not found. Nothing was sent.")
        result = await self.forwarder.try_out(address, of_test(clock.now(), actor.name, self.forwarder.address()))
        await self._change(actor, lambda _: f"target {id}", {"change": "tested", "result": result.why or "sent"}, lambda _: id)
        return result.why

    async def _change(
        self, actor: Actor, target: Callable[[int], str], detail: JsonObject, work: Callable[[Connection], int | None]
    ) -> int | None:  # fmt: skip
        done = await change(self.store, self.audit_log, actor, ACTION, target, detail, work)
        if done is not None:
            self.live.changed(("forwarding", "changes"))
        return done
