# SPDX-License-Identifier: AGPL-3.0-or-later
"""Shared by the demo's applications: simulated work, occasional failures, and the pace of the producers."""

from __future__ import annotations

import itertools
import math
import random
import secrets
import signal
import sys
import time
from collections.abc import Iterator


def seconds(low_ms: float, high_ms: float) -> float:
    """The duration of a piece of work, in seconds, random."""
    return random.uniform(low_ms, high_ms) / 1000


def happens(share: float) -> bool:
    return random.random() < share


def token() -> str:
    """A secret that must not be shown to anybody."""
    return secrets.token_urlsafe(18)


def ticks(every_s: float) -> Iterator[int]:
    """1, 2, 3 … at a varying pace, without an end; SIGTERM ends the process."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    for number in itertools.count(1):
        yield number
        time.sleep(every_s * (1.2 + math.sin(number / 30)))
