# SPDX-License-Identifier: AGPL-3.0-or-later
"""A pytest plugin for an engine's own tests (`tests/upstream.py`): writes how each ended, and installs our adapter where it is told to.

Runs in the engine's environment. `UPSTREAM_OUTCOMES` is the file to write and `UPSTREAM_ENGINE` the adapter to install, "" for none; what
is done in every process of the tests is in `upstream_process.py`.
"""

from __future__ import annotations

import json
import os
from typing import Any

import pytest
import upstream_process

OUTCOMES: dict[str, str] = {}
RANK = {"passed": 0, "skipped": 1, "failed": 2}


def pytest_runtest_logreport(report: Any) -> None:
    """The worst of set-up, call and tear-down counts."""
    before = OUTCOMES.get(report.nodeid, "passed")
    OUTCOMES[report.nodeid] = max(before, report.outcome, key=lambda outcome: RANK.get(outcome, 2))


def pytest_sessionfinish() -> None:
    with open(os.environ["UPSTREAM_OUTCOMES"], "w") as file:
        json.dump(OUTCOMES, file)


@pytest.hookimpl(tryfirst=True)  # some fixtures look for threads that a test has left behind
def pytest_runtest_teardown() -> None:
    upstream_process.end_test()


upstream_process.stand_in_for_docker()
upstream_process.begin()
