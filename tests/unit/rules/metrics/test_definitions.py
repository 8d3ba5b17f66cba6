# SPDX-License-Identifier: AGPL-3.0-or-later
"""Names follow the conventions of Prometheus, and the document has the table."""

from __future__ import annotations

import re
from pathlib import Path

from z4j.rules.metrics.definitions import METRICS, as_table

ROOT = Path(__file__).resolve().parents[4]


def test_names_follow_the_conventions() -> None:
    names = [metric.name for metric in METRICS]
    assert len(set(names)) == len(names)
    for metric in METRICS:
        assert re.fullmatch(r"z4j_[a-z_]+", metric.name)
        assert metric.name.endswith("_total") == (metric.kind == "counter"), metric.name
        assert metric.kind != "histogram" or metric.name.endswith("_seconds")
        assert not re.search(r"_(ms|milliseconds|minutes|us|mb|gigabytes)\b", metric.name)
        assert "le" not in metric.labels
        assert len(metric.help) > 10
        assert metric.help.endswith(".")


def test_the_document_has_the_table() -> None:
    text = (ROOT / "docs/metrics.md").read_text("utf-8")
    assert as_table() in text, "put the result of z4j.rules.metrics.definitions.as_table() there"
