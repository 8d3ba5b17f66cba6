# SPDX-License-Identifier: AGPL-3.0-or-later
"""A scrape is kept for a moment, in each format, and the library's process-wide registry is not in it."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families as parse_plain

from tests.unit.web.pages.conftest import Shop
from z4j.operations.metrics.collector import Scrape
from z4j.operations.metrics.exposition import write
from z4j.rules.metrics.definitions import METRICS


def test_every_metric_is_declared_with_its_type() -> None:
    families = {family.name: family for family in parse_plain(write(Scrape(), is_open=False).body.decode())}
    assert {(name.removesuffix("_total"), family.type) for name, family in families.items()} == {
        (metric.name.removesuffix("_total"), metric.kind) for metric in METRICS
    }


def test_scrapes_within_a_second_read_once(shop: Shop) -> None:
    metrics = shop.server.metrics
    shop.server.store.memo.clear()
    first = shop.call(metrics.expose, "text/plain")
    assert shop.call(metrics.expose, "text/plain") is first
    assert shop.call(metrics.expose, "application/openmetrics-text").body.endswith(b"# EOF\n")
    assert b"python_gc_" not in first.body
    assert b"process_" not in first.body
