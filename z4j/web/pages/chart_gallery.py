# SPDX-License-Identifier: AGPL-3.0-or-later
"""The charts of GET /patterns: each empty, with one point, typical, with gaps, long names, large numbers and right-to-left names."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from z4j.rules.charts.model import DURATION, MINUTE, Bucket, HeatMap, Histogram, Mark, Series, TimeChart, ValueMark

LONG: Final = "warehouse.replenishment.suppliers.negotiation.request_quotation_from_every_registered_supplier_in_region"
HEBREW: Final = "חשבונות.שליחת_תזכורת_לתשלום"
POINTS: Final = 90
FEW: Final = 30


@dataclass(frozen=True, slots=True)
class ChartSamples:
    """Charts by kind, each list with the cases above."""

    lines: tuple[TimeChart, ...]
    bars: tuple[TimeChart, ...]
    histograms: tuple[Histogram, ...]
    heats: tuple[HeatMap, ...]
    sparks: tuple[tuple[str, tuple[float | None, ...], str], ...]
    """Label, values, state."""


def make_samples(now: int) -> ChartSamples:
    """Returns the samples; the newest minute is that of `now`."""
    times = _minutes(now, POINTS)
    links = tuple(f"/tasks?since={at}&until={at + MINUTE}" for at in times)
    marks = (Mark(times[62], "release a1b2c3", "/changes"), Mark(times[70], "admin paused queue billing", "/changes", "action"))
    wave = tuple(float(round(4_200 + 1_500 * math.sin(i / 11) + 260 * math.sin(i * 1.7))) for i in range(POINTS))
    failed = tuple(0.0 if i < 62 else float(round(2_000 + 220 * math.sin(i * 2.3))) for i in range(POINTS))
    few = slice(-FEW, None)
    holes = tuple(None if 8 <= i < 13 or i == 20 else value for i, value in enumerate(wave[few]))
    slow = tuple(float(90_000 + 30_000 * math.sin(i / 7)) for i in range(FEW))
    lines = (
        TimeChart(
            "Finished and failed per minute", times,
            (Series("finished", "succeeded", wave, "/tasks?state=succeeded"), Series("failed", "failed", failed, "/tasks?state=failed")),
            "per minute", marks, links,
        ),
        TimeChart(
            "Ran: percentiles", times[few],
            (
                Series("p50", "running", slow),
                Series("p95", "running", tuple(value * 4 + (9e5 if i > 11 else 0) for i, value in enumerate(slow))),
                Series("p99", "running", tuple(value * 9 + (2.2e6 if i > 11 else 0) for i, value in enumerate(slow))),
            ),
            DURATION, marks[1:], links[few], height=110,
        ),
        TimeChart("With gaps", times[few],
                  (Series("finished", "succeeded", holes), Series("depth", "queued", (*((None,) * 16), *wave[16:FEW]))),
                  links=links[few], height=90),
        TimeChart("One point", times[:1], (Series("finished", "succeeded", wave[:1]),), links=links[:1], height=90),
        TimeChart("All zero", times[few], (Series("failed", "failed", (0.0,) * FEW),), links=links[few], height=90),
        TimeChart("Large numbers", tuple(now // MINUTE * MINUTE - (30 - i) * 86_400_000_000 for i in range(30)),
                  (Series(LONG, "succeeded", tuple(value * 1e12 for value in wave[:30])), Series(HEBREW, "failed", (5e15,) * 30)),
                  "tasks", (Mark(now - 9 * 86_400_000_000, LONG), Mark(now - 8 * 86_400_000_000, HEBREW)), height=110),
        TimeChart("Empty", (), (), height=90),
    )  # fmt: skip
    ended = (
        Series("succeeded", "succeeded", wave[-60:], "/tasks?state=succeeded"),
        Series("retried", "retrying", tuple(value / 9 for value in failed[-60:])),
        Series("failed", "failed", failed[-60:], "/tasks?state=failed", tuple(f"{link}&state=failed" for link in links[-60:])),
    )
    bars = (
        TimeChart("Ended by state per minute", times[-60:], ended, "per minute", marks, links[-60:]),
        TimeChart("Waiting, with gaps", times[-24:], (Series("waiting", "queued", tuple(
            None if 5 <= i < 9 else 0.0 if i > 18 else float(i * 7 % 40) for i in range(24))),), "tasks", (), links[-24:], height=90),
        TimeChart("One bar", times[:1], (Series("waiting", "queued", (12.0,)),), "tasks", links=links[:1], height=90),
        TimeChart("Empty bars", (), (), height=90),
    )  # fmt: skip
    sparks = (
        ("failed per minute, 30 minutes", tuple(0.0 if i < 17 else 20.0 + i % 4 for i in range(30)), "failed"),
        ("no runs for 4 of 24 minutes", (*((40.0,) * 20), 0.0, 0.0, 0.0, 0.0), "succeeded"),
        ("depth, growing", tuple(float(i) for i in range(90)), "late"),
        ("nothing received since 6 minutes", (*((9.0,) * 24), *((None,) * 6)), "unknown"),
        ("one value", (1.0,), "running"),
        ("no values", (), "unknown"),
    )
    return ChartSamples(lines, bars, _histograms(), _heats(now), sparks)


def _histograms() -> tuple[Histogram, ...]:
    edges = [1_000 * 2 ** (i / 2) for i in range(25)]
    counts = [round(9_000 * math.exp(-(((i - 11) / 4) ** 2)) + (40 if i > 19 else 0)) for i in range(24)]
    buckets = tuple(Bucket(edges[i], edges[i + 1], count, f"/tasks?ran={i}") for i, count in enumerate(counts))
    values = (ValueMark(51_000, "p50"), ValueMark(190_000, "p95"), ValueMark(410_000, "p99"))
    return (
        Histogram("Ran, last hour", buckets, marks=values),
        Histogram("One bucket", (Bucket(0, 1_000, 7, "/tasks"),), state="queued", height=80),
        Histogram(
            "Depth of " + HEBREW, tuple(Bucket(i * 1e9, (i + 1) * 1e9, 10 ** (i + 8)) for i in range(6)), "", "failed", LONG, height=80
        ),
        Histogram("Empty histogram", (), height=80),
    )


def _heats(now: int) -> tuple[HeatMap, ...]:
    hour = 60 * MINUTE
    times = tuple(now // hour * hour - (11 - i) * hour for i in range(12))
    rows = tuple(4_000.0 * 2**i for i in range(10))
    counts = tuple(
        (None,) * 10 if 3 <= hour < 5 else tuple(
            float(round(4_000 * math.exp(-(((row - 3 - (3 if hour > 8 else 0)) / 1.6) ** 2)))) for row in range(10))
        for hour in range(12)
    )  # fmt: skip
    links = tuple(tuple(f"/tasks?since={at}&ran={row}" for row in range(10)) for at in times)
    return (
        HeatMap("Ran by hour and duration", times, rows, counts, links),
        HeatMap("One cell", times[:1], rows[:1], ((3.0,),), (("/tasks",),), state="failed", step=hour),
        HeatMap("Empty heat map", times, rows, ((None,) * 10,) * 12),
    )


def _minutes(now: int, count: int) -> tuple[int, ...]:
    newest = now // MINUTE * MINUTE
    return tuple(newest - (count - 1 - i) * MINUTE for i in range(count))
