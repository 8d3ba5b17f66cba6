# SPDX-License-Identifier: AGPL-3.0-or-later
"""A dry run over a real database names the times at which the server fired: of findings and of thresholds."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.database import T as TOLD
from tests.support.database import database, life, origin, tell
from tests.unit.rules.alerts.examples import HOUR, MINUTE, SECOND, at_once
from z4j.agents.connections import Hub
from z4j.live import Live
from z4j.operations.alerts.dry_run import dry_run_of
from z4j.operations.alerts.service import Alerts
from z4j.operations.findings.service import Findings
from z4j.rules.alerts.alert_rule import AlertRule
from z4j.rules.alerts.threshold_measures import Threshold
from z4j.store.alerts import alert_rules, alerts
from z4j.store.sqlite.db import Store

pytestmark = pytest.mark.anyio
START = TOLD // MINUTE * MINUTE
RULES = {
    "findings": at_once(name="findings", channels=()),
    "patient": at_once(name="patient", channels=(), for_s=95),
    "failures": at_once(name="failures", channels=(), threshold=Threshold("failures", 3, minutes=2)),
    "share": at_once(name="share", channels=(), threshold=Threshold("failure_share", 0.5, minutes=3, least=3)),
    "absent": at_once(name="absent", channels=(), threshold=Threshold("absent", 300), subject="shop.ship"),
}


async def put(store: Store, rule: AlertRule) -> int:
    made = await store.write(lambda db: alert_rules.put_rule(db, None, rule, "ann", START))
    assert made is not None
    return made


async def test_a_dry_run_names_the_times_at_which_the_server_fired(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        ids = {name: await put(store, rule) for name, rule in RULES.items()}
        found, service = Findings(store, Hub(), lambda topics: None), Alerts(store, Live())
        await tell(store, origin("w", at=START), at=START)
        for number in range(25 * 6):  # 25 minutes, looked at every ten seconds: well, then badly, then nothing at all
            now = START + number * 10 * SECOND
            minute = number // 6
            if minute < 18 and number % 2 == 0:
                end = "failed" if 5 <= minute < 11 else "succeeded"
                await tell(store, *life(f"t{number}", now - 4 * SECOND, end, run="w.7"), at=now)
            await found.look(now)
            await service.round(found.current, now)
        until = START + 25 * MINUTE
        stored = await alerts.list_alerts(store, None)
        for name, rule in RULES.items():
            lived = sorted(each.alert.fired_at or 0 for each in stored if each.rule_id == ids[name])
            dry = await dry_run_of(store, ids[name], rule, until)
            fired = [alert.fired_at for alert in dry.run.fired]
            # The first one of “absent” began before anybody looked.
            assert fired[name == "absent" :] == lived[name == "absent" :], name
            assert lived, name
        assert (
            await dry_run_of(store, 0, RULES["failures"], until)
        ).why == "Only the last two days were checked: minute statistics are kept for two days."


async def test_without_anything_stored_nothing_would_have_fired(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        for rule in RULES.values():
            dry = await dry_run_of(store, 0, rule, START + HOUR)
            assert [alert for alert in dry.run.fired if alert.fired_at is None] == []
            assert not dry.run.fired or rule.threshold is not None, "only what does not run is absent"
