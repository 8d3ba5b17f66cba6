# SPDX-License-Identifier: AGPL-3.0-or-later
"""Actions of users on alerts: each checks the role and is written with its audit row in one durable transaction."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

from z4j import clock
from z4j.exceptions import BadInput, NotAllowed, NotFound, WrongState
from z4j.live import Live
from z4j.operations.alerts.sender_supervisor import check_address
from z4j.operations.audited_change import change, check_role
from z4j.operations.commands import Actor
from z4j.operations.signed_links import SignedLinks
from z4j.rules.alerts import message
from z4j.rules.alerts.alert_rule import NAME, AlertRule, checked
from z4j.rules.alerts.quiet_hours import Maintenance
from z4j.rules.operator_input import shown_reason
from z4j.rules.rollups import DAY_US
from z4j.store.access.audit import AuditLog
from z4j.store.alerts import alert_rules, alerts, channels, messages
from z4j.store.alerts.alerts import StoredAlert
from z4j.store.alerts.channels import ChannelKind
from z4j.store.sqlite.db import Connection, Store
from z4j.text import JsonObject

T = TypeVar("T")
LONGEST_MAINTENANCE_US: Final = 90 * DAY_US
ADDRESS: Final = 2_000


class AlertActions:
    """One per server."""

    def __init__(self, store: Store, live: Live, audit_log: AuditLog, folder: Path) -> None:
        self.store = store
        self.live = live
        self.audit_log = audit_log
        self._links = SignedLinks(folder, "acknowledge")

    # -- rules ---------------------------------------------------------------------------------------------------------
    async def put_rule(self, actor: Actor, id: int | None, rule: AlertRule) -> int:
        """Adds a rule, or changes the one with this id. Returns its id. Raises NotAllowed, NotFound or BadInput."""
        await self._check_role(actor, "change_alert_rule", f"alert rule {id or 'new'}")
        known = {channel.id for channel in await channels.list_channels(self.store)}
        checked(rule, known)
        at = clock.now()

        def work(db: Connection) -> int | None:
            made = alert_rules.put_rule(db, id, rule, actor.name, at)
            if made is not None and not rule.is_enabled:
                alerts.close_of_rule(db, made, at)
            return made

        made = await self._change(actor, "change_alert_rule", lambda found: f"alert rule {found}", {"rule": rule.name}, work)
        if made is None:
            raise NotFound("Rule not found. No changes were made.")
        return made

    async def delete_rule(self, actor: Actor, id: int) -> None:
        """Deletes a rule; its alerts are closed without a message. Raises NotAllowed or NotFound."""
        await self._check_role(actor, "change_alert_rule", f"alert rule {id}")
        at = clock.now()

        def work(db: Connection) -> int | None:
            alerts.close_of_rule(db, id, at)
            return id if alert_rules.delete_rule(db, id) else None

        if await self._change(actor, "change_alert_rule", lambda _: f"alert rule {id}", {"change": "deleted"}, work) is None:
            raise NotFound("Rule not found. No changes were made.")

    # -- channels ------------------------------------------------------------------------------------------------------
    async def put_channel(
        self, actor: Actor, id: int | None, *, name: str, kind: ChannelKind, url: str, key: str = "", is_weekly: bool = False
    ) -> int:  # fmt: skip
        """Adds a channel, or changes the one with this id; an empty address or key is kept. Returns its ID.

        Raises NotAllowed, NotFound, BadInput, or SealError if the old address cannot be decrypted.
        """
        await self._check_role(actor, "change_alert_channel", f"alert channel {id or 'new'}")
        if not name.strip() or len(name) > NAME or not name.isprintable():
            raise BadInput(f"A channel needs a name of at most {NAME} printable characters. No changes were made.")
        if kind not in ("apprise", "webhook") or len(url) > ADDRESS or len(key) > ADDRESS:
            raise BadInput("The channel address is not valid. No changes were made.")
        old = await channels.read_address(self.store, id) if id is not None else None
        url, key = url or (old.url if old else ""), key or (old.key if old else "") or secrets.token_urlsafe(32)
        shown = await asyncio.to_thread(check_address, kind, url)
        made = await self._change(
            actor, "change_alert_channel", lambda found: f"alert channel {found}", {"channel": name, "address": shown},
            partial(channels.put_channel, id=id, name=name, kind=kind, shown=shown, url=url, key=key, is_weekly=is_weekly,
                    actor=actor.name, at=clock.now()),
        )  # fmt: skip
        if made is None:
            raise BadInput(f"A channel “{name}” already exists, or this one was deleted. No changes were made.")
        return made

    async def set_channel_enabled(self, actor: Actor, id: int, *, is_enabled: bool) -> None:
        """Enables or disables a channel. Raises NotAllowed or NotFound."""
        await self._check_role(actor, "change_alert_channel", f"alert channel {id}")
        at = clock.now()

        def work(db: Connection) -> int | None:
            return id if channels.set_enabled(db, id, is_enabled=is_enabled, actor=actor.name, at=at) else None

        what: JsonObject = {"change": "enabled" if is_enabled else "disabled"}
        if await self._change(actor, "change_alert_channel", lambda _: f"alert channel {id}", what, work) is None:
            raise NotFound("Channel not found. No changes were made.")

    async def delete_channel(self, actor: Actor, id: int) -> None:
        """Deletes a channel that no rule uses, with its undelivered messages. Raises NotAllowed, NotFound or WrongState."""
        await self._check_role(actor, "change_alert_channel", f"alert channel {id}")
        users = [each.rule.name for each in await alert_rules.list_rules(self.store) if id in {*each.rule.channels, *each.rule.escalate_to}]
        if users:
            raise WrongState(f"Rule {users[0]} uses this channel. No changes were made.", "Remove the channel from the rule first.")

        def work(db: Connection) -> int | None:
            messages.withdraw_of_channel(db, id)
            return id if channels.delete_channel(db, id) else None

        if await self._change(actor, "change_alert_channel", lambda _: f"alert channel {id}", {"change": "deleted"}, work) is None:
            raise NotFound("Channel not found. No changes were made.")

    async def test_channel(self, actor: Actor, id: int) -> str:
        """Sends a test message through a channel, and returns its id. Raises NotAllowed or NotFound."""
        await self._check_role(actor, "change_alert_channel", f"alert channel {id}")
        known = {channel.id: channel for channel in await channels.list_channels(self.store)}
        if id not in known:
            raise NotFound("Channel not found. Nothing was sent.")
        at = clock.now()
        body = {
            "format": message.FORMAT, "kind": "test", "at": at, "title": f"{message.WORDS['test']}z4j can send messages",
            "text": f"Sent by {actor.name} to test the channel {known[id].name}.", "findings": [], "more": 0,
        }  # fmt: skip
        sent = await self._change(
            actor, "change_alert_channel", lambda _: f"alert channel {id}", {"change": "tested"},
            lambda db: messages.add_message(db, None, id, "test", body, at, at),
        )  # fmt: skip
        assert sent is not None
        return sent

    # -- maintenance ---------------------------------------------------------------------------------------------------
    async def add_maintenance(self, actor: Actor, window: Maintenance, reason: str) -> int:
        """Begins maintenance of a scope, which delays its alerts. Returns its ID. Raises NotAllowed or BadInput."""
        await self._check_role(actor, "change_maintenance", "maintenance")
        if not 0 < window.ends_at - window.begins_at <= LONGEST_MAINTENANCE_US or window.ends_at <= clock.now():
            raise BadInput("Maintenance must end in the future, after its start, and last at most 90 days. No changes were made.")
        where = " ".join(part for part in window.scope if part) or "everything"
        detail: JsonObject = {"scope": where, "begins_at": window.begins_at, "ends_at": window.ends_at, "reason": shown_reason(reason)}
        made = await self._change(
            actor, "change_maintenance", lambda found: f"maintenance {found}", detail,
            partial(alert_rules.add_maintenance, window=window, reason=shown_reason(reason), actor=actor.name, at=clock.now()),
        )  # fmt: skip
        assert made is not None
        return made

    async def end_maintenance(self, actor: Actor, id: int) -> None:
        """Ends maintenance now. Raises NotAllowed or WrongState."""
        await self._check_role(actor, "change_maintenance", f"maintenance {id}")
        at = clock.now()

        def work(db: Connection) -> int | None:
            return id if alert_rules.end_maintenance(db, id, at) else None

        if await self._change(actor, "change_maintenance", lambda _: f"maintenance {id}", {"change": "ended"}, work) is None:
            raise WrongState("This maintenance has already ended. No changes were made.")

    # -- acknowledging -------------------------------------------------------------------------------------------------
    async def acknowledge(self, actor: Actor, id: int) -> None:
        """Acknowledges an alert, which stops its reminders. Raises NotAllowed, NotFound or WrongState."""
        await self._check_role(actor, "acknowledge_alert", f"alert {id}")
        at = clock.now()

        def work(db: Connection) -> int | None:
            return id if alerts.acknowledge(db, id, actor.name, at) else None

        if await self._change(actor, "acknowledge_alert", lambda _: f"alert {id}", {}, work) is None:
            found = await alerts.get_alert(self.store, id)
            if found is None:
                raise NotFound("Alert not found. It may have been deleted after the retention period.")
            if found.alert.resolved_at is not None:
                raise WrongState("This alert is resolved. No changes were made.")
            raise WrongState(f"This alert was already acknowledged by {found.alert.acknowledged_by}. No changes were made.")

    def link_to_acknowledge(self, stored: StoredAlert) -> str:
        """Returns the path of a link that acknowledges an alert without signing in: once, and for a week."""
        return f"/acknowledge/{self._links.code(stored.id, stored.alert.opened_at)}"

    async def alert_of_link(self, code: str) -> StoredAlert:
        """Returns the alert of such a link. Raises NotAllowed."""
        found = self._links.read(code)
        if found is None:
            raise NotAllowed("This link has expired or is incomplete. No changes were made.", "Sign in to acknowledge the alert.")
        id, opened_at = found
        stored = await alerts.get_alert(self.store, id)
        if stored is None or stored.alert.opened_at != opened_at:
            raise NotAllowed("This alert no longer exists. No changes were made.")
        return stored

    # -- common --------------------------------------------------------------------------------------------------------
    async def _check_role(self, actor: Actor, action: str, target: str) -> None:
        await check_role(self.store, self.audit_log, actor, action, target)

    async def _change(
        self, actor: Actor, action: str, target: Callable[[T], str], detail: JsonObject, work: Callable[[Connection], T | None]
    ) -> T | None:  # fmt: skip
        done = await change(self.store, self.audit_log, actor, action, target, detail, work)
        if done is not None:
            self.live.changed(("alerts", "changes", "now"))
        return done
