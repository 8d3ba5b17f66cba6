# SPDX-License-Identifier: AGPL-3.0-or-later
"""Thresholds look at whole minutes, once a minute, and say since when they are exceeded."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.database import T, database, life, origin, tell
from tests.unit.rules.alerts.examples import MINUTE, SECOND, at_once
from z4j.agents.connections import Hub
from z4j.operations.findings.service import Findings
from z4j.operations.findings.thresholds import LATE_US, ThresholdFindings, last_whole_minute
from z4j.rules.alerts.threshold_measures import Threshold
from z4j.store.alerts import alert_rules

pytestmark = pytest.mark.anyio
START = T // MINUTE * MINUTE


def test_a_minute_is_looked_at_a_little_after_its_end() -> None:
    assert last_whole_minute(START + LATE_US) == START
    assert last_whole_minute(START + LATE_US - 1) == START - MINUTE


async def test_it_is_found_after_its_minute_and_lasts_from_there(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        rule = at_once(channels=(), threshold=Threshold("failures", 2, minutes=1))
        await store.write(lambda db: alert_rules.put_rule(db, None, rule, "ann", T))
        looks = ThresholdFindings(store)
        assert await looks.find(START) == ()
        failed = [record for n in range(3) for record in life(f"f{n}", START + n * SECOND, "failed", run="w.7")]
        await tell(store, origin("w", at=START), *failed, at=START + 30 * SECOND)
        assert await looks.find(START + 50 * SECOND) == (), "the minute has only begun"
        end = START + MINUTE
        [found] = await looks.find(end + LATE_US)
        assert (found.kind, found.subject, found.since, found.found_at) == ("threshold", "rule 1: shop.ship", end, end)
        assert await looks.find(end + 30 * SECOND) == (found,)
        more = [record for n in range(3) for record in life(f"g{n}", end + n * SECOND, "failed", run="w.7")]
        await tell(store, *more, at=end + 30 * SECOND)
        [again] = await looks.find(end + MINUTE + LATE_US)
        assert again.since == end, "it lasts since the first minute"
        assert await looks.find(end + 2 * MINUTE + LATE_US) == ()


async def test_a_server_that_starts_again_knows_since_when(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        rule = at_once(channels=(), threshold=Threshold("absent", 60), subject="shop.ship")
        await store.write(lambda db: alert_rules.put_rule(db, None, rule, "ann", T))
        await Findings(store, Hub(), lambda topics: None).look(START + 10 * SECOND)
        again = Findings(store, Hub(), lambda topics: None)
        await again.look(START + 5 * MINUTE)
        [found] = [each for each in again.current if each.kind == "threshold"]
        assert (found.since, found.found_at) == (START, START)
