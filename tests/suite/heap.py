# SPDX-License-Identifier: AGPL-3.0-or-later
"""A pytest plugin for large test processes: `-p tests.suite.heap`. Runs in every environment.

Modules and tests stay in memory until the process ends. They are excluded from garbage collection, which also runs less often: otherwise
it takes a twentieth of the time of the unit and contract tests.
"""

from __future__ import annotations

import gc
from typing import Final

ALLOCATIONS: Final = (20_000, 10, 20)
"""As of `gc.set_threshold`; Python's own are (700, 10, 10)."""


def pytest_collection_finish() -> None:
    gc.collect()
    gc.freeze()
    gc.set_threshold(*ALLOCATIONS)
