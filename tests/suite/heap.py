# SPDX-License-Identifier: AGPL-3.0-or-later
"""A pytest plugin for large test processes: `-p tests.suite.heap`. Runs in every environment.

What was imported and collected stays until the end. The garbage collector is told so, and looks less often: else it takes a twentieth of
the time of unit and contract.
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
