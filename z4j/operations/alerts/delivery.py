# SPDX-License-Identifier: AGPL-3.0-or-later
"""Delivers messages at least once: one is marked as delivered after it was, so a server that is killed in between sends it again, with
the same id. A failing message is retried with growing delays. A failing channel never delays another one, and a message that its channel
refuses, because of its content, does not delay the other messages of the channel."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final

from z4j import clock, logs
from z4j.delivery_tasks import DeliveryTasks
from z4j.exceptions import StoreError
from z4j.live import Live
from z4j.operations.alerts.sender_supervisor import NotDelivered, send
from z4j.rules.alerts import message as rules
from z4j.rules.alerts.delivery_retries import next_try
from z4j.store.alerts import alerts, channels, messages
from z4j.store.alerts.alerts import StoredAlert
from z4j.store.alerts.messages import Message
from z4j.store.sqlite.db import Connection, Store

EVERY_S: Final = 1.0
PAUSE_US: Final = 60_000_000
"""The longest pause of a channel after a failure, in which its other messages wait, too."""


class Delivery:
    """One per server. `address` returns the URL of this server, `acknowledge` the path of the link that acknowledges an alert."""

    def __init__(self, store: Store, live: Live, address: Callable[[], str], acknowledge: Callable[[StoredAlert], str]) -> None:
        self.store = store
        self.live = live
        self.address = address
        self.acknowledge = acknowledge
        self._tasks = DeliveryTasks("alerts")
        self._not_before: dict[int, int] = {}

    async def round(self, at: int) -> None:
        """Sends what is due through every channel that is not busy. Raises StoreError."""
        self._tasks.finish()  # an error that is not expected fails the round
        due: dict[int, list[Message]] = {}
        for message in await messages.list_due(self.store, at):
            due.setdefault(message.channel_id, []).append(message)
        for channel, waiting in due.items():
            if not self._tasks.is_busy(channel) and self._not_before.get(channel, 0) <= at:
                self._tasks.start(channel, self._send_all(channel, waiting))

    async def settle(self) -> None:
        """Waits for messages that are being sent."""
        await self._tasks.settle()

    async def close(self) -> None:
        """Stops. Messages that are being sent are sent again after the next start."""
        await self._tasks.close()

    async def _send_all(self, channel: int, waiting: list[Message]) -> None:
        for listed in waiting:
            message = await messages.get_message(self.store, listed.id)
            if message is not None and message.next_at is not None and not await self._send(channel, message):
                return

    async def _send(self, channel: int, message: Message) -> bool:
        """Whether the message arrived."""
        try:
            await self._hand_over(channel, message)
        except (NotDelivered, StoreError) as error:
            reason = error.message if isinstance(error, StoreError) else str(error)
            at = clock.now()
            again = next_try(message.created_at, message.due_at, message.attempts + 1, at)
            self._not_before[channel] = min(again or at, at + PAUSE_US)
            await self.store.write(partial(_note_failed, message=message, reason=reason, next_at=again, at=at))
            if message.attempts == 0 or again is None:
                logs.message_not_delivered(message.channel, message.id, reason, is_given_up=again is None)
            self.live.changed(("alerts", "strip"))
            return False
        await self.store.write(partial(_note_delivered, message=message, at=clock.now()), durable=True)
        self._not_before.pop(channel, None)
        self.live.changed(("alerts",))
        return True

    async def _hand_over(self, channel: int, message: Message) -> None:
        address = await channels.read_address(self.store, channel)
        if address is None or not address.is_enabled:
            raise NotDelivered("The channel is disabled.")
        can_acknowledge = message.alert_id is not None and message.kind != "resolved"
        stored = await alerts.get_alert(self.store, message.alert_id or 0) if can_acknowledge else None
        link = self.acknowledge(stored) if stored is not None else ""
        whole: dict[str, Any] = rules.delivered(
            message.body, id=message.id, alert=message.alert_id, address=self.address(), acknowledge=link
        )  # fmt: skip
        await self._tasks.in_thread(send, address, whole)


def _note_delivered(db: Connection, message: Message, at: int) -> None:
    messages.deliver(db, message.id, at)
    channels.note_delivered(db, message.channel_id, at)


def _note_failed(db: Connection, message: Message, reason: str, next_at: int | None, at: int) -> None:
    messages.try_again(db, message.id, reason, next_at)
    channels.note_failed(db, message.channel_id, reason, at)
