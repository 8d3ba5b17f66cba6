# SPDX-License-Identifier: AGPL-3.0-or-later
"""The numbers of the strip are kept for a second, for each filter apart, and never beyond a change."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.site import Site, site, text_of
from z4j import clock
from z4j.store.tasks.minute_stats import StatusNumbers
from z4j.web.frame import status_bar
from z4j.web.pages.tasks.filters import Filters


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Site]:
    with site(tmp_path) as made:
        made.add_user()
        made.enter()
        made.write(lambda db: db.execute("INSERT INTO app (name, created_at) VALUES ('shop', 0)").rowcount)
        yield made


def run(made: Site, tasks: int) -> None:
    """So many tasks run, as the counters say."""
    made.write(lambda db: db.execute("INSERT OR REPLACE INTO counter VALUES (1, 0, 0, 0, 0, 4, ?)", (tasks,)).rowcount)


async def publish(made: Site) -> None:
    made.server.live.changed(("tasks",))


def shown(made: Site, path: str = "/strip") -> str:
    answer = made.get(path)
    assert answer.status_code == 200
    return text_of(answer).partition("running ")[2].split()[0]


def test_numbers_are_kept_until_something_changes(made: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(status_bar, "KEPT_US", 60_000_000)
    run(made, 7)
    made.call(publish, made)
    assert shown(made) == "7"
    run(made, 9)
    assert shown(made) == "7", "nobody was told of a change"
    assert shown(made, "/tasks") == "7", "it is the same for every page"
    assert shown(made, "/strip?app=shop") == "9", "another filter has numbers of its own"
    made.call(publish, made)
    assert shown(made, "/tasks") == shown(made) == "9"


def test_a_change_after_the_page_was_asked_for_is_seen_by_the_next_one(made: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(status_bar, "KEPT_US", 60_000_000)
    run(made, 1)
    scope, before = Filters(), clock.now()
    run(made, 2)
    made.call(publish, made)
    made.server.store.memo["strip"] = (0, {scope: (clock.ticks() + 60_000_000, before, StatusNumbers(running=1))})
    assert shown(made) == "2"


def test_they_are_read_again_after_a_second(made: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    run(made, 7)
    assert shown(made) == "7"
    run(made, 9)
    later = (clock.ticks() + status_bar.KEPT_US) * 1_000
    monkeypatch.setattr(clock, "_ticks", lambda: later)
    assert shown(made) == "9"


def test_few_filters_are_kept(made: Site) -> None:
    for number in range(status_bar.SCOPES + 5):
        made.get(f"/strip?app=app{number}")
    assert len(made.server.store.memo["strip"][1]) <= status_bar.SCOPES
