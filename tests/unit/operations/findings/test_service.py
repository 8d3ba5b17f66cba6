# SPDX-License-Identifier: AGPL-3.0-or-later
"""What is found in a real database, from the first task to the end of a finding; the duty that looks writes only when something changes."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from pathlib import Path

import pytest

from tests.support.database import SECOND, T, database, life, origin, task, tell
from z4j.agents.connections import Hub
from z4j.operations.findings.service import Findings
from z4j.rules.findings.finding import Scope
from z4j.rules.rollups import DAY_US, HOUR_US, MINUTE_US
from z4j.store.findings import findings
from z4j.store.findings.findings import Muted
from z4j.store.fleet import queues
from z4j.store.sqlite.db import Store

pytestmark = pytest.mark.anyio
NOW = T // HOUR_US * HOUR_US + 40 * MINUTE_US


class Heard(list[str]):
    def __call__(self, topics: Iterable[str]) -> None:
        self.extend(topics)


async def usual_day(store: Store) -> None:
    """Twenty runs an hour, all well, for a day."""
    records = [record for n in range(24 * 20 - 2) for record in life(f"u{n}", NOW - DAY_US + n * 180 * SECOND, run="w.7")]
    await tell(store, origin("w"), *records, at=NOW)


async def bad_minutes(store: Store, minutes: int, prefix: str, end: str = "failed", at: int = NOW) -> None:
    records = [
        record for minute in range(minutes) for n in range(3)
        for record in life(f"{prefix}{minute}-{n}", at - minute * MINUTE_US - 20 * SECOND - n, end, run="w.7")
    ]  # fmt: skip
    await tell(store, *records, at=at)


async def test_a_bad_release_begins_lasts_and_ends(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        heard = Heard()
        found = Findings(store, Hub(), heard)
        await found.look(NOW)
        assert (found.current, found.checked) == ((), (0, 0))
        await usual_day(store)
        await found.look(NOW)
        assert [finding.kind for finding in found.current] == []
        await bad_minutes(store, 5, "bad")
        await found.look(NOW)
        [finding] = found.current
        assert (finding.kind, finding.subject, finding.scope) == ("error", "1", Scope("shop", "production", "celery"))
        assert finding.explains == ("failing_more|shop|production|celery|shop.ship",), "which is not repeated"
        assert heard == ["now"]
        assert found.checked == (1, 1)
        [opened] = (await findings.list_open(store)).values()
        assert opened.began_at == finding.since
        before = await store.fetch_one("SELECT total_changes()")
        await found.look(NOW + 10 * SECOND)
        assert await store.fetch_one("SELECT total_changes()") == before, "nothing is written while it lasts"
        await bad_minutes(store, 6, "good", "succeeded", NOW + 8 * MINUTE_US)
        await found.look(NOW + 8 * MINUTE_US)
        assert found.current == ()
        [ended] = await findings.list_ended(store, NOW)
        assert (ended.key, ended.ended_at, ended.title) == (finding.key, NOW + 8 * MINUTE_US, finding.title)
        again = Findings(store, Hub(), heard)
        await again.look(NOW + 9 * MINUTE_US)
        assert again.current == ()


async def test_a_finding_survives_a_restart_with_its_time(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        await tell(store, *(task("enqueued", f"w{n}", NOW - 600 * SECOND + n, queue="alone") for n in range(30)), at=NOW)
        seen = [("celery", "alone", "", 30, 0, NOW - 600 * SECOND, 0, None)]
        await store.write(partial(queues.record, app_id=1, environment_id=0, seen=seen, at=NOW))
        found = Findings(store, Hub(), Heard())
        await found.look(NOW)
        [finding] = [each for each in found.current if each.kind == "unserved_queue"]
        assert finding.text.startswith("30 tasks wait")
        again = Findings(store, Hub(), Heard())
        await again.look(NOW + 5 * MINUTE_US)
        [later] = [each for each in again.current if each.kind == "unserved_queue"]
        assert (later.key, later.since is not None and later.since <= NOW) == (finding.key, True)
        assert len(await findings.list_ended(store, 0)) == 0


async def test_what_is_muted_is_listed_apart(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        await usual_day(store)
        await bad_minutes(store, 5, "bad")
        found = Findings(store, Hub(), Heard())
        await found.look(NOW)
        finding = found.current[0]
        muted = Muted(finding.kind, finding.scope, finding.subject, "ann", "known", NOW)
        await store.write(partial(findings.mute, muted=muted))
        await found.refresh(NOW)
        assert not found.current
        assert found.muted == ((finding, muted),)
        assert await findings.list_muted(store) == [muted]
        assert await store.write(partial(findings.unmute, kind=finding.kind, scope=finding.scope, subject=finding.subject))
        await found.refresh(NOW)
        assert finding.key in {each.key for each in found.current}
        assert not await store.write(partial(findings.unmute, kind="x", scope=Scope(), subject=""))


async def test_old_findings_are_deleted(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        await usual_day(store)
        await bad_minutes(store, 5, "bad")
        found = Findings(store, Hub(), Heard())
        await found.look(NOW)
        await found.look(NOW + 3 * HOUR_US)
        assert len(await findings.list_ended(store, 0)) >= 1
        assert not await store.write(partial(findings.delete_old, before=NOW + 4 * HOUR_US))
        assert await findings.list_ended(store, 0) == []
