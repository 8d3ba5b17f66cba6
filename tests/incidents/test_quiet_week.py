# SPDX-License-Identifier: AGPL-3.0-or-later
"""A week in which nothing is wrong: how often Now calls something wrong all the same. Each hour is ingested, then looked at as it comes."""

from __future__ import annotations

import copy
import shutil
from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.incidents.traffic import DAY, HOUR, MINUTE
from tests.incidents.week import StoreSink, Week, live, run
from z4j.agents.connections import Hub
from z4j.operations.findings.service import Findings
from z4j.store.fleet import apps
from z4j.store.sqlite.db import Store

FALSE_PER_DAY = 1
SELDOM = {"reports.nightly", "invoices.render"}
"""Names that do not run each day."""


def ignore(topics: Iterable[str]) -> None:
    """No page is open."""


async def look_on(week: Week, folder: Path, hours: int, every: int) -> list[str]:
    """Goes on after the week with more of the same, and looks every so many microseconds. Returns what was found, each time it began."""
    data = folder / "data"
    shutil.copytree(week.folder, data)
    store = Store(data / "z4j.db", readers=1)
    await store.start()
    begun: list[str] = []
    try:
        simulation, findings = copy.deepcopy(week.simulation), Findings(store, Hub(), ignore)
        sink = StoreSink({app.name: app.id for app in await apps.list_apps(store)})
        lasting: set[str] = set()
        until = simulation.now + hours * HOUR
        while simulation.now < until:
            await live(simulation, sink, store, simulation.now + every)
            await findings.look(simulation.now)
            assert findings.checked[0] >= len(simulation.kinds) - len(SELDOM), "every task name is looked at"
            current = {finding.key: finding for finding in findings.current}
            at = (simulation.now - simulation.start) / DAY
            begun += [f"day {at:.2f}: {current[key].title}: {current[key].text} ({current[key].why})" for key in current.keys() - lasting]
            lasting = set(current)
    finally:
        await store.close()
    return begun


@pytest.mark.parametrize(
    ("hours", "every_min"),
    [(10, 10), pytest.param(7 * 24, 1, marks=[pytest.mark.long, pytest.mark.timeout(1_800)])],
    ids=["an afternoon and evening", "the whole week"],
)
def test_a_quiet_week_has_at_most_one_false_finding_a_day(week: Week, tmp_path: Path, hours: int, every_min: int) -> None:
    begun = run(look_on(week, tmp_path, hours, every_min * MINUTE))
    print(f"{len(begun)} findings in {hours} hours", *begun, sep="\n")
    assert len(begun) <= FALSE_PER_DAY * max(hours // 24, 1), begun
