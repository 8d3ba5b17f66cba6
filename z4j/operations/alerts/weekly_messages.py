# SPDX-License-Identifier: AGPL-3.0-or-later
"""The weekly test message of a channel. A missing message shows that alerts would not arrive either."""

from __future__ import annotations

from functools import partial
from typing import Any, Final

from z4j.rules.alerts import message
from z4j.rules.rollups import DAY_US
from z4j.store.alerts import alerts, channels, messages
from z4j.store.sqlite.db import Connection, Store

WEEK_US: Final = 7 * DAY_US


async def make_weekly(store: Store, at: int) -> None:
    """Creates the weekly message of each channel whose last one is a week old. `at` is microseconds UTC."""
    for id, made_at in await channels.list_weekly(store, at - WEEK_US):
        opened = [each for each in await alerts.list_alerts(store, None) if each.alert.opened_at >= at - WEEK_US]
        fired = sum(1 for each in opened if each.alert.fired_at is not None)
        await store.write(partial(_add_weekly, channel=id, made_at=made_at, fired=fired, at=at), durable=True)


def _add_weekly(db: Connection, channel: int, made_at: int, fired: int, at: int) -> None:
    if not channels.set_weekly(db, channel, made_at, at):
        return
    text = "No alert fired in the last seven days." if not fired else f"Alerts that fired in the last seven days: {fired}."
    body: dict[str, Any] = {
        "format": message.FORMAT, "kind": "alive", "at": at, "title": "z4j is running and can send messages",
        "text": f"{text} If next week's message does not arrive, check the server and this channel.", "findings": [], "more": 0,
    }  # fmt: skip
    messages.add_message(db, None, channel, "alive", body, at, at)
