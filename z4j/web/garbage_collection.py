# SPDX-License-Identifier: AGPL-3.0-or-later
"""When Python searches for cycles of objects: between requests, so that no page waits for it.

Python searches in the middle of whatever makes the object that is one too many, with the interpreter held. Nearly everything that a page
makes is freed without a search, and a search that comes some milliseconds later finds the same.
"""

from __future__ import annotations

import asyncio
import gc
from typing import Final

YOUNG: Final = 5_000
"""Objects made and not freed since the last search, from which on the next one is due after a response."""
USUAL: Final = 10_000
"""The same, from which on Python searches at once. With three times as many, ingest stores 5 % fewer events per second."""
MOST: Final = 30_000
"""The same while a request is answered: more than a page makes."""
OLDER: Final = 10
"""Searches of one generation until the next older one is searched, too."""
PAUSE_S: Final = 0.001
"""How long after a response: what is left of its request has ended, and its last bytes were sent."""


def tune() -> None:
    """Sets how this process collects garbage. Call it when all that a server has at its start was made: a full collection over that takes
    50 ms, during which no request is answered, so later ones leave it out."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(USUAL, OLDER, OLDER)


class BetweenRequests:
    """One per server, in its event loop. `begin` and `end` are called for each request."""

    def __init__(self) -> None:
        self._open = 0
        self._usual = gc.get_threshold()
        """What it was before a request."""
        self._timer: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        """A request has arrived."""
        if not self._open:
            self._usual = gc.get_threshold()
            gc.set_threshold(MOST, *self._usual[1:])
        self._open += 1

    def end(self) -> None:
        """Its response was sent, or cannot be."""
        self._open -= 1
        if self._open:
            return
        if self._timer is None and gc.get_count()[0] >= YOUNG:
            self._timer = asyncio.get_running_loop().call_later(PAUSE_S, self._search)
        gc.set_threshold(*self._usual)

    def _search(self) -> None:
        self._timer = None
        if not self._open:
            _, middle, old = gc.get_count()
            gc.collect(0 if middle <= OLDER else 1 if old <= OLDER else 2)
