# SPDX-License-Identifier: AGPL-3.0-or-later
"""The ledger of a queue that the broker lost tasks of: found with its hours, its number, and a link to exactly these tasks."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.support.database import SECOND, T, database, origin, task, tell
from z4j.agents.connections import Hub
from z4j.operations.findings import queue_ledger
from z4j.operations.findings.rule_inputs import Gatherer
from z4j.operations.findings.service import Findings
from z4j.rules.rollups import HOUR_US, MINUTE_US
from z4j.store.fleet import queues
from z4j.store.sqlite.db import Store

pytestmark = pytest.mark.anyio
NOW = T // HOUR_US * HOUR_US + 40 * MINUTE_US


async def report(store: Store, depth: int, until: int = NOW, minutes: int = 16, broker: str = "") -> None:
    row = await store.fetch_one("SELECT id FROM name WHERE kind = 'environment' AND text = 'production'")
    assert row is not None
    for ago in range(minutes, -1, -1):
        seen = [("celery", "work", broker, depth, 2, None, None, None)]
        await store.write(partial(queues.record, app_id=1, environment_id=row[0], seen=seen, at=until - ago * MINUTE_US - SECOND))


async def fill(store: Store, lost: int = 5, held: int = 30) -> None:
    """Tasks that the broker does not have, two of them an hour older, and as many newer ones that it has."""
    times = [NOW - 2 * HOUR_US, NOW - 2 * HOUR_US + SECOND, *(NOW - HOUR_US + n * SECOND for n in range(lost - 2))]
    times += [NOW - 20 * MINUTE_US + n * SECOND for n in range(held)]
    await tell(store, origin(), *(task("enqueued", f"q{n}", at) for n, at in enumerate(times)), at=NOW)


async def test_a_ledger_that_does_not_balance_is_found_with_a_link_to_its_tasks(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        await fill(store)
        await report(store, 30)
        found = Findings(store, Hub(), lambda topics: None)
        await found.look(NOW)
        [finding] = [each for each in found.current if each.kind == "unaccounted"]
        assert finding.text.startswith("5 of 5 tasks enqueued between")
        assert finding.action is not None
        query = {key: value[0] for key, value in parse_qs(urlsplit(finding.action.href).query).items()}
        assert (query["queue"], query["state"]) == ("work", "queued")
        [queue] = found.queues
        of_queue = await queue_ledger.read(store, queue, NOW)
        assert [task.task_id for task in of_queue.listed] == [f"q{n}" for n in range(5)]
        assert of_queue.until == NOW - HOUR_US + 2 * SECOND + 1
        await report(store, 35, NOW + MINUTE_US, 0)
        await found.look(NOW + MINUTE_US)
        assert [each for each in found.current if each.kind == "unaccounted"] == [], "the broker has them"


async def test_nothing_is_said_of_a_broker_that_is_not_reported(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        await fill(store)
        found = Findings(store, Hub(), lambda topics: None)
        await found.look(NOW)
        assert [each for each in found.current if each.kind == "unaccounted"] == []
        [queue] = found.queues
        of_queue = await queue_ledger.read(store, queue, NOW)
        assert (of_queue.unaccounted, of_queue.listed, sum(hour.sent for hour in of_queue.hours)) == (None, (), 35)


async def test_a_queue_of_two_brokers_is_one(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        await fill(store)
        await report(store, 30, broker="redis-1")
        await report(store, 5, broker="redis-2")
        [queue] = await Gatherer(store, Hub()).queues(NOW)
        assert (queue.depth, queue.minutes[-2].depth) == (35, 35)
        assert (await queue_ledger.read(store, queue, NOW)).unaccounted == 0
