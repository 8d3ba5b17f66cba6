# SPDX-License-Identifier: AGPL-3.0-or-later
"""How often an address may be wrong, and the token a request carries: shared by the gateway and the pages."""

from __future__ import annotations

from collections import OrderedDict

from z4j import clock

ATTEMPTS = 10
PER_US = 60_000_000
ADDRESSES = 10_000


class Attempts:
    """Wrong attempts per address in a sliding minute; the least recent addresses are forgotten first."""

    def __init__(self, limit: int = ATTEMPTS, per_us: int = PER_US) -> None:
        self._limit = limit
        self._per_us = per_us
        self._wrong: OrderedDict[str, list[int]] = OrderedDict()

    def is_over(self, address: str) -> bool:
        """Whether this address has been wrong too often lately."""
        since = clock.now() - self._per_us
        recent = [at for at in self._wrong.get(address, ()) if at > since]
        if recent:
            self._wrong[address] = recent
        else:
            self._wrong.pop(address, None)
        return len(recent) >= self._limit

    def was_wrong(self, address: str) -> None:
        self._wrong.setdefault(address, []).append(clock.now())
        self._wrong.move_to_end(address)
        while len(self._wrong) > ADDRESSES:
            self._wrong.popitem(last=False)

    def was_right(self, address: str) -> None:
        """Begins anew."""
        self._wrong.pop(address, None)


def bearer(header: str | None) -> str:
    """The token of an Authorization header, or nothing. What stands behind a dot is the seal key, which no agent sends."""
    kind, _, token = (header or "").partition(" ")
    return token.strip().partition(".")[0] if kind.lower() == "bearer" else ""
