# SPDX-License-Identifier: AGPL-3.0-or-later
"""What /metrics reports of tasks: stored ones by state, what happened since the server started, and how long they waited and ran."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Final

from z4j.operations.metrics.collector import Exemplar, HistogramSample, Labels, Scrape, safe
from z4j.rules.metrics.buckets import cumulative, index_of
from z4j.rules.metrics.label_limits import OTHERS, LabelLimit
from z4j.rules.rollups import COLUMNS, ENDS, WAITS
from z4j.rules.tasks.states import STATE_NAMES
from z4j.store.fleet import apps
from z4j.store.names import names
from z4j.store.rollups import run_totals
from z4j.store.rollups.run_totals import Place, PlaceTotals
from z4j.store.samples.exemplars import Example, list_examples
from z4j.store.sqlite.db import Store
from z4j.store.tasks.counters import list_counters

COUNTERS: Final = 50_000
"""Counters that are read: those of 4,000 label sets with all states."""
HISTOGRAM_SHARE: Final = 4
"""There is one label set with a histogram for so many with counters: each of them has sixteen lines."""
LONGEST_ID: Final = 80
"""Characters of a task id in an example; all labels of one may have 128."""
_LabelsOf = Callable[[Place], Labels]
_COLUMN: Final = {name: COLUMNS.index(name) for name in COLUMNS}


class TaskMetrics:
    """One per server. `limit` is the number of label sets (app, environment, engine, queue, task)."""

    def __init__(self, store: Store, limit: int) -> None:
        self.store = store
        self._labels = LabelLimit(limit)
        self._waits = LabelLimit(max(1, limit // HISTOGRAM_SHARE))
        self._runs = LabelLimit(max(1, limit // HISTOGRAM_SHARE))

    @property
    def hidden(self) -> int:
        """How many label sets were summed up."""
        return self._labels.hidden + self._waits.hidden + self._runs.hidden

    async def collect(self, scrape: Scrape) -> None:
        """Adds the samples. Raises StoreError."""
        totals = self.store.run_totals.snapshot()
        counters = await list_counters(self.store, COUNTERS)
        examples = await list_examples(self.store)
        apps_by_id = await apps.names_by_id(self.store)
        ids = {id for place in totals for id in place[1:]} | {id for row in counters for id in row[1:5]}
        texts = await names.read_texts(self.store, ids | {id for each in examples for id in each.place[1:]})
        texts[run_totals.OTHERS] = OTHERS
        label = _Labels(apps_by_id, texts)
        for place, each in totals.items():
            self._count(scrape, self._labels.fit(label.of(place)), each)
        for row in counters:
            scrape.put("z4j_tasks", row[6], *self._labels.fit(label.of(row[:5])), STATE_NAMES[row[5]])
        self._histograms(scrape, totals, label, examples)

    def _count(self, scrape: Scrape, labels: Labels, totals: PlaceTotals) -> None:
        for name, column in (("z4j_tasks_enqueued", "enqueued"), ("z4j_tasks_started", "started"), ("z4j_task_retries", "retried")):
            scrape.put(f"{name}_total", totals.sums[_COLUMN[column]], *labels)
        for state in ENDS:
            if ended := totals.sums[_COLUMN[state]]:
                scrape.put("z4j_tasks_ended_total", ended, *labels, state)

    def _histograms(self, scrape: Scrape, totals: dict[Place, PlaceTotals], label: _Labels, examples: Iterable[Example]) -> None:
        by_metric = (
            ("z4j_task_wait_seconds", self._waits, label.of_queue, WAITS, "waited_us"),
            ("z4j_task_runtime_seconds", self._runs, label.of_name, 0, "ran_us"),
        )
        listed = list(examples)
        for metric, limit, labels_of, first, column in by_metric:
            sums: dict[Labels, tuple[dict[int, int], int]] = {}
            for place, each in totals.items():
                labels = limit.fit(labels_of(place))
                buckets, sum_us = sums.get(labels, ({}, 0))
                for bucket, tasks in each.buckets.items():
                    if first <= bucket < first + WAITS:
                        buckets[bucket - first] = buckets.get(bucket - first, 0) + tasks
                sums[labels] = buckets, sum_us + each.sums[_COLUMN[column]]
            found = _exemplars(listed, partial(_fit, limit, labels_of), is_wait=bool(first))
            scrape.histograms[metric] = {
                labels: HistogramSample(cumulative(buckets), sum_us, found.get(labels, {}))
                for labels, (buckets, sum_us) in sums.items()
                if buckets
            }


def _fit(limit: LabelLimit, labels_of: _LabelsOf, place: Place) -> Labels:
    return limit.fit(labels_of(place))


def _exemplars(examples: Iterable[Example], labels_of: _LabelsOf, *, is_wait: bool) -> dict[Labels, dict[int, Exemplar]]:
    """The newest example of each label set and bound."""
    found: dict[Labels, dict[int, Exemplar]] = {}
    for each in examples:
        us = each.waited_us if is_wait else each.runtime_us
        task_id = safe((each.task_id,))[0]
        if us is not None and len(task_id) <= LONGEST_ID:
            found.setdefault(labels_of(each.place), {})[index_of(us)] = Exemplar(task_id, each.id, us, each.ended_at)
    return found


class _Labels:
    """The texts of ids, each masked once."""

    def __init__(self, apps_by_id: dict[int, str], texts: dict[int, str]) -> None:
        self._apps = {id: safe((name,))[0] for id, name in apps_by_id.items()}
        self._texts = {id: safe((text,))[0] for id, text in texts.items()}

    def of(self, place: Place) -> Labels:
        """App, environment, engine, queue, task."""
        app, environment, engine, name, queue = place
        text = self._texts.get
        return self._apps.get(app, ""), text(environment, ""), text(engine, ""), text(queue, ""), text(name, "")

    def of_queue(self, place: Place) -> Labels:
        """App, environment, engine, queue."""
        return self.of(place)[:4]

    def of_name(self, place: Place) -> Labels:
        """App, environment, engine, task."""
        labels = self.of(place)
        return (*labels[:3], labels[4])
