# SPDX-License-Identifier: AGPL-3.0-or-later
"""How long a queue needs until nothing waits: a range, from what entered and left it in the last minutes.

Blocks of minutes are drawn again and again from the last ones and laid end to end until the backlog is gone (a block bootstrap, so that
bursts keep their length). How wide the range has to be was found with generated hours whose end is known
(tests/unit/rules/findings/test_forecast.py).
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Final, NamedTuple

RUNS: Final = 200
BLOCK: Final = 4
WIDER: Final = 1.8
"""By how much the mean of the drawn blocks is moved further from that of all minutes: so few blocks differ less than the future does. With
this and the two limits below the true time of generated hours lies in the range in four of five."""
FAR_MIN: Final = 60
HORIZON_MIN: Final = 24 * 60
"""What does not drain within a day is said to never drain at this rate."""
LOW: Final = 0.05
HIGH: Final = 0.95


class Forecast(NamedTuple):
    """Minutes until nothing waits; `high` is None where one run in ten does not drain within a day, `low` too where nine in ten do not."""

    low: float | None
    high: float | None

    @property
    def is_never(self) -> bool:
        """Whether the queue does not drain at this rate."""
        return self.low is None


def drain(backlog: int, entered: Sequence[int], left: Sequence[int], *, more: float = 1.0, seed: int = 0) -> Forecast | None:
    """Returns when a backlog is gone if the minutes to come are like the last ones; None without any minute to go by. `more` is by how
    much what leaves would grow with more workers. The same arguments always give the same range."""
    net = [gone * more - come for come, gone in zip(entered, left, strict=True)]
    if not net:
        return None
    if backlog <= 0:
        return Forecast(0.0, 0.0)
    chance = random.Random(seed)  # noqa: S311 -- a simulation
    ends = sorted(_run(backlog, net, chance) for _ in range(RUNS))
    low, high = ends[int(RUNS * LOW)], ends[int(RUNS * HIGH) - 1]
    return Forecast(None if low >= HORIZON_MIN else low, None if high >= HORIZON_MIN else high)


def _run(backlog: float, net: Sequence[float], chance: random.Random) -> float:
    """Minutes until one possible future is done: its mean rate differs from that of the last minutes as theirs may from the true one."""
    mean = sum(net) / len(net)
    drawn = [each for _ in range(0, len(net), BLOCK) for each in _block(net, chance)][: len(net)]
    shift = WIDER * (sum(drawn) / len(drawn) - mean)
    if mean + shift <= 0:
        return HORIZON_MIN
    waiting, passed = float(backlog), 0.0
    if waiting > FAR_MIN * (mean + shift):  # the order of single minutes no longer matters
        return min(waiting / (mean + shift), HORIZON_MIN)
    while passed < HORIZON_MIN:
        for change in _block(net, chance):
            gone = change + shift
            if gone >= waiting:
                return passed + waiting / gone
            waiting -= gone
            passed += 1
    return HORIZON_MIN


def _block(net: Sequence[float], chance: random.Random) -> list[float]:
    start = chance.randrange(len(net))
    return [net[(start + step) % len(net)] for step in range(BLOCK)]


def text_of(forecast: Forecast) -> str:
    """Returns the forecast as words: `11–14 min`, `under 1 min`, `over 3 h`, `never at this rate`."""
    if forecast.low is None:
        return "never at this rate"
    if forecast.high is None:
        return f"over {_minutes(forecast.low)}"
    if forecast.high < 1:
        return "under 1 min"
    low, high = _minutes(forecast.low), _minutes(forecast.high)
    if low == high:
        return high
    unit = high.rpartition(" ")[2]
    return f"{low.removesuffix(f' {unit}')}–{high}"


def short_text(forecast: Forecast) -> str:
    """Returns the forecast for a narrow column: `11–14 min`, `<1 min`, `>3 h`, `never`."""
    if forecast.is_never:
        return "never"
    text = text_of(forecast)
    return text.replace("over ", "> ").replace("under ", "< ")


def _minutes(value: float) -> str:
    if value < 1:
        return "1 min" if value > 0 else "0 min"
    if value < 120:
        return f"{round(value)} min"
    return f"{value / 60:.1f} h"
