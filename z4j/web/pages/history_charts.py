# SPDX-License-Identifier: AGPL-3.0-or-later
"""Charts of the sums of a task name, a queue or a worker over a range, the same as plain values, and the ranges of the URL."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Any, Final, Literal
from urllib.parse import urlencode

from z4j.formats import moment
from z4j.rules.charts.model import DURATION, Bucket, HeatMap, Histogram, Mark, Series, TimeChart, ValueMark
from z4j.rules.findings.activity import BAD
from z4j.rules.history.ranges import SPANS, Window, merged
from z4j.rules.rollups import at_shares, bounds
from z4j.store.rollups.rollups import NO_SUMS, QueueReport, Sums, WorkerSums
from z4j.store.rollups.series_history import History
from z4j.web.frame.render import Choice
from z4j.web.pages.tasks.filters import Filters

Measure = Literal["waited", "ran"]
SHARES: Final = (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))
LIMITS: Final = tuple(share for _, share in SHARES)
HEIGHT: Final = 110
MOST_BARS: Final = 36
HEAT_ROWS: Final = 14


def span_choices(href: Callable[[str], str], chosen: str) -> tuple[Choice, ...]:
    """Returns the ranges as chips; `href` makes the URL of one."""
    return tuple(Choice(span.word, href(key), key == chosen) for key, span in SPANS.items())


@lru_cache(4_000)
def time_text(at: int) -> str:
    """Returns a time for a filter in a URL; times of slots have no seconds."""
    return f"{moment(at):%Y-%m-%dT%H:%MZ}"


def between(rows: Filters, since: int, until: int) -> Filters:
    """Returns filters for the tasks of a range."""
    return rows.but(since=time_text(since), until=time_text(until))


def ended_badly(sums: Sums) -> int:
    """Returns the tasks that ended in a state of BAD."""
    return sums.failed + sums.lost + sums.rejected + sums.expired


@lru_cache(32)
def slot_links(found: Window, rows: Filters) -> tuple[str, ...]:
    """Returns a link to the tasks of each slot, the same for each chart of a page. `rows` has no times of its own."""
    base = rows.href()
    head = f"{base}{'&' if '?' in base else '?'}since="
    times = [time_text(at) for at in (*found.slots, found.until)]
    return tuple(f"{head}{since}&until={until}" for since, until in pairwise(times))


def rates(
    history: History, rows: Filters, title: str, columns: Sequence[tuple[str, str, Callable[[Sums], int], tuple[str, ...]]],
    marks: Sequence[Mark] = (),
) -> TimeChart:  # fmt: skip
    """Returns lines per minute. `columns` are (name, state that sets the color, what is counted, states of the rows behind it)."""
    found = history.window
    within = between(rows, found.since, found.until)
    return TimeChart(
        title=title, times=tuple(found.slots), step=found.slot_us, unit="per minute", links=slot_links(found, rows), marks=marks,
        height=HEIGHT,
        series=tuple(
            Series(name, color, _rate(history, count), within.but(state=states).href() if states else within.href())
            for name, color, count, states in columns
        ),
    )  # fmt: skip


COLUMNS_OF_NAME: Final = (
    ("started", "running", lambda sums: sums.started, ()), ("ended", "succeeded", lambda sums: sums.ended, ()),
    ("failed", "failed", ended_badly, BAD), ("retried", "retrying", lambda sums: sums.retried, ()),
)  # fmt: skip
COLUMNS_OF_QUEUE: Final = (
    ("in", "queued", lambda sums: sums.enqueued, ()), ("out", "running", lambda sums: sums.started, ()),
    ("failed", "failed", ended_badly, BAD),
)  # fmt: skip


def _rate(history: History, count: Callable[[Sums], int]) -> tuple[float | None, ...]:
    found, sums, uncounted = history.window, history.sums, _uncounted_until(history)
    return tuple(
        None if slot <= uncounted else found.per_minute(slot, max(count(sums[slot]), 0)) if slot in sums else 0.0 for slot in found.slots
    )


def _uncounted_until(history: History) -> int:
    """Returns the beginning of the last slot that may lie before the first sums: of these nothing is known, which is not the same as no
    tasks."""
    return history.window.until if history.counted_from is None else history.counted_from - history.window.slot_us


def percentiles(history: History, measure: Measure, rows: Filters, marks: Sequence[Mark] = ()) -> TimeChart:
    """Returns p50, p95 and p99 of the waits or runtimes; a slot without tasks has none."""
    found = history.window
    buckets = {slot: getattr(each, measure) for slot, each in history.histograms.items()}
    color = "queued" if measure == "waited" else "running"
    values = [at_shares(buckets.get(slot, {}), LIMITS) for slot in found.slots]
    return TimeChart(
        title="Waited: p50, p95, p99" if measure == "waited" else "Ran: p50, p95, p99", times=tuple(found.slots), step=found.slot_us,
        unit=DURATION, links=slot_links(found, rows), marks=marks, height=HEIGHT,
        series=tuple(Series(name, color, line) for (name, _), line in zip(SHARES, zip(*values, strict=True), strict=True)),
    )  # fmt: skip


def distribution(history: History, measure: Measure, rows: Filters) -> Histogram:
    """Returns the waits or runtimes of the range by size; each bar leads to its tasks."""
    whole: Mapping[int, int] = getattr(history, measure)
    within = between(rows, history.window.since, history.window.until)
    width = 2 if not whole or max(whole) - min(whole) < 2 * MOST_BARS else 4
    counts = merged(whole, width)
    steps = range(min(counts), max(counts) + 1, width) if counts else range(0)
    values = zip(SHARES, at_shares(whole, LIMITS), strict=True)
    marks = tuple(ValueMark(value, name) for (name, _), value in values if value is not None)
    return Histogram(
        title="Waited" if measure == "waited" else "Ran", state="queued" if measure == "waited" else "running", marks=marks,
        buckets=tuple(
            Bucket(bounds(step)[0], bounds(step + width)[0], counts.get(step, 0), duration_href(within, measure, step, step + width))
            for step in steps
        ),
    )  # fmt: skip


def duration_href(rows: Filters, measure: Measure, first: int, after: int) -> str:
    """Returns the URL of the tasks whose duration lies in the buckets from `first` on until before `after`."""
    base = rows.href()
    return f"{base}{'&' if '?' in base else '?'}{_durations(measure, first, after)}"


def _durations(measure: Measure, first: int, after: int) -> str:
    low, high = math.ceil(bounds(first)[0]) if first else 0, math.ceil(bounds(after)[0])
    return urlencode({"q": f"{measure}:>={low}us {measure}:<{high}us"}, safe=":")


def heat(found: Window, runtimes: Mapping[int, Mapping[int, int]], rows: Filters) -> HeatMap:
    """Returns the runtimes of a range by time and size."""
    known = set().union(*runtimes.values())
    width = 4 if not known or max(known) - min(known) < 4 * HEAT_ROWS else 8
    first, last = (min(known) // width, max(known) // width) if known else (0, 0)
    steps = [number * width for number in range(max(first, last - HEAT_ROWS + 1), last + 1)]
    sizes = {step: _durations("ran", step, step + width) for step in steps}
    counts: list[Sequence[float | None]] = []
    links: list[Sequence[str]] = []
    for slot, link in zip(found.slots, slot_links(found, rows), strict=True):
        of_slot = merged(runtimes.get(slot, {}), width)
        counts.append([of_slot.get(step, 0) for step in steps] if of_slot else [None] * len(steps))
        links.append([f"{link}&{sizes[step]}" if of_slot.get(step) else "" for step in steps] if of_slot else [""] * len(steps))
    return HeatMap(
        title="Runtimes of the last 7 days", times=tuple(found.slots), rows=tuple(bounds(step)[0] for step in steps), counts=counts,
        links=links, step=found.slot_us,
    )  # fmt: skip


# -- what brokers report, what a worker did ----------------------------------------------------------------------------------
def depths(found: Window, reports: Mapping[int, QueueReport], rows: Filters, marks: Sequence[Mark]) -> TimeChart:
    """Returns what the broker held: waiting, delayed and dead; a slot without a report has a gap."""

    def values(of: str) -> tuple[float | None, ...]:
        return tuple(None if slot not in reports else getattr(reports[slot], of) for slot in found.slots)

    kinds = (("delayed", "scheduled", ("scheduled", "retrying")), ("dead", "failed", ("failed",)))
    waiting = Series("in broker", "queued", values("depth"), rows.but(state=("queued", "received")).href())
    more = [Series(name, color, values(name), rows.but(state=states).href()) for name, color, states in kinds]
    more = [series for series in more if any(value is not None for value in series.values)]
    return TimeChart(
        title="Tasks in the broker", times=tuple(found.slots), step=found.slot_us, unit="tasks", marks=marks, height=HEIGHT,
        series=(waiting, *more), links=slot_links(found, rows),
    )  # fmt: skip


def oldest(found: Window, reports: Mapping[int, QueueReport], rows: Filters, marks: Sequence[Mark]) -> TimeChart:
    """Returns the age of the oldest task in the broker."""
    ages = tuple(reports[slot].oldest_us if slot in reports else None for slot in found.slots)
    return TimeChart(
        title="Age of the oldest task", times=tuple(found.slots), step=found.slot_us, unit=DURATION, marks=marks, height=80,
        series=(Series("oldest", "queued", ages, rows.but(state=("queued", "received")).href()),), links=slot_links(found, rows),
    )  # fmt: skip


def worker_charts(
    found: Window, sums: Mapping[int, WorkerSums], rows: Filters, capacity: int | None, marks: Sequence[Mark]
) -> tuple[TimeChart, TimeChart]:
    """Returns the ended and failed tasks of a worker per minute, and how busy it was. A task is counted when it ends, so a long one makes
    its last slot busier than it was; a share is at most 100 %."""
    nothing = WorkerSums(0, 0, 0)
    within = between(rows, found.since, found.until)
    ended = tuple(found.per_minute(slot, max(sums.get(slot, nothing).ended, 0)) for slot in found.slots)
    failed = tuple(found.per_minute(slot, max(sums.get(slot, nothing).failed, 0)) for slot in found.slots)
    busy = tuple(
        min(100 * found.per_minute(slot, max(sums.get(slot, nothing).busy_us, 0)) / 60_000_000 / (capacity or 1), 100.0)
        for slot in found.slots
    )
    common: dict[str, Any] = {
        "times": tuple(found.slots), "step": found.slot_us, "marks": marks, "links": slot_links(found, rows), "height": HEIGHT,
    }  # fmt: skip
    return (
        TimeChart(
            title="Ended and failed tasks per minute", unit="per minute", **common,
            series=(
                Series("ended", "succeeded", ended, within.href()),
                Series("failed", "failed", failed, within.but(state=("failed",)).href()),
            ),
        ),
        TimeChart(title="Busy", unit="%", **common, series=(Series("busy", "running", busy, within.href()),)),
    )  # fmt: skip


# -- plain values ------------------------------------------------------------------------------------------------------------
def plain_history(history: History, key: str) -> dict[str, Any]:
    """Returns a history for JSON: each slot with its sums, and percentiles in microseconds, null where nothing is known."""
    return plain_window(history.window, key) | {
        "left_out_series": history.left_out,
        "read_share": round(history.share, 4),
        "slots": [_plain_slot(history, slot, _uncounted_until(history)) for slot in history.window.slots],
    }


def plain_window(found: Window, key: str) -> dict[str, Any]:
    """Returns a range for JSON."""
    return {"range": key, "since": found.since, "until": found.until, "slot_us": found.slot_us}


def _plain_slot(history: History, slot: int, uncounted: int) -> dict[str, Any]:
    if slot <= uncounted:
        return {"at": slot}
    histograms = history.histograms.get(slot)
    found: dict[str, Any] = {"at": slot} | {name: max(value, 0) for name, value in history.sums.get(slot, NO_SUMS)._asdict().items()}
    for measure in ("waited", "ran"):
        buckets = getattr(histograms, measure) if histograms else {}
        found |= {f"{measure}_{name}_us": value for name, value in shares_of(buckets)}
    return found


def rounded(value: float | None) -> int | None:
    """Returns a duration in whole microseconds."""
    return None if value is None else round(value)


def shares_of(buckets: Mapping[int, int]) -> tuple[tuple[str, int | None], ...]:
    """Returns p50, p95 and p99 in microseconds, None without tasks."""
    return tuple((name, rounded(value)) for (name, _), value in zip(SHARES, at_shares(buckets, LIMITS), strict=True))


def in_order(marks: Iterable[Mark]) -> tuple[Mark, ...]:
    """Returns marks by their time."""
    return tuple(sorted(marks, key=lambda mark: mark.at))
