# SPDX-License-Identifier: AGPL-3.0-or-later
"""One week and one Chromium for all tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.incidents.week import Week, run, start_of_tests, write_week
from tests.support.chromium import ARGUMENTS, CHROMIUM
from z4j import clock


@pytest.fixture(scope="session")
def week(tmp_path_factory: pytest.TempPathFactory) -> Week:
    """Written once; every test works with a copy."""
    return run(write_week(tmp_path_factory.mktemp("week"), start_of_tests(clock.now())))


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed")
    with sync_playwright() as playwright:
        made = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield made
        made.close()
