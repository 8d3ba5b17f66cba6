# SPDX-License-Identifier: AGPL-3.0-or-later
"""What a page asks the stream of news for: everything that changed since the request came, so that nothing falls between."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.site import Site, site
from z4j import clock
from z4j.web.auth import authentication

SECOND_NS = 1_000_000_000


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setattr(authentication, "FLOOR_S", 0.0)
    with site(tmp_path) as made:
        made.add_user()
        made.enter()
        yield made
        clock.use()


def readings_before(shop: Site, path: str) -> int:
    """How often the clock was read for a page before the time that the page names. Every reading is one second later than the last."""
    first = clock.now() * 1000
    seconds = itertools.count()
    clock.use(lambda: first + next(seconds) * SECOND_NS)
    try:
        page = shop.get(path)
    finally:
        clock.use()
    assert page.status_code == 200
    found = re.search(r'hx-sse:connect="/events\?since=(\d+)"', page.text)
    assert found is not None
    return (int(found[1]) * 1000 - first) // SECOND_NS


@pytest.mark.parametrize("path", ["/tasks", "/queues", "/workers", "/schedules", "/changes", "/plans", "/settings/apps"])
def test_a_page_names_the_time_before_anything_was_read_for_it(shop: Site, path: str) -> None:
    # What the server does in the background reads the clock too, about once a second.
    assert 0 in [readings_before(shop, path) for _ in range(5)]
