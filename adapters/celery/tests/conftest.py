# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # the harnesses of one module serve another

WORDS = ("contract", "examples", "failures", "installation", "operations", "assertions", "scheduling")
pytest.register_assert_rewrite(*(f"z4j_agent.conformance.{name}" for name in WORDS))

RARE = ("signed", "pickle", "protocol-1", "namespaced", "own-backend", "threads", "green")
"""Configurations, and in `BAD_DAYS` classes, whose tests wait for the long run: each differs from one that is always tested in a little."""
BAD_DAYS = ("TestSolo", "TestThreads", "TestGevent")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks as long what the few minutes of this folder cannot hold: also, of a class that repeats another's proof, all but what it says
    is worth it every time.
    """
    for item in items:
        is_rare = "test_steps" in item.nodeid and item.nodeid.partition("[")[2].rstrip("]") in RARE
        is_bad_day = any(name in item.nodeid for name in BAD_DAYS) and "alone" in getattr(item, "fixturenames", ())
        essentials = getattr(getattr(item, "cls", None), "essentials", None)
        if is_rare or is_bad_day or (essentials is not None and getattr(item, "originalname", item.name) not in essentials):
            item.add_marker(pytest.mark.long)
