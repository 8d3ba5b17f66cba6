# SPDX-License-Identifier: AGPL-3.0-or-later
"""Forecasts how long a queue takes to drain: a range, from the tasks enqueued and started in the last minutes.

Blocks of the last minutes are drawn repeatedly and joined until the backlog is gone (a block bootstrap, so that bursts keep their
length). The width of the range was calibrated with generated hours whose end is known
(tests/unit/rules/findings/test_forecast.py).
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from functools import lru_cache
from typing import Final, NamedTuple

RUNS: Final = 200
BLOCK: Final = 4
WIDER: Final = 1.8
"""Factor by which the mean of the drawn blocks is moved away from the mean of all minutes, because so few blocks vary less than the
future. With this and the two limits below the range contains the true time of four in five generated hours."""
FAR_MIN: Final = 60
HORIZON_MIN: Final = 24 * 60
"""A queue that does not drain within a day is shown as never draining at this rate."""
LOW: Final = 0.05
HIGH: Final = 0.95


class Forecast(NamedTuple):
    """Minutes until the queue is empty. `high` is None if 1 in 10 simulations does not drain within a day, `low` too if 9 in 10 do not."""

    low: float | None
    high: float | None

    @property
    def is_never(self) -> bool:
        """Whether the queue does not drain at this rate."""
        return self.low is None


def drain(backlog: int, entered: Sequence[int], left: Sequence[int], *, more: float = 1.0, seed: int = 0) -> Forecast | None:
    """Returns when a backlog is gone if the next minutes are like the last ones; None without any minutes. `more` is the factor by which
    more workers would raise the throughput. The same arguments always give the same range."""
    net = tuple(gone * more - come for come, gone in zip(entered, left, strict=True))
    if not net:
        return None
    return Forecast(0.0, 0.0) if backlog <= 0 else _simulate(backlog, net, seed)


@lru_cache(500)
def _simulate(backlog: int, net: tuple[float, ...], seed: int) -> Forecast:
    """Cached: it takes milliseconds, and pages show the same queues repeatedly."""
    chance = random.Random(seed)  # noqa: S311 -- a simulation
    ends = sorted(_run(backlog, net, chance) for _ in range(RUNS))
    low, high = ends[int(RUNS * LOW)], ends[int(RUNS * HIGH) - 1]
    return Forecast(None if low >= HORIZON_MIN else low, None if high >= HORIZON_MIN else high)


def _run(backlog: float, net: Sequence[float], chance: random.Random) -> float:
    """Minutes until one simulated future is drained. Its mean rate is varied by the sampling error of the last minutes."""
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
