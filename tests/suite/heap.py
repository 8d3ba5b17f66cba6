# SPDX-License-Identifier: AGPL-3.0-or-later
"""A pytest plugin that saves time of each test process: `-p tests.suite.heap`. Runs in every environment.

Modules and tests stay in memory until the process ends. They are excluded from garbage collection, which also runs less often: otherwise
it takes a twentieth of the time of unit and contract tests. The plugin of Hypothesis, which imports all of it for its summary, ends with
the tests of a process that has not used it: 0.35 s of a processor each.
"""

from __future__ import annotations

import gc
import sys
from typing import Final

import pytest

ALLOCATIONS: Final = (20_000, 10, 20)
"""As of `gc.set_threshold`; Python's own are (700, 10, 10)."""


def pytest_collection_finish() -> None:
    gc.collect()
    gc.freeze()
    gc.set_threshold(*ALLOCATIONS)


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    if "hypothesis" not in sys.modules:
        session.config.pluginmanager.unregister(name="hypothesispytest")
