# SPDX-License-Identifier: AGPL-3.0-or-later
"""A group of failures in a real database, from its first failures to the finding that takes the place of that of its task name."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.database import SECOND, T, database, life, origin, task, tell
from tests.unit.operations.findings.test_service import Heard
from z4j.agents.connections import Hub
from z4j.operations.findings import errors
from z4j.operations.findings.service import Findings
from z4j.rules.findings.finding import Scope
from z4j.rules.rollups import DAY_US, HOUR_US, MINUTE_US
from z4j.store.errors import error_actions, error_groups

pytestmark = pytest.mark.anyio
NOW = T // HOUR_US * HOUR_US + 40 * MINUTE_US


async def test_a_new_error_explains_why_its_task_fails(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        assert await errors.find(store, {}, {}, NOW) == []
        usual = [record for n in range(24 * 20) for record in life(f"u{n}", NOW - DAY_US + n * 178 * SECOND, run="w.7")]
        bad = [record for n in range(14) for record in life(f"b{n}", NOW - 300 * SECOND + n * 20 * SECOND, "failed", run="w.7")]
        await tell(store, origin("w", release="2.1"), *usual, *bad[:16], at=NOW)
        assert await errors.find(store, {}, {}, NOW - 200 * SECOND) == [], "four failures"
        await tell(store, *bad, at=NOW)
        found = Findings(store, Hub(), Heard())
        await found.look(NOW)
        [finding] = found.current
        assert (finding.kind, finding.scope) == ("error", Scope("shop", "production", "celery"))
        assert finding.title == "ValueError in shop.ship"
        assert finding.text == "new, 14 failures in the last hour"
        assert finding.explains == ("failing_more|shop|production|celery|shop.ship",)
        [named] = await errors.find(store, {}, {"shop": {"2.1", "2.0"}}, NOW)
        assert named.text == "new, 14 failures in the last hour; the newest 14 are all on release 2.1"
        [group], _ = await error_groups.list_groups(store, error_groups.ErrorFilter(), None, 9)
        assert finding.action == ("Review 14 and retry…", f"/errors/{group.id}", "operator")
        await store.write(lambda db: error_actions.set_state(db, group.id, "ignored", actor="ann", at=NOW, until=NOW + DAY_US))
        await found.look(NOW)
        assert [each.kind for each in found.current] == ["failing_more"], "an ignored error explains nothing"


async def test_failures_of_an_hour_ago_are_over(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        bad = [record for n in range(14) for record in life(f"b{n}", NOW - 300 * SECOND + n * 20 * SECOND, "failed", run="w.7")]
        await tell(store, origin("w"), *bad, at=NOW)
        assert len(await errors.find(store, {}, {}, NOW)) == 1
        assert await errors.find(store, {}, {}, NOW + 6 * MINUTE_US) == []
        assert await errors.find(store, {}, {}, NOW + HOUR_US) == []


async def test_a_message_that_is_delivered_again_and_kills_again(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        records = [task("enqueued", "p", NOW - 300 * SECOND, name="reports.build")]
        for number in range(3):
            at, run = NOW + (number * 60 - 240) * SECOND, f"w.{7 + number}"
            records += [
                task("started", "p", at, run=run, name="reports.build"),
                task("lost", "p", at + 5 * SECOND, "child_killed", "signal 9", run=run, name="reports.build"),
            ]
        records.append(task("started", "p", NOW - 30 * SECOND, run="w.10", name="reports.build"))
        await tell(store, origin("w"), *records, at=NOW)
        found = Findings(store, Hub(), Heard())
        await found.look(NOW)
        [finding] = [each for each in found.current if each.kind == "killed"]
        assert (finding.subject, finding.scope) == ("reports.build", Scope("shop", "production", "celery"))
        assert finding.text == "3 times in this hour and the previous one"
