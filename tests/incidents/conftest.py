# SPDX-License-Identifier: AGPL-3.0-or-later
"""One week and one Chromium for all tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from tests.incidents.week import Week, run, start_of_tests, write_week
from tests.support.chromium import launched
from z4j import clock


@pytest.fixture(scope="session")
def week(tmp_path_factory: pytest.TempPathFactory) -> Week:
    """Written once; every test works with a copy."""
    return run(write_week(tmp_path_factory.mktemp("week"), start_of_tests(clock.now())))


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with launched() as made:
        yield made
