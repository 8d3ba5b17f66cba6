# SPDX-License-Identifier: AGPL-3.0-or-later
"""Limits how many wrong attempts an address may make, and reads the token of a request: shared by the gateway and the pages.

An attempt whose check takes time (a password, a code) is *claimed* before the check and released when it was right. Attempts that run
at once therefore never share one look at the count.
"""

from __future__ import annotations

import base64
import random
from collections import OrderedDict

from z4j import clock

ATTEMPTS = 10
PER_US = 60_000_000
ADDRESSES = 10_000


def spread(seconds: float) -> float:
    """This long, or up to twice as long: clients that were refused together do not come back together and stop the event loop."""
    return seconds * random.uniform(1.0, 2.0)  # noqa: S311 -- nothing is guarded by it


class Attempts:
    """Wrong attempts per key (an address, a person) in a sliding minute; the least recent keys are forgotten first."""

    def __init__(self, limit: int = ATTEMPTS, per_us: int = PER_US) -> None:
        self._limit = limit
        self._per_us = per_us
        self._wrong: OrderedDict[str, list[int]] = OrderedDict()

    def is_over(self, key: str) -> bool:
        """Whether this key was wrong too often lately."""
        now = clock.now()
        recent = [at for at in self._wrong.get(key, ()) if now - self._per_us < at <= now]  # none of a clock that was set back
        if recent:
            self._wrong[key] = recent
        else:
            self._wrong.pop(key, None)
        return len(recent) >= self._limit

    def claim(self, key: str) -> bool:
        """Counts an attempt before its result is known. False, and nothing is counted, when the limit is reached."""
        if self.is_over(key):
            return False
        self.was_wrong(key)
        return True

    def release(self, key: str) -> None:
        """Takes back one claim: the attempt was right, or it was not checked at all. Earlier wrong ones still count."""
        claims = self._wrong.get(key)
        if claims:
            claims.pop()

    def was_wrong(self, key: str) -> None:
        """Counts a wrong attempt. No more are kept than decide."""
        claims = self._wrong.setdefault(key, [])
        claims.append(clock.now())
        del claims[: -self._limit]
        self._wrong.move_to_end(key)
        while len(self._wrong) > ADDRESSES:
            self._wrong.popitem(last=False)

    def was_right(self, key: str) -> None:
        """Forgets every wrong attempt of this key."""
        self._wrong.pop(key, None)


def bearer(header: str | None) -> str:
    """Returns the token of an Authorization header, or "". The part behind a dot is the seal key, which no agent sends."""
    kind, _, token = (header or "").partition(" ")
    return token.strip().partition(".")[0] if kind.lower() == "bearer" else ""


def basic_password(header: str | None) -> str:
    """Returns the password of HTTP Basic, as package installers send a token, or ""."""
    scheme, _, text = (header or "").partition(" ")
    if scheme.lower() != "basic":
        return ""
    try:
        return base64.b64decode(text.strip(), validate=True).decode().partition(":")[2]
    except ValueError:
        return ""
