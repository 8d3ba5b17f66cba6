# SPDX-License-Identifier: AGPL-3.0-or-later
"""Writes a scrape in the text format of Prometheus, or in that of OpenMetrics with its exemplars.

The library is imported at the first scrape. Its process-wide registry, which collects figures of its own, is not used.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final, NamedTuple

from z4j import clock
from z4j.operations.metrics.collector import HistogramSample, Scrape, ServerMetrics
from z4j.operations.metrics.task_metrics import TaskMetrics
from z4j.rules.metrics.buckets import BOUNDS
from z4j.rules.metrics.definitions import METRICS, Metric

if TYPE_CHECKING:
    from prometheus_client.core import Metric as Family

KEPT_US: Final = 1_000_000
"""How long a scrape is kept: those that come meanwhile get the same."""
_OPENMETRICS: Final = "application/openmetrics-text"
_MEMO: Final = "metrics"


class Exposition(NamedTuple):
    """What is sent, and its content type."""

    body: bytes
    media_type: str


class Metrics:
    """One per server."""

    def __init__(self, tasks: TaskMetrics, server: ServerMetrics) -> None:
        self.tasks = tasks
        self.server = server

    async def expose(self, accept: str) -> Exposition:
        """Returns all metrics in the format of an Accept header. Raises StoreError."""
        is_open = _OPENMETRICS in accept
        memo = self.server.store.memo
        until, kept = memo.get(_MEMO, (0, {}))
        if clock.ticks() >= until:
            kept = {}
        if is_open not in kept:
            kept = {**kept, is_open: write(await self._scrape(), is_open=is_open)}
            memo[_MEMO] = (clock.ticks() + KEPT_US, kept)
        found: Exposition = kept[is_open]
        return found

    async def _scrape(self) -> Scrape:
        scrape = Scrape()
        await self.tasks.collect(scrape)
        await self.server.collect(scrape, clock.now())
        scrape.put("z4j_metrics_hidden_label_sets", self.tasks.hidden + self.server.hidden)
        return scrape


def write(scrape: Scrape, *, is_open: bool) -> Exposition:
    """Returns a scrape as text."""
    from prometheus_client import CollectorRegistry, exposition
    from prometheus_client.openmetrics import exposition as openmetrics

    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector(scrape))
    if is_open:
        body = openmetrics.generate_latest(registry)  # type: ignore[no-untyped-call]
        return Exposition(body, openmetrics.CONTENT_TYPE_LATEST)
    return Exposition(exposition.generate_latest(registry), exposition.CONTENT_TYPE_PLAIN_0_0_4)


class _Collector:
    """What the registry asks for the families."""

    def __init__(self, scrape: Scrape) -> None:
        self._scrape = scrape

    def collect(self) -> Iterator[Family]:
        """Yields the families of all metrics."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        for metric in METRICS:
            if metric.kind == "histogram":
                yield _histogram(metric, self._scrape.histograms.get(metric.name, {}))
                continue
            family = (CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily)(
                metric.name, metric.help, labels=metric.labels
            )
            for labels, value in self._scrape.values.get(metric.name, {}).items():
                family.add_metric(labels, value)
            yield family


def _histogram(metric: Metric, samples: dict[tuple[str, ...], HistogramSample]) -> Family:
    from prometheus_client.core import Exemplar, HistogramMetricFamily

    family = HistogramMetricFamily(metric.name, metric.help, labels=metric.labels)
    bounds = [*BOUNDS, "+Inf"]
    for labels, sample in samples.items():
        named = dict(zip(metric.labels, labels, strict=True))
        for index, (bound, count) in enumerate(zip(bounds, sample.counts, strict=True)):
            example = sample.exemplars.get(index)
            shown = None
            if example is not None:
                of_task = {"task_id": example.task_id, "id": str(example.id)}
                shown = Exemplar(of_task, example.us / 1_000_000, example.at / 1_000_000)
            family.add_sample(f"{metric.name}_bucket", {**named, "le": bound}, count, exemplar=shown)
        family.add_sample(f"{metric.name}_count", named, sample.counts[-1])
        family.add_sample(f"{metric.name}_sum", named, sample.sum_us / 1_000_000)
    return family
