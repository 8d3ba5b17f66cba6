# SPDX-License-Identifier: AGPL-3.0-or-later
"""A pytest plugin for an engine's own tests (`tests/upstream.py`): writes how each test ended, and installs our adapter where asked to.

Runs in the engine's environment. `UPSTREAM_OUTCOMES` is the file to append to, a line for the start and for each phase of a test, so that
a run that is cut off loses nothing; `UPSTREAM_ENGINE` is the adapter to install, "" for none. What is done in every process of the tests
is in `upstream_process.py`.
"""

from __future__ import annotations

import json
import os
from typing import Any

import pytest
import upstream_process

OUTCOMES = os.environ["UPSTREAM_OUTCOMES"]  # some tests empty the environment
PID = os.getpid()


def _write(*fields: str) -> None:
    if os.getpid() != PID:
        return  # a forked child that ends as pytest would
    with open(OUTCOMES, "a") as file:
        file.write(json.dumps(fields) + "\n")


def pytest_runtest_logstart(nodeid: str) -> None:
    _write("started", nodeid)


def pytest_runtest_logreport(report: Any) -> None:
    _write(report.outcome, report.nodeid)


def pytest_runtest_logfinish(nodeid: str) -> None:
    _write("finished", nodeid)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish() -> None:
    _write("ended", "")


@pytest.hookimpl(tryfirst=True)  # some fixtures look for threads that a test has left behind
def pytest_runtest_teardown() -> None:
    upstream_process.end_test()


upstream_process.stand_in_for_docker()
upstream_process.begin()
