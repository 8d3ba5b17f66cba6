# SPDX-License-Identifier: AGPL-3.0-or-later
"""Weeks of life with an accelerated clock: what a server needs does not grow once its limits are reached."""

from __future__ import annotations

import os
import threading
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.database import life, origin
from tests.support.site import Site, site
from z4j import clock
from z4j.agents.ingest import ingest_batch
from z4j.settings import Settings
from z4j.store.fleet import apps
from z4j_agent import wire

STEP_US = 15 * 60_000_000
PER_STEP = 40
PAGES = ("/tasks", "/tasks?state=failed", "/queues", "/workers", "/changes", "/settings/appliance")
DAY_STEPS = 24 * 4


@dataclass(frozen=True, slots=True)
class Needs:
    """What the process needs at a moment; sizes in bytes."""

    memory: int
    descriptors: int
    threads: int
    wal: int
    database: int


def needs(folder: Path) -> Needs:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    wal = folder / "z4j.db-wal"
    return Needs(
        pages * os.sysconf("SC_PAGESIZE"), len(os.listdir("/proc/self/fd")), threading.active_count(),
        wal.stat().st_size if wal.exists() else 0, (folder / "z4j.db").stat().st_size,
    )  # fmt: skip


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Site]:
    with site(tmp_path, Settings(data=tmp_path, days_kept=1)) as made:
        made.add_user()
        made.sign_in()
        made.write(lambda db: apps.add_app(db, "shop", "k", clock.now()))
        yield made
        clock.use()


def live(shop: Site, steps: int) -> None:
    """Quarters of an hour: tasks arrive, pages are read, every duty runs."""
    at = clock.now()
    for number in range(steps):
        at += STEP_US
        clock.use(lambda at=at: at * 1000, lambda at=at: at * 1000)  # type: ignore[misc]
        lives = [life(str(uuid.uuid4()), at - 60_000_000, "failed" if index % 7 == 0 else "succeeded") for index in range(PER_STEP)]
        records = b"".join(map(wire.encode_record, [origin(at=at), *(record for each in lives for record in each)]))
        shop.call(ingest_batch, shop.server.store, 1, records, at=at)
        if number % 4 == 0:
            shop.get(PAGES[number // 4 % len(PAGES)])
        for _, _, work in shop.server.background.table():
            shop.call(work, at)


def run_days(shop: Site, folder: Path, days: int) -> tuple[Needs, Needs]:
    """What was needed after two days, when the limit of one day holds, and at the end."""
    live(shop, 2 * DAY_STEPS)
    first = needs(folder)
    live(shop, (days - 2) * DAY_STEPS)
    return first, needs(folder)


def check(first: Needs, last: Needs, shop: Site) -> None:
    assert last.memory < first.memory * 1.1 + 4_000_000, (first, last)
    assert last.descriptors <= first.descriptors + 2, (first, last)
    assert last.threads <= first.threads + 2, (first, last)  # the pool of the event loop grows to its size
    assert last.wal < 12_000_000, last
    assert last.database < first.database * 1.25, (first, last)
    kept = shop.call(shop.server.store.fetch_one, "SELECT count(*) FROM task")[0]
    assert kept < 2.2 * DAY_STEPS * PER_STEP, "retention holds its limit"


def test_some_days(shop: Site, tmp_path: Path) -> None:
    check(*run_days(shop, tmp_path, 3), shop)


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_two_weeks(shop: Site, tmp_path: Path) -> None:
    first, last = run_days(shop, tmp_path, 14)
    print(first, last)
    check(first, last, shop)
