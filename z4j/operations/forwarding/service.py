# SPDX-License-Identifier: AGPL-3.0-or-later
"""Forwards what targets have not received yet: a batch at a time, in order, each target at its own pace.

A cursor is moved after a batch has arrived, so a server that is killed in between sends it again. A target that is away for long is tried
again later and later, and never given up: the audit log is the queue, and it is never shortened.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Final

from z4j import clock, logs
from z4j.delivery_tasks import DeliveryTasks
from z4j.exceptions import StoreError
from z4j.live import Live
from z4j.operations.forwarding.senders import Result, send
from z4j.rules.forwarding.events import Outgoing, of_alert, of_audit
from z4j.rules.forwarding.target import is_forwarded
from z4j.rules.forwarding.target_retry import REFUSALS, is_refusal, next_try
from z4j.rules.rollups import DAY_US
from z4j.store.forwarding import alert_events, deliveries, targets
from z4j.store.forwarding.targets import Ends, Target
from z4j.store.sqlite.db import Connection, Store

EVERY_S: Final = 1.0
BATCH: Final = 200
"""Messages of one batch."""
LOOKED_AT: Final = 1_000
"""Rows of the audit log that are read for one batch."""
KEPT_US: Final = 90 * DAY_US
"""How long events of alerts and the log of deliveries are kept."""


class Forwarder:
    """One per server. `address` returns where this server is reached; `folder` is where files are written."""

    def __init__(self, store: Store, live: Live, address: Callable[[], str], folder: Path) -> None:
        self.store = store
        self.live = live
        self.address = address
        self.folder = folder
        self._tasks = DeliveryTasks("forwarding")

    async def round(self, at: int) -> None:
        """Starts a batch to each target that waits for one and is not busy. Raises StoreError."""
        self._tasks.finish()  # an error that is not expected fails the round
        waiting = [each for each in await targets.list_targets(self.store) if each.is_enabled and each.next_at <= at]
        if not waiting:
            return
        ends = await targets.read_ends(self.store)
        for target in waiting:
            if not self._tasks.is_busy(target.id) and _is_behind(target, ends):
                self._tasks.start(target.id, self._send_all(target))

    async def settle(self) -> None:
        """Waits until what is being sent was sent, or failed."""
        await self._tasks.settle()

    async def close(self) -> None:
        """Stops. A batch that is being sent is sent again after the next start."""
        await self._tasks.close()

    async def delete_old(self, at: int) -> None:
        """Deletes some of what is too old."""
        for delete in (alert_events.delete_old, deliveries.delete_old):
            await self.store.write(partial(delete, before=at - KEPT_US))

    async def try_out(self, target: targets.Address, message: Outgoing) -> Result:
        """Sends one message now."""
        return await self._in_thread(target, [message])

    async def _send_all(self, target: Target) -> None:
        """Sends batches until the target has everything or fails. It is read again after each, because a user may have changed it."""
        found: Target | None = target
        while found is not None and await self._send_batch(found):
            listed = {each.id: each for each in await targets.list_targets(self.store)}
            found = listed.get(target.id)
            if found is not None and not (found.is_enabled and _is_behind(found, await targets.read_ends(self.store))):
                return

    async def _send_batch(self, target: Target) -> bool:
        """Whether all of the batch arrived."""
        try:
            address = await targets.read_address(self.store, target.id)
        except StoreError as error:
            await self._failed(target, error.message, clock.now())
            return False
        if address is None:
            return False
        messages, ends = await self._next(target)
        result = await self._in_thread(address, messages) if messages else Result(0)
        at, done = clock.now(), messages[: result.sent]
        is_whole = result.sent == len(messages)
        if done or is_whole:
            reached = ends if is_whole else _reached(target, done)
            await self.store.write(partial(_move, target=target, done=done, ends=reached, at=at), durable=True)
            self.live.changed(("forwarding",))
        if is_whole:
            return True
        if result.why:
            await self._not_sent(target, messages[result.sent], result, at)
        return not result.why  # the time of the process that sends was up

    async def _not_sent(self, target: Target, message: Outgoing, result: Result, at: int) -> None:
        if target.kind != "webhook":
            await self._failed(target, result.why, at)
            return
        skips = await self.store.write(partial(_note_undelivered, target=target, message=message, result=result, at=at), durable=True)
        if skips:
            logs.forwarding_failed(target.name, f"{message.id} was refused and skipped: {result.why}")
        else:
            await self._failed(target, result.why, at)

    async def _failed(self, target: Target, why: str, at: int) -> None:
        again = next_try(target.attempts + 1, at)
        await self.store.write(partial(targets.note_failed, id=target.id, error=why, next_at=again, at=at))
        if target.failing_since is None:
            logs.forwarding_failed(target.name, why)
        self.live.changed(("forwarding", "strip"))

    async def _next(self, target: Target) -> tuple[list[Outgoing], Ends]:
        """The next messages, and the rows up to which they are all that the target is_forwarded."""
        server, found, ends = self.address(), list[Outgoing](), Ends(target.audit_after, target.alert_after)
        if target.has_audit:
            for row in await targets.list_audit_after(self.store, target.audit_after, LOOKED_AT):
                if len(found) >= BATCH:
                    break
                if is_forwarded(target.actions, row.action):
                    found.append(of_audit(row, server))
                ends = ends._replace(audit=row.seq)
        if target.has_alerts and len(found) < BATCH:
            for event in await alert_events.list_events_after(self.store, target.alert_after, BATCH - len(found)):
                found.append(of_alert(event.id, event.at, event.alert_id, event.kind, event.body, server))
                ends = ends._replace(alerts=event.id)
        return found, ends

    async def _in_thread(self, address: targets.Address, messages: Sequence[Outgoing]) -> Result:
        return await self._tasks.in_thread(send, address, messages, self.folder)


def _is_behind(target: Target, ends: Ends) -> bool:
    return (target.has_audit and target.audit_after < ends.audit) or (target.has_alerts and target.alert_after < ends.alerts)


def _reached(target: Target, done: Sequence[Outgoing]) -> Ends:
    """The rows up to which a part of a batch arrived."""
    audit = max((each.seq for each in done if each.stream == "audit"), default=target.audit_after)
    return Ends(audit, max((each.seq for each in done if each.stream == "alerts"), default=target.alert_after))


def _move(db: Connection, target: Target, done: Sequence[Outgoing], ends: Ends, at: int) -> None:
    targets.move_cursor(db, target, audit=ends.audit, alerts=ends.alerts, sent=len(done), at=at)
    if target.kind == "webhook":
        deliveries.note_delivered(db, target.id, done, at)


def _note_undelivered(db: Connection, target: Target, message: Outgoing, result: Result, at: int) -> bool:
    """Whether the message is skipped: its receiver has refused it often enough, because of what it contains."""
    skips = is_refusal(result.status) and deliveries.attempts_of(db, target.id, message) + 1 >= REFUSALS
    deliveries.note_failed(db, target.id, message, result.why, at, is_skipped=skips)
    if skips:
        ends = _reached(target, [message])
        targets.move_cursor(db, target, audit=ends.audit, alerts=ends.alerts, sent=0, at=at)
    return skips
