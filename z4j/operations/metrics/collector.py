# SPDX-License-Identifier: AGPL-3.0-or-later
"""Collects the figures of /metrics: from counters in memory, sums and lists that pages use. No task is counted."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from z4j import __version__, clock
from z4j.agents.connections import Hub
from z4j.agents.ingest_totals import IngestTotals
from z4j.duty_loop import Duties
from z4j.exceptions import StoreError
from z4j.listener.tls import ServerTls
from z4j.operations.findings.service import Findings
from z4j.rules.metrics.label_limits import LabelLimit, value_of
from z4j.rules.schedules.schedule_health import grace_of, lateness_of, state_of
from z4j.settings import Settings
from z4j.store.access.audit import AuditLog
from z4j.store.alerts import alerts
from z4j.store.backups.backup_results import read_results
from z4j.store.fleet import agents, apps, queues
from z4j.store.forwarding import targets
from z4j.store.schedules import fires, schedules
from z4j.store.sqlite.db import Store
from z4j.store.tasks.bulk_deletion import read_size
from z4j.store.tasks.minute_stats import SILENT_US
from z4j_agent.wire.redaction import redact_text

SECOND: Final = 1_000_000
QUEUES: Final = 2_000
"""Queues that are read."""
SCOPES: Final = 1_000
"""Label sets of an app and an environment."""


class Exemplar(NamedTuple):
    """A task in a bucket: its id, the number of its page, its duration and its end, in microseconds (UTC)."""

    task_id: str
    id: int
    us: int
    at: int


class HistogramSample(NamedTuple):
    """Cumulative counts by bound (see `rules.metrics.buckets`), the sum in microseconds, and an example by the index of its bound."""

    counts: list[int]
    sum_us: int
    exemplars: dict[int, Exemplar]


Labels = tuple[str, ...]


@dataclass(slots=True)
class Scrape:
    """The samples of one scrape by metric and label set."""

    values: dict[str, dict[Labels, float]] = field(default_factory=dict)
    histograms: dict[str, dict[Labels, HistogramSample]] = field(default_factory=dict)

    def put(self, metric: str, value: float, *labels: str) -> None:
        """Adds a value; those of the same label set add up."""
        of_metric = self.values.setdefault(metric, {})
        of_metric[labels] = of_metric.get(labels, 0) + value


class ServerMetrics:
    """What /metrics reports of the server itself, of queues, agents, schedules, findings and alerts. One per server."""

    def __init__(
        self, store: Store, hub: Hub, settings: Settings, duties: Duties, audit: AuditLog, findings: Findings, ingest: IngestTotals,
        tls: ServerTls | None,
    ) -> None:  # fmt: skip
        self.store, self.hub, self.settings, self.duties, self.audit = store, hub, settings, duties, audit
        self.findings, self.ingest, self.tls = findings, ingest, tls
        self.started_at = clock.now()
        self._queues = LabelLimit(settings.metrics_series)
        self._scopes = {name: LabelLimit(SCOPES) for name in ("z4j_agents_connected", "z4j_schedules", "z4j_ingest_lag_seconds")}

    async def collect(self, scrape: Scrape, at: int) -> None:
        """Adds the samples at a time (microseconds UTC). Raises StoreError."""
        names = await apps.names_by_id(self.store)
        scrape.put("z4j_build_info", 1, __version__)
        scrape.put("z4j_start_time_seconds", self.started_at / SECOND)
        self._ingest(scrape, names)
        self._agents(scrape, names)
        scrape.put("z4j_agents_silent", await agents.count_silent(self.store, since=at - SILENT_US))
        await self._queue_figures(scrape, at)
        await self._schedules(scrape)
        await self._storage(scrape, at)
        for (kind, level), count in Counter((each.kind, each.level) for each in self.findings.current).items():
            scrape.put("z4j_findings", count, kind, level)
        for open_ in await alerts.list_open(self.store):
            if open_.alert.fired_at is not None:
                scrape.put("z4j_alerts_firing", 1, open_.severity)
        await self._forwarding(scrape)
        for duty in self.duties.all():
            scrape.put("z4j_duty_failing", duty.state in ("failing", "stalled"), duty.name)
        scrape.put("z4j_audit_altered", self.audit.alarm is not None)

    @property
    def hidden(self) -> int:
        """How many label sets were summed up."""
        return self._queues.hidden + sum(limit.hidden for limit in self._scopes.values())

    def _ingest(self, scrape: Scrape, names: dict[int, str]) -> None:
        totals = self.ingest
        for name, value in (("batches", totals.batches), ("bytes", totals.bytes), ("records", totals.records), ("refused", totals.refused)):
            scrape.put(f"z4j_ingest_{name}_total", value)
        lags: dict[Labels, int] = {}
        for app_id, lag in list(totals.lag_us.items()):
            labels = self._scopes["z4j_ingest_lag_seconds"].fit(safe((names.get(app_id, ""),)), kept=0)
            lags[labels] = max(lags.get(labels, 0), lag)
        for labels, lag in lags.items():
            scrape.put("z4j_ingest_lag_seconds", lag / SECOND, *labels)
        scrape.put("z4j_writer_waiting_jobs", self.store.waiting_jobs)
        scrape.put("z4j_writer_commit_seconds", self.store.commit_s)

    def _agents(self, scrape: Scrape, names: dict[int, str]) -> None:
        for link in list(self.hub.all()):
            labels = safe((names.get(link.app_id, ""), link.environment, link.role))
            scrape.put("z4j_agents_connected", 1, *self._scopes["z4j_agents_connected"].fit(labels))

    async def _queue_figures(self, scrape: Scrape, at: int) -> None:
        for row in await queues.list_queues(self.store, limit=QUEUES):
            labels = self._queues.fit(safe((row.app, row.environment, row.engine, row.name, row.broker)))
            age = None if row.oldest_at is None else max(0, at - row.oldest_at) / SECOND
            for name, value in (
                ("depth", row.depth), ("delayed_tasks", row.delayed), ("dead_tasks", row.dead), ("consumers", row.consumers),
            ):  # fmt: skip
                if value is not None:
                    scrape.put(f"z4j_queue_{name}", value, *labels)
            if age is not None:
                of_metric = scrape.values.setdefault("z4j_queue_oldest_age_seconds", {})
                of_metric[labels] = max(of_metric.get(labels, 0), age)

    async def _schedules(self, scrape: Scrape) -> None:
        latest = await fires.list_latest(self.store, 1)
        for row in await schedules.list_schedules(self.store):
            state = "disabled" if not row.is_enabled else "never"
            if row.is_enabled and (last := latest.get(row.id)):
                lateness = lateness_of(last[0].due_at, last[0].fired_at)
                grace = grace_of(0) if not last[0].is_late else -1  # the row knows its scheduler's tick
                state = state_of(last[0].outcome, lateness, grace, is_double=bool(last[0].is_double))
            labels = self._scopes["z4j_schedules"].fit(safe((row.app, row.environment)))
            scrape.put("z4j_schedules", 1, *labels, state)

    async def _forwarding(self, scrape: Scrape) -> None:
        listed = [each for each in await targets.list_targets(self.store) if each.is_enabled]
        ends = await targets.read_ends(self.store) if listed else None
        for each in listed[:SCOPES]:
            assert ends is not None
            waiting = await targets.read_waiting(self.store, each, ends)
            (name,) = safe((each.name,))
            for stream, is_sent, rows in (("audit", each.has_audit, waiting.audit), ("alerts", each.has_alerts, waiting.alerts)):
                if is_sent:
                    scrape.put("z4j_forwarding_waiting_rows", rows, name, stream)
            scrape.put("z4j_forwarding_sent_total", each.sent, name)
            scrape.put("z4j_forwarding_failing", each.failing_since is not None, name)
            if each.sent_at is not None:
                scrape.put("z4j_forwarding_last_sent_timestamp_seconds", each.sent_at / SECOND, name)

    async def _storage(self, scrape: Scrape, at: int) -> None:
        used, _ = await read_size(self.store)
        scrape.put("z4j_database_bytes", used)
        scrape.put("z4j_database_limit_bytes", self.settings.gigabytes_kept * 1e9)
        scrape.put("z4j_disk_free_bytes", shutil.disk_usage(self.settings.data).free)
        try:
            good = read_results(self.settings.data).until(at).last_good
        except StoreError:  # the page and `z4j doctor` give the reason; the metric is absent
            good = None
        if good is not None:
            scrape.put("z4j_backup_last_success_timestamp_seconds", good.at / SECOND)
        if self.tls is not None:
            scrape.put("z4j_certificate_expiry_timestamp_seconds", self.tls.certificate.expires_at / SECOND)


def safe(labels: Iterable[str]) -> Labels:
    """Returns texts of agents as labels: shortened, and masked once more."""
    return tuple(value_of(redact_text(text)) for text in labels)
