# SPDX-License-Identifier: AGPL-3.0-or-later
"""A demo as its server sees it: whether it is one, and how it is reset."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any


def _nothing() -> None:
    """Before the server runs."""


@dataclass(slots=True)
class Demo:
    """One round of a demo, from its seeding to its end or its reset."""

    listener: socket.socket
    """Open from the first round to the last: while the data is seeded again, browsers wait instead of being refused."""
    on_start: Callable[[Any], Awaitable[None]]
    """Called with the server once it listens."""
    next_link: str = ""
    """Secret of the login link of the next round; "" while no reset is requested."""
    stop: Callable[[], None] = field(default=_nothing)
    """Ends the server in order."""

    def request_reset(self) -> str:
        """Returns the secret of the link that signs the visitor in after the reset. `stop` is called after the response."""
        self.next_link = secrets.token_urlsafe(24)
        return self.next_link
