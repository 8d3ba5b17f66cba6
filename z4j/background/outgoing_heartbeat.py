# SPDX-License-Identifier: AGPL-3.0-or-later
"""Requests a URL of a monitoring service every minute while this server is healthy, so that its failure is detected."""

from __future__ import annotations

import asyncio
import http.client
import urllib.error
import urllib.request
from typing import Final
from urllib.parse import urlsplit

from z4j import __version__
from z4j.duty_loop import Duties
from z4j.exceptions import Z4jError
from z4j.listener.redirections import NoRedirections
from z4j.store.access import users
from z4j.store.sqlite.db import Connection, Store

EVERY_S: Final = 60.0
TIMEOUT_S: Final = 15.0
NAME: Final = "heartbeat"


class HeartbeatFailed(Z4jError):
    """The service did not accept the heartbeat, or this server is not healthy enough to send one."""


class OutgoingHeartbeat:
    """One per server that has a URL for it."""

    def __init__(self, store: Store, duties: Duties, url: str) -> None:
        self.store, self.duties, self.url = store, duties, url

    async def round(self, at: int) -> None:
        """Sends one if the database can be read and written and every other duty runs. Raises HeartbeatFailed, or StoreError."""
        await self.store.write(_touch)
        await users.has_admin(self.store)
        failing = [duty.name for duty in self.duties.unhealthy if duty.name != NAME]
        if failing:
            raise HeartbeatFailed(f"No heartbeat was sent, because this duty fails: {failing[0]}.")
        await asyncio.to_thread(self._ask)

    def _ask(self) -> None:
        request = urllib.request.Request(self.url, headers={"User-Agent": f"z4j/{__version__}"})  # noqa: S310 -- settings allow https and http
        host = urlsplit(self.url).hostname
        try:
            with urllib.request.build_opener(NoRedirections()).open(request, timeout=TIMEOUT_S):
                pass
        except urllib.error.HTTPError as error:
            error.close()
            raise HeartbeatFailed(f"{host} answered the heartbeat with status {error.code}.") from None
        except (OSError, http.client.HTTPException) as error:  # not its text, nor the rest of the URL, which is secret
            raise HeartbeatFailed(f"{host} could not be reached for the heartbeat: {type(error).__name__}.") from None


def _touch(db: Connection) -> None:
    """An empty write: waits until the writer has processed it."""
