# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

pytest.register_assert_rewrite("z4j_agent.conformance.contract", "z4j_agent.conformance.reading")

RARE = ("signed", "pickle", "protocol-1", "namespaced", "own-backend", "threads", "green")
"""Configurations, and in `BAD_DAYS` classes, whose tests wait for the long run: each differs from one that is always tested in a little."""
BAD_DAYS = ("TestSolo", "TestThreads", "TestGevent")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks as long what the four minutes of this folder cannot hold."""
    for item in items:
        is_rare = "test_steps" in item.nodeid and item.nodeid.partition("[")[2].rstrip("]") in RARE
        is_bad_day = any(name in item.nodeid for name in BAD_DAYS) and "alone" in getattr(item, "fixturenames", ())
        if is_rare or is_bad_day:
            item.add_marker(pytest.mark.long)
