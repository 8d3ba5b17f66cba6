# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path[:0] = map(str, Path(__file__).parent.glob("[a-z]*/"))  # the harnesses of one module serve another, and its applications

RARE = ("signed", "pickle", "protocol-1", "namespaced", "own-backend", "threads", "green", "quiet", "late", "no-backend")
"""Configurations whose tests wait for the long run: each differs from one that is always tested in a little."""
REPEATED = ("test_request.py",)
"""Files whose tests run with Redis each time, and with RabbitMQ in the long run."""
BAD_DAYS = ("TestSolo", "TestThreads", "TestGevent")
"""Pools whose workers are killed and starved in the long run only."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        is_rare = "test_steps" in item.nodeid and item.nodeid.partition("[")[2].rstrip("]") in RARE
        is_bad_day = any(name in item.nodeid for name in BAD_DAYS) and "alone" in getattr(item, "fixturenames", ())
        is_repeated = item.path.name in REPEATED and "rabbitmq" in item.name
        if is_rare or is_bad_day or is_repeated:
            item.add_marker(pytest.mark.long)
